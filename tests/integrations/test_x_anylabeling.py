"""X-AnyLabeling's own client class with our server: polygons in its JSON files, and what its user reads."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.media.video import probe, read_frames
from sam2_cog.session import Session
from tests.clips import encode_image, write_zip
from tests.integrations.birds import mask_iou
from tests.integrations.processes import CLIP, Door, peer, running
from tests.test_doors import free_port

COUNT = 30
SCRIPT = Path(__file__).parent / "x_anylabeling_client.py"
RED, BLUE = [80, 222], [556, 96]
"""Clicks on the two birds on the first frame."""


@pytest.fixture(scope="session")
def frames(folder: Path) -> Path:
    """The first frames of the sample as X-AnyLabeling extracts them from a video."""
    place = folder / "frames"
    place.mkdir()
    for frame in read_frames(probe(CLIP), 0, COUNT):
        (place / f"frame_{frame.index:05d}.jpg").write_bytes(encode_image(frame.image, "JPEG", quality=95))
    return place


@pytest.fixture
def own_frames(frames: Path, tmp_path: Path) -> Path:
    """A copy of the frames, in which the client may write."""
    place = tmp_path / "clip"
    place.mkdir()
    for file in frames.glob("*.jpg"):
        (place / file.name).write_bytes(file.read_bytes())
    return place


class User:
    """A client that is at work; `step` waits until it has done the next one."""

    def __init__(self, url: str, steps: Sequence[dict[str, Any]], folder: Path, key: str = "") -> None:
        file = folder / "steps.json"
        file.write_text(json.dumps(steps))
        command = [str(peer("x-anylabeling", "python")), str(SCRIPT), url, key, str(file)]
        environment = {**os.environ, "HOME": str(folder), "QT_QPA_PLATFORM": "offscreen"}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )

    def step(self) -> dict[str, Any]:
        """What came of the next step."""
        assert self._process.stdout and self._process.stderr
        for line in self._process.stdout:
            if line.startswith('{"found"'):
                found: dict[str, Any] = json.loads(line)
                return found
        raise AssertionError(self._process.stderr.read()[-3000:])

    def go_on(self) -> None:
        """Let a client that waits do its next step."""
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def close(self) -> None:
        self._process.communicate(timeout=120)
        assert self._process.returncode == 0


def work(url: str, steps: Sequence[dict[str, Any]], folder: Path, key: str = "") -> list[dict[str, Any]]:
    """All steps, one after the other."""
    user = User(url, steps, folder, key)
    found = [user.step() for _ in steps]
    user.close()
    return found


def click(point: Sequence[float], frame: int = 0, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "clicks": [[list(point), 1]], **more}


def shapes(folder: Path, frame: int) -> list[dict[str, Any]]:
    file = folder / f"frame_{frame:05d}.json"
    return list(json.loads(file.read_text())["shapes"]) if file.exists() else []


def filled(found: Sequence[dict[str, Any]]) -> np.ndarray:
    """The mask that X-AnyLabeling exports of polygons: OpenCV's fillPoly."""
    mask = np.zeros((360, 640), np.uint8)
    for shape in found:
        assert shape["shape_type"] == "polygon"
        cv2.fillPoly(mask, [np.round(shape["points"]).astype(np.int32)], 1)
    return mask.astype(bool)


def true_masks(frames: Path, model: LoadedModel, click: str, folder: Path, frame: int = 0) -> list[np.ndarray]:
    """What the product itself finds on the same frames."""
    path = write_zip(folder / "true.zip", [(file.name, file.read_bytes()) for file in sorted(frames.glob("*.jpg"))])
    with Session(path, model) as session:
        found = {
            masks.frame_index: masks.objects[0].full()
            for masks in session.track(session.parse(click, click_frames=str(frame)))
        }
    return [found[index] for index in range(len(found))]


def test_polygons_on_disk_are_the_masks_for_two_objects(
    remote_server: Door, own_frames: Path, demo_model: LoadedModel, tmp_path: Path
) -> None:
    steps = [
        {"open": str(own_frames)},
        click(RED),
        click(RED, finish=["red", 7], run=True),
        click(BLUE),
        click(BLUE, finish=["blue", 8], run=True),
        {"load": str(own_frames / "frame_00005.json")},
    ]
    opened, prompted, _, _, _, loaded = work(remote_server.url, steps, tmp_path)
    assert opened["found"]["mode"] == "video"
    assert [shape["label"] for shape in prompted["found"]] == ["AUTOLABEL_OBJECT"]
    assert {(shape["label"], shape["group_id"]) for shape in loaded["found"]} == {("red", 7), ("blue", 8)}
    for label, point in (("red", RED), ("blue", BLUE)):
        scores = []
        for frame, mask in enumerate(true_masks(own_frames, demo_model, f"[{point[0]},{point[1]}]", tmp_path)):
            own = [shape for shape in shapes(own_frames, frame) if shape["label"] == label]
            if mask.sum() >= 100:
                scores.append(mask_iou(filled(own), mask))
        print(f"IoU of the {label} polygons with the masks: mean {np.mean(scores):.4f}, least {min(scores):.4f}")
        assert len(scores) > COUNT / 2 and np.mean(scores) >= 0.95


