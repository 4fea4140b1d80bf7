"""The page's routes over a real socket: who is answered, masks bit for bit, work, files, refusals."""

import http.client
import json
import re
import signal
import time
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import cv2
import numpy as np
import pytest

from sam2_cog.__main__ import main
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.steps import Steps
from sam2_cog.errors import UnreadableVideo
from sam2_cog.media.video import probe, read_frames
from sam2_cog.page import command
from sam2_cog.page import desk as desk_module
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import ASSETS, page_application
from sam2_cog.page.wire import ABSENT, lane_value
from sam2_cog.pipeline import segment_video
from sam2_cog.request import FILES, Request
from sam2_cog.session import Session
from tests.clips import encode_image, numbered_frames, write_zip
from tests.http_server import Address, Answer, running
from tests.page.disc import disc_centre, disc_clip
from tests.program import program

COUNT, WIDTH, HEIGHT = 8, 96, 64
CLICK = "[{},{}]".format(*disc_centre(0, WIDTH, HEIGHT))
INPUTS: dict[str, Any] = {"click_coordinates": CLICK, "click_object_ids": "disc"}


class Page:
    """A running page and its desk."""

    def __init__(self, address: Address, desk: Desk) -> None:
        self.address, self.desk = address, desk

    def ready(self) -> dict[str, Any]:
        """The facts of the clip when it has been opened, or has failed to."""
        for _ in range(1000):
            facts: dict[str, Any] = self.address.ask("GET", "/api/clip").json
            if facts["state"] != "opening":
                return facts
            time.sleep(0.02)
        raise AssertionError("the clip is still opening")

    def post(self, path: str, inputs: dict[str, Any] | None = None, **more: Any) -> Answer:
        return self.address.post(f"/api/{path}", {"clip": self.ready()["id"], "inputs": inputs or INPUTS, **more})

    def get(self, path: str) -> Answer:
        return self.address.ask("GET", f"/api/{path}?clip={self.ready()['id']}")

    def events(self, path: str, inputs: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        answer = self.post(path, inputs)
        assert answer.status == 200, answer.body
        return [json.loads(line) for line in answer.body.splitlines()]

    def upload(self, data: bytes | Iterator[bytes], name: str = "clip.mp4") -> Answer:
        return self.address.ask("PUT", f"/api/upload?name={name}", data)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return disc_clip(tmp_path_factory.mktemp("clip") / "disc.mp4", COUNT, WIDTH, HEIGHT)


@pytest.fixture
def page(demo_model: LoadedModel, clip: Path) -> Iterator[Page]:
    yield from opened(demo_model, clip)


@pytest.fixture(scope="module")
def asked(demo_model: LoadedModel, clip: Path) -> Iterator[Page]:
    """A page that is only asked: nothing is tracked, written or opened."""
    yield from opened(demo_model, clip)


def opened(demo_model: LoadedModel, clip: Path) -> Iterator[Page]:
    desk = Desk(lambda: demo_model)
    desk.open(clip, "clips/disc.mp4")
    with running(page_application(desk, "demo")) as address:
        yield Page(address, desk)
    assert not desk._folder.exists()


def decoded(mask: dict[str, Any]) -> np.ndarray:
    """The mask as the browser reads it."""
    full = np.zeros((HEIGHT, WIDTH), bool)
    if mask["box"]:
        x0, y0, x1, y1 = mask["box"]
        runs = mask["runs"]
        full[y0:y1, x0:x1] = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(y1 - y0, x1 - x0)
    return full


def written_masks(path: Path, name: str) -> list[np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = sorted(entry for entry in archive.namelist() if entry.startswith(f"masks/{name}/"))
        files = [np.frombuffer(archive.read(entry), np.uint8) for entry in names]
        return [np.asarray(cv2.imdecode(file, cv2.IMREAD_GRAYSCALE)) > 127 for file in files]


# Who is answered, and with what.


def test_the_page_holds_nothing_from_elsewhere(asked: Page) -> None:
    answer = asked.address.ask("GET", "/")
    assert answer.status == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in ASSETS.iterdir():
        addresses = set(re.findall(r"\w+://[^\s\"'`)]+", path.read_text(encoding="utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg", "http://localhost:5000/predictions"}, path
        assert asked.address.ask("GET", f"/assets/{path.name}").status == 200
    assert asked.address.ask("GET", "/assets/../routes.py").status == 404


def test_other_hosts_and_origins_are_refused(asked: Page) -> None:
    assert asked.address.ask("GET", "/api/clip", Host="evil.example").status == 403
    assert asked.address.post("/api/preview", {}, Origin="https://evil.example").status == 403
    assert asked.address.ask("PUT", "/api/upload?name=a.mp4", b"x", Origin="https://evil.example").status == 403
    assert asked.address.ask("POST", "/api/preview", b"{}", Content_Type="text/plain").status == 415


def test_a_shared_page_wants_its_token_and_keeps_it_out_of_the_address(demo_model: LoadedModel) -> None:
    with running(page_application(Desk(lambda: demo_model), "demo", "secret")) as address:
        assert address.ask("GET", "/").status == 401
        assert address.ask("GET", "/assets/main.js", Host="my.machine:7860").status == 401
        answer = address.ask("GET", "/?token=secret", Host="my.machine:7860")
        assert (answer.status, answer.headers["location"]) == (307, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert address.ask("GET", "/", Host="my.machine:7860", Cookie=cookie.partition(";")[0]).status == 200


# Opening.


def test_the_first_frame_is_there_before_the_frames_are_counted(
    demo_model: LoadedModel, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Event()

    def slow(path: Path, model: LoadedModel) -> Session:
        assert counted.wait(60)
        return Session(path, model)

    monkeypatch.setattr(desk_module, "Session", slow)
    desk = Desk(lambda: demo_model)
    desk.open(clip)
    with running(page_application(desk, "demo")) as address:
        page = Page(address, desk)
        while "width" not in (facts := address.ask("GET", "/api/clip").json):
            time.sleep(0.01)
        assert (facts["state"], facts["width"], facts["height"], facts["frames"]) == ("opening", WIDTH, HEIGHT, None)
        first = address.ask("GET", f"/api/frame/0?clip={facts['id']}")
        assert (first.status, first.body[:2]) == (200, b"\xff\xd8")
        assert address.ask("GET", f"/api/frame/1?clip={facts['id']}").status == 410
        counted.set()
        assert page.ready()["frames"] == COUNT
        assert page.get("frame/0").body == first.body


def test_what_cannot_be_opened_is_told_and_the_next_clip_opens(page: Page, clip: Path) -> None:
    page.ready()
    assert page.upload(b"no video at all", "broken.mp4").status == 200
    facts = page.ready()
    assert facts["state"] == "failed"
    assert facts["error"].startswith("video: broken.mp4 cannot be read as a video")
    assert page.post("preview", frame=0).status == 410
    page.upload(clip.read_bytes())
    assert (page.ready()["state"], page.ready()["frames"]) == ("ready", COUNT)


def test_an_upload_replaces_the_one_before_and_stays_in_its_folder(page: Page, clip: Path) -> None:
    for name in ("first.mp4", "..%2F..%2Fodd%20name%3B.mp4", "%2Fetc%2Fpasswd", ""):
        assert page.upload(clip.read_bytes(), name).status == 200
        assert page.ready()["state"] == "ready"
        (only,) = [path for path in page.desk._folder.rglob("*") if path.is_file()]
        assert only.parent.parent == page.desk._folder
    assert clip.exists()


def test_an_upload_is_bounded_and_nothing_is_left_of_it(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_UPLOAD_BYTES", "1000")
    before = page.ready()
    sentences: dict[str, bytes | Iterator[bytes]] = {
        "has 400001 bytes, but at most 1000 are allowed (SAM2_MAX_UPLOAD_BYTES)": b"x" * 400_001,
        "has more than 1000 bytes, the most that are allowed (SAM2_MAX_UPLOAD_BYTES)": iter([b"x" * 400] * 5),
    }
    for sentence, data in sentences.items():
        refusal = page.upload(data)
        assert (refusal.status, refusal.json) == (413, {"error": f"video: clip.mp4 {sentence}"})
    assert not list(page.desk._folder.iterdir())
    assert page.ready() == before


def test_a_clip_that_nobody_uses_is_closed_and_opens_again_with_its_clicks(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.post("preview", frame=0)
    page.desk.tend()
    assert page.ready()["state"] == "ready"
    monkeypatch.setattr(page.desk, "_used", time.monotonic() - 1801)
    identity = page.desk._source.id if page.desk._source else ""
    page.desk.tend()
    assert page.address.post("/api/preview", {"clip": identity, "inputs": INPUTS, "frame": 0}).status == 410
    facts = page.ready()
    assert (facts["id"], facts["state"], facts["inputs"]) == (identity, "ready", INPUTS)


def test_a_page_of_a_clip_that_was_open_before_is_told_so(asked: Page) -> None:
    refusal = asked.address.post("/api/preview", {"clip": "other", "inputs": INPUTS, "frame": 0})
    assert (refusal.status, "load the page again" in refusal.json["error"]) == (410, True)


# Questions.


@pytest.mark.parametrize(
    ("inputs", "sentence"),
    [
        ({"click_coordinates": "[96,0]"}, "click_coordinates: point 1 is at [96, 0], but the video is 96x64"),
        ({"click_coordinates": "[1,1]", "click_frames": "8"}, "click_frames: point 1 is on frame 8, but the video has"),
        ({"click_coordinates": "[1,1]", "click_labels": "0"}, "click_labels: every point has label 0"),
        ({"click_coordinates": "[1,1]", "output_quality": 101}, "output_quality: 101 is not allowed"),
        ({"click_coordinates": "[1,1]", "output_quality": "good"}, "output_quality: 'good' is not allowed"),
        ({"click_coordinates": "[1,1]", "mask_type": "red"}, "mask_type: 'red' is not allowed"),
        ({"click_coordinates": 5}, "click_coordinates: 5 is not a text"),
        ({"mask_type": "binary"}, "click_coordinates: there is no point, but at least one is needed"),
        ({"click_coordinates": "[1,1]", "no": 1}, "inputs: there is none named 'no'"),
        ({"click_coordinates": "[1,1]", "masks": "/etc/passwd"}, "masks: 'passwd' is not here"),
        ({"click_coordinates": "[1,1]", "video": "/etc/passwd"}, "video: requests of the page are for the clip that"),
    ],
)
@pytest.mark.parametrize("path", ["preview", "track", "write", "read"])
def test_a_refusal_is_the_requests_own_sentence(asked: Page, path: str, inputs: dict[str, Any], sentence: str) -> None:
    refusal = asked.post(path, inputs, frame=0)
    assert refusal.status == 422
    assert refusal.json["error"].startswith(sentence)


@pytest.mark.parametrize("frame", [None, "1", 1.5, True, -1, COUNT, 10**30])
def test_a_frame_that_is_none_is_refused(asked: Page, frame: Any) -> None:
    assert asked.post("preview", frame=frame).status == 422
    assert asked.post("preview", frame=frame).json["error"].startswith("frame: ")


def test_pictures_have_their_time_and_end_with_the_clip(asked: Page) -> None:
    assert asked.get("frame/3").headers["frame-seconds"] == "0.125000"
    assert asked.get(f"frame/{COUNT}").status == 404
    assert asked.get("frame/x").status == 404


def test_typed_strings_come_back_as_clicks(asked: Page) -> None:
    inputs = {
        "click_coordinates": "[[10,12],[20,20],[5,5,30,30],[40.5,9]]",
        "click_labels": "1,0,1,1",
        "click_frames": "0,0,2,5",
        "click_object_ids": "a,a,b,a",
        "click_corrections": "0,0,0,1",
    }
    entries = asked.post("read", inputs).json["entries"]
    shown = [
        (entry["name"], entry["frame"], tuple(entry["at"]), entry["label"], entry["corrects"]) for entry in entries
    ]
    assert shown == [
        ("a", 0, (10, 12), 1, False),
        ("a", 0, (20, 20), 0, False),
        ("a", 5, (40.5, 9), 1, True),
        ("b", 2, (5, 5, 30, 30), 1, False),
    ]


def test_the_masks_that_a_click_may_mean_have_scores(asked: Page) -> None:
    inputs = {"click_coordinates": "[30,32],[5,5]", "click_object_ids": "a,b", "click_candidates": "2,0"}
    scores = asked.post("candidates", inputs, frame=0, name="a").json["scores"]
    assert len(scores) == 3 and all(isinstance(score, float) for score in scores)
    (entry, other) = asked.post("read", inputs).json["entries"]
    assert (entry["candidate"], other["candidate"]) == (2, 0)
    shown = {mask["name"]: mask["score"] for mask in asked.post("preview", inputs, frame=0).json["masks"]}
    assert shown["a"] == pytest.approx(scores[1])
    refusal = asked.post("candidates", inputs, frame=1, name="a")
    assert refusal.status == 422
    assert refusal.json["error"] == "candidates: no click starts an object named 'a' on frame 1"


def test_the_form_has_every_input_that_is_no_click_and_no_file(asked: Page) -> None:
    facts = asked.address.ask("GET", "/api/facts").json
    shown = {entry["name"]: entry["default"] for entry in facts["inputs"]}
    elsewhere = {*FILES, "mask_frames", *facts["defaults"]}
    assert shown.keys() | elsewhere == Request.__dataclass_fields__.keys()
    assert all(isinstance(default, str | int | float) for default in shown.values())  # what a form can hold
    assert Request(Path("a"), "[1,1]", **shown) == Request(Path("a"), "[1,1]")
    assert {name: of for name, of in facts["pictures"].items() if any(of)} == {
        "png": [".png", ".png"],
        "webp": [".webp", ".png"],
        "jpg": [".jpg", ".png"],
    }
    assert facts["suffixes"].keys() == set(next(e["choices"] for e in facts["inputs"] if e["name"] == "output_format"))


# Tracking.


def test_masks_come_through_bit_for_bit_and_the_lanes_with_them(
    page: Page, demo_model: LoadedModel, clip: Path, tmp_path: Path
) -> None:
    preview = page.post("preview", frame=0).json
    assert preview["stale"] == {"disc": 0}
    events = page.events("track")
    assert events[0] == {"total": COUNT} and events[-1] == {"end": "done"}
    assert [event["frame"] for event in events[1:-1]] == list(range(COUNT))

    request = Request(clip, **INPUTS, mask_type="binary", output_format="png")
    expected = written_masks(segment_video(request, demo_model, tmp_path / "masks.zip").path, "disc")
    found = [page.get(f"masks/{frame}").json["masks"] for frame in range(COUNT)]
    assert expected[0].any()
    assert all(np.array_equal(decoded(mask), expected[frame]) for frame, (mask,) in enumerate(found))
    assert np.array_equal(decoded(preview["masks"][0]), expected[0])

    lanes = page.get("lanes").json["lanes"]
    values = [lane_value(mask["score"]) if mask["box"] else ABSENT for (mask,) in found]
    assert list(b64decode(lanes["disc"])) == values == [event["lanes"]["disc"] for event in events[1:-1]]
    assert page.post("preview", frame=5).json["stale"] == {}


def test_an_undo_brings_tracks_back_without_tracking(page: Page) -> None:
    page.events("track")
    before = page.get("masks/4").json, page.get("lanes").json["lanes"]
    other = {**INPUTS, "click_coordinates": "[5,5]"}
    page.events("track", other)
    assert page.get("masks/4").json != before[0]
    edition = page.post("preview", other, frame=4).json["edition"]
    back = page.post("preview", frame=4).json
    assert back["stale"] == {} and back["edition"] != edition
    assert (page.get("masks/4").json, page.get("lanes").json["lanes"]) == before


def test_a_small_part_is_left_out_where_it_is_asked_for(asked: Page) -> None:
    first = asked.post("preview", frame=0).json
    second = asked.post("preview", {**INPUTS, "smallest_part": 50}, frame=0).json
    assert second["edition"] != first["edition"]


def test_tracking_stops_and_goes_on(page: Page) -> None:
    page.ready()
    clip = page.desk.clip(page.ready()["id"])
    events = clip.track(INPUTS)
    assert [next(events)["total"], next(events)["frame"], next(events)["frame"]] == [COUNT, 0, 1]
    assert page.post("track").status == 409
    assert page.post("write").status == 409
    assert page.post("stop").status == 200
    assert list(events) == [{"end": "stopped"}]
    assert page.post("preview", frame=0).json["stale"] == {"disc": 2}
    assert [event.get("frame") for event in page.events("track")][1:-1] == list(range(2, COUNT))


def test_a_listener_who_leaves_stops_the_work(page: Page) -> None:
    body = json.dumps({"clip": page.ready()["id"], "inputs": INPUTS}).encode()
    connection = http.client.HTTPConnection("127.0.0.1", page.address.port)
    connection.request("POST", "/api/track", body, {"Content-Type": "application/json"})
    assert connection.getresponse().readline() == b'{"total":8}\n'
    connection.close()
    for _ in range(500):
        if not page.desk.clip(page.ready()["id"]).is_busy:
            break
        time.sleep(0.02)
    assert page.events("track")[-1] == {"end": "done"}


# Results.


RESULTS: list[dict[str, Any]] = [
    {"mask_type": "binary", "output_format": "png"},
    {"output_format": "jpg", "output_quality": 50},
    {"output_format": "webp", "annotation_type": "both", "output_frame_interval": 3},
    {},
]


def test_a_result_is_that_of_the_command_line_and_needs_no_network(
    page: Page, demo_model: LoadedModel, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page.events("track")
    monkeypatch.setattr(Steps, "encode", lambda *arguments: pytest.fail("the network ran"))
    for number, more in enumerate(RESULTS):
        last = page.events("write", {**INPUTS, **more})[-1]
        answer = page.address.ask("GET", last["file"])
        name = "disc_result.zip" if more else "disc_result.mp4"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert (last["name"], last["bytes"]) == (name, len(answer.body))
        (tmp_path / str(number)).write_bytes(answer.body)
    monkeypatch.undo()
    for number, more in enumerate(RESULTS):
        expected = tmp_path / ("out.zip" if more else "out.mp4")
        segment_video(Request(clip, **INPUTS, **more), demo_model, expected)
        same = contents if more else pixels
        assert same(tmp_path / str(number)) == same(expected)


def test_a_part_of_the_clip_is_that_of_the_command_line(
    page: Page, demo_model: LoadedModel, clip: Path, tmp_path: Path
) -> None:
    more: dict[str, Any] = {
        "start_frame": 0,
        "end_frame": 4,
        "frame_stride": 2,
        "output_format": "png",
        "mask_type": "binary",
    }
    assert {"start_frame", "end_frame", "frame_stride"} <= {
        one["name"] for one in page.address.ask("GET", "/api/facts").json["inputs"]
    }
    (tmp_path / "part.zip").write_bytes(
        page.address.ask("GET", page.events("write", {**INPUTS, **more})[-1]["file"]).body
    )
    segment_video(Request(clip, **INPUTS, **more), demo_model, tmp_path / "out.zip")
    assert contents(tmp_path / "part.zip") == contents(tmp_path / "out.zip")


def contents(archive: Path) -> Any:
    with zipfile.ZipFile(archive) as opened_archive:
        return {name: opened_archive.read(name) for name in opened_archive.namelist()}


def pixels(video: Path) -> Any:
    return [frame.image.tobytes() for frame in read_frames(probe(video))]


def test_only_the_last_result_is_kept(page: Page) -> None:
    first, second = (page.events("write")[-1]["file"] for _ in range(2))
    assert page.address.ask("GET", first).status == 404
    assert page.address.ask("GET", second).status == 200
    assert page.address.ask("GET", "/api/result/..").status == 404


def test_writing_what_was_not_tracked_tracks_it_and_can_be_stopped(page: Page) -> None:
    clip = page.desk.clip(page.ready()["id"])
    folder = page.desk.new_file("x").parent
    reports = clip.write(INPUTS, folder)
    next(reports)
    clip.stop()
    assert list(reports)[-1] == {"end": "stopped"}
    assert not list(folder.iterdir())
    folder.rmdir()
    assert page.events("write")[-1]["name"] == "disc_result.mp4"
    assert page.post("preview", frame=0).json["stale"] == {}


# The command.


COMMAND = ("ui", "--model", "demo", "--port", "0", "--no-browser")


def test_the_command_prints_its_address_and_stops_on_ctrl_c(clip: Path, tmp_path: Path) -> None:
    with program(*COMMAND, clip, folder=tmp_path) as it:
        it.until(lambda: "\n" in it.output)
        found = re.match(r"sam2-cog: http://127\.0\.0\.1:(\d+)/ ", it.output)
        assert found
        page = Page(Address(int(found[1])), Desk(lambda: pytest.fail("not this one")))
        facts = page.ready()
        assert (facts["state"], facts["frames"], facts["video"]) == ("ready", COUNT, str(clip))
        it.send_signal(signal.SIGINT)
        assert (it.wait(), "Traceback" in it.errors) == (0, False)


def test_with_a_host_of_its_own_the_address_holds_a_token(tmp_path: Path) -> None:
    with program(*COMMAND, "--host", "0.0.0.0", folder=tmp_path) as it:
        it.until(lambda: "\n" in it.output)
        found = re.match(r"sam2-cog: http://[^/]+:(\d+)/\?token=(\S{22}) ", it.output)
        assert found
        address = Address(int(found[1]))
        assert address.ask("GET", "/api/clip").status == 401
        assert address.ask("GET", f"/api/clip?token={found[2]}").json["state"] == "none"


def bad_inputs(folder: Path) -> dict[str, str]:
    """Files and folders that are no clip, each with what is said of it."""
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("no video")
    (folder / "photo.png").write_bytes(encode_image(numbered_frames(1, 64, 48)[0])[:100])
    (folder / "folder").mkdir()
    write_zip(folder / "notes.zip", [("notes.txt", b"no picture")])
    return {
        "no.mp4": "does not exist",
        "empty.mp4": "is empty",
        "text.mp4": "cannot be read as a video, an image or a zip of frames",
        "photo.png": "cannot be decoded",
        "folder": "is a folder without a video or",
        "notes.zip": "is a zip without a video or",
    }


def test_what_is_no_clip_is_refused_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "serve", lambda *_: pytest.fail("the page was started"))
    for name, words in bad_inputs(tmp_path).items():
        assert main(["ui", str(tmp_path / name), "--model", "demo", "--port", "0", "--no-browser"]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert said.startswith(f"sam2-cog: video: {name} {words}")


def test_all_that_can_be_opened_is_not_refused(clip: Path, tmp_path: Path) -> None:
    images = [(f"{side}.png", encode_image(numbered_frames(1, side, 48)[0])) for side in (64, 48)]
    shots = [(name, clip.read_bytes()) for name in ("a.mp4", "b.mp4")]
    for path in (clip, write_zip(tmp_path / "images.zip", images), write_zip(tmp_path / "shots.zip", shots)):
        command.check_clip(path)


def test_a_clip_whose_first_frame_comes_late_is_counted_before_it_is_refused(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be seen only when all frames are looked for."""

    def late(path: Path, *, first_only: bool, used: slice) -> None:
        raise UnreadableVideo("video: no frame so far")

    monkeypatch.setattr(command, "probe", late)
    command.check_clip(clip)
