"""Windows from the back of clips that decode only from far before them: the frames of a full read, decoded once."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam2_cog.media import decode, decoded_copy, video
from sam2_cog.media.decoded_copy import copy_images, images_that_fit
from sam2_cog.media.video import VideoInfo, part_of, pick_frames, probe, read_frames
from tests.clips import children, frame_number, numbered_frames, write_clip

COUNT, WINDOW = 230, 32
FRAMES = numbered_frames(COUNT)
ONE_KEY_FRAME = ("-g", "1000", "-bf", "2", "-x264-params", "scenecut=0")
CLIPS: dict[str, dict[str, Any]] = {
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8", "rate": 25},
    "one.mp4": {"options": ONE_KEY_FRAME},
    "one.ts": {"options": ONE_KEY_FRAME},
    "open.avi": {"options": ("-x264-params", "open_gop=1:keyint=12:scenecut=0:bframes=3:b_adapt=0")},
    "far.mkv": {"options": ("-g", "100", "-x264-params", "scenecut=0")},
}


def joined(folder: Path) -> Path:
    """A transport stream whose clock jumps in its middle."""
    part = write_clip(folder / "part.ts", FRAMES[: COUNT // 2], options=("-g", "12"))
    path = folder / "joined.ts"
    path.write_bytes(part.read_bytes() * 2)
    return path


@pytest.fixture(params=[*CLIPS, "joined.ts"])
def info(request: pytest.FixtureRequest, tmp_path: Path) -> VideoInfo:
    if request.param == "joined.ts":
        return probe(joined(tmp_path))
    return probe(write_clip(tmp_path / request.param, FRAMES, **CLIPS[request.param]))


@pytest.fixture
def gif(tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / "a.gif", FRAMES, **CLIPS["a.gif"]))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """For each ffmpeg that decodes: the first frame that comes out of it, and how many are decoded for that."""
    found: list[tuple[int, int]] = []
    original = decode._run

    def spy(info: VideoInfo, wanted: range, anchor: int) -> Any:
        found.append((wanted.start, wanted.stop - anchor))
        return original(info, wanted, anchor)

    monkeypatch.setattr(decode, "_run", spy)
    return found


def images(frames: Iterator[video.Frame]) -> np.ndarray:
    return np.stack([frame.image for frame in frames])


def backward(info: VideoInfo) -> Iterator[np.ndarray]:
    for stop in range(info.frame_count, 0, -WINDOW):
        frames = list(read_frames(info, max(0, stop - WINDOW), stop))
        assert [frame.index for frame in frames] == list(range(max(0, stop - WINDOW), stop))
        yield images(iter(frames))


def test_all_windows_from_the_back_are_the_frames_of_a_forward_read(
    info: VideoInfo, runs: list[tuple[int, int]]
) -> None:
    whole = images(read_frames(info))
    runs.clear()
    assert np.array_equal(np.concatenate(list(backward(info))[::-1]), whole)
    assert sum(decoded for _, decoded in runs) < 2 * info.frame_count, "each is decoded about once"


def test_single_frames_are_decoded_on_the_way_to_each_other(info: VideoInfo, runs: list[tuple[int, int]]) -> None:
    """In a clip with one key frame ten prompt frames cost one decode, not ten."""
    indices = [3, 40, 75, 76, 99, 120, 121, 180, 190, 229]
    whole = images(read_frames(info))
    runs.clear()
    found = list(pick_frames(info, indices))
    assert [frame.index for frame in found] == indices
    assert [frame.time_seconds for frame in found] == [float(info.frame_times[index]) for index in indices]
    assert np.array_equal(images(iter(found)), whole[indices])
    assert len(runs) == (3 if info.container.startswith("matroska") else 1), "once for each key frame"
    assert info not in decode._copies or decode._copies[info].decoded is None


def test_frames_are_picked_of_a_part_of_a_clip(gif: VideoInfo, runs: list[tuple[int, int]]) -> None:
    found = list(pick_frames(part_of(gif, range(50, 210, 3)), [0, 7, 50]))
    assert [frame.index for frame in found] == [0, 7, 50]
    assert [frame_number(frame.image) for frame in found] == [50, 71, 200] and len(runs) == 1


def test_nothing_runs_on_when_no_more_is_picked(gif: VideoInfo) -> None:
    picked = pick_frames(gif, [5, 100, 200])
    assert frame_number(next(picked).image) == 5 and children()
    picked.close()
    assert not children() and list(pick_frames(gif, [])) == []


def test_where_not_all_fit_there_are_several_copies(
    gif: VideoInfo, runs: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "images_that_fit", lambda image_bytes: 80)
    numbers = [frame_number(image) for window in backward(gif) for image in window]
    assert sorted(numbers) == list(range(COUNT))
    assert [start for start, _ in runs[:3]] == [COUNT - 80, COUNT - 2 * WINDOW - 80, COUNT - 4 * WINDOW - 80]


def test_a_single_frame_and_the_rest_of_a_clip_are_not_written_down(gif: VideoInfo) -> None:
    assert [frame_number(frame.image) for frame in read_frames(gif, 200, 201)] == [200]
    assert [frame_number(frame.image) for frame in read_frames(gif, 100)] == list(range(100, COUNT))
    assert gif not in decode._copies or decode._copies[gif].decoded is None


def test_what_was_written_down_serves_single_frames_too(gif: VideoInfo, runs: list[tuple[int, int]]) -> None:
    list(read_frames(gif, 190, 220))
    runs.clear()
    assert [frame_number(frame.image) for frame in read_frames(gif, 150, 151)] == [150] and not runs


def test_a_full_disk_costs_only_time(gif: VideoInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    full = SimpleNamespace(TemporaryFile=lambda buffering: Path("/dev/full").open("r+b", buffering=0))  # noqa: SIM115
    monkeypatch.setattr(decoded_copy, "tempfile", full)
    assert copy_images(iter(FRAMES), 0, COUNT, FRAMES.shape[1:3]) is None
    monkeypatch.setattr(decode, "images_that_fit", lambda image_bytes: 1000)
    assert [frame_number(frame.image) for frame in read_frames(gif, 180, 200)] == list(range(180, 200))


def test_no_more_is_written_than_is_allowed_or_half_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_MAX_DECODED_BYTES", "1000")
    assert images_that_fit(100) == 10
    monkeypatch.setenv("SAM2_MAX_DECODED_BYTES", "1000000")
    monkeypatch.setattr(decoded_copy.shutil, "disk_usage", lambda path: SimpleNamespace(free=5000))
    assert images_that_fit(100) == 25


def test_nothing_is_left_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.gif", FRAMES, **CLIPS["a.gif"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gc.collect()  # what tests before this one left
    before = os.listdir("/proc/self/fd")
    info = probe(clip)
    frames = read_frames(info, 190, 220)
    next(frames)
    frames.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"] and children() == []
    assert len(os.listdir("/proc/self/fd")) == len(before) + 1
    del info, frames
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_cancel_while_it_is_written_leaves_nothing(gif: VideoInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    class Cancelled(BaseException):
        pass

    def cancelled(images: Iterator[np.ndarray], *where: Any) -> None:
        next(images)
        raise Cancelled

    monkeypatch.setattr(decode, "copy_images", cancelled)
    with pytest.raises(Cancelled):
        read_frames(gif, 190, 220)
    assert children() == []
    monkeypatch.undo()
    assert [frame_number(frame.image) for frame in read_frames(gif, 190, 220)] == list(range(190, 220))