def test_frames_before_the_click_are_found_and_a_range_is_kept(
    remote_server: Door, own_frames: Path, tmp_path: Path
) -> None:
    steps = [
        {"open": str(own_frames)},
        click([540, 98], frame=10, finish=["blue", 3], run=True, range=[4, 14]),
    ]
    work(remote_server.url, steps, tmp_path)
    written = [frame for frame in range(COUNT) if shapes(own_frames, frame)]
    assert written == list(range(4, 14))


def test_a_cancel_stops_the_server_and_the_next_click_begins_anew(
    remote_server: Door, own_frames: Path, tmp_path: Path
) -> None:
    steps = [
        {"open": str(own_frames)},
        click(RED),
        click(RED, run=True, cancel=True),
        click(RED),
        click(RED, finish=["red", 1], run=True),
    ]
    _, first, cancelled, again, _ = work(remote_server.url, steps, tmp_path)
    assert first["session"] and cancelled["session"] is None and again["session"] not in (None, first["session"])
    assert again["found"] == first["found"] and shapes(own_frames, 5)


def test_two_users_at_once(remote_server: Door, frames: Path, tmp_path: Path) -> None:
    def user(name: str, point: list[int]) -> int:
        place = tmp_path / name
        place.mkdir()
        for file in frames.glob("*.jpg"):
            (place / file.name).write_bytes(file.read_bytes())
        work(remote_server.url, [{"open": str(place)}, click(point, finish=[name, 1], run=True)], place)
        return sum(1 for frame in range(COUNT) if shapes(place, frame))

    with ThreadPoolExecutor(2) as users:
        counts = list(users.map(user, ("red", "blue"), (RED, BLUE)))
    assert min(counts) >= COUNT - 3


def test_a_server_that_is_started_again_says_what_to_do(folder: Path, own_frames: Path, tmp_path: Path) -> None:
    door = Door("x-anylabeling", free_port(), folder / "restarted-remote.log")
    with running(door):
        steps = [{"open": str(own_frames)}, click(RED, wait=True), click(RED), click(RED, finish=["red", 1], run=True)]
        user = User(door.url, steps, tmp_path)
        user.step()
        assert user.step()["found"]
        door.stop(signal.SIGKILL)
        door.start()
        user.go_on()
        (message,) = user.step()["messages"]
        print("what the user reads:", message)
        assert "this video is no longer open on the server: click again to send it anew" in message
        user.step()
        user.close()
    assert shapes(own_frames, 5)


def test_a_server_that_dies_in_the_middle_leaves_the_files_alone(
    folder: Path, own_frames: Path, tmp_path: Path
) -> None:
    door = Door("x-anylabeling", free_port(), folder / "dying-remote.log")
    files = sorted(own_frames.glob("*.jpg"))
    for number in range(COUNT, 12 * COUNT):  # long enough to be in work for seconds on any machine
        (own_frames / f"frame_{number:05d}.jpg").write_bytes(files[number % COUNT].read_bytes())
    with running(door):
        user = User(door.url, [{"open": str(own_frames)}, click(RED, wait=True), click(RED, run=True)], tmp_path)
        user.step()
        user.step()
        user.go_on()
        time.sleep(1)
        door.stop(signal.SIGKILL)
        messages = user.step()["messages"]
        print("what the user reads:", messages)
        assert messages and "Video" in messages[-1]
        user.close()
        assert not list(own_frames.glob("*.json"))
        door.start()


def test_frames_that_cannot_be_read_are_told(remote_server: Door, own_frames: Path, tmp_path: Path) -> None:
    (own_frames / "frame_00004.jpg").write_bytes(b"no image")
    _, answer = work(remote_server.url, [{"open": str(own_frames)}, click(RED)], tmp_path)
    print("what the user reads:", answer["messages"][-1])
    assert "holds an image that cannot be decoded (000004.jpg)" in answer["messages"][-1]


def test_a_wrong_key_is_told(folder: Path, own_frames: Path, tmp_path: Path) -> None:
    door = Door("x-anylabeling", free_port(), folder / "locked-remote.log", SAM2_TOKEN="right")
    door.listen_everywhere()
    with running(door):
        for key, good in (("right", True), ("wrong", False)):
            place = tmp_path / key
            place.mkdir()
            _, answer = work(door.url, [{"open": str(own_frames)}, click(RED)], place, key)
            assert bool(answer["found"]) == good
        print("what the user reads:", answer["messages"][-1])
        assert "401 Client Error: this server asks for the token" in answer["messages"][-1]
