"""Windows far into clips without an index: the frames of a full read, found without decoding all that lies before."""

import gc
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sam2_cog.media import decode, indexed_copy, video
from sam2_cog.media.indexed_copy import copy_stream
from sam2_cog.media.video import VideoInfo, probe, read_frames
from tests.clips import children, frame_number, numbered_frames, write_clip

COUNT = 150
FRAMES = numbered_frames(COUNT)
OFTEN = ("-g", "12", "-bf", "2")
MPEG2: dict[str, Any] = {"codec": "mpeg2video", "options": OFTEN}
CLIPS: dict[str, dict[str, Any]] = {
    "a.ts": {"options": OFTEN, "audio_seconds": 6},
    "late.ts": {"options": (*OFTEN, "-output_ts_offset", "5000")},
    "open.ts": {"options": ("-bf", "3", "-x264-params", "open_gop=1:keyint=12:scenecut=0")},
    "a.mpg": MPEG2,
    "a.avi": {"codec": "mpeg4", "options": OFTEN},
    "stills.avi": {"codec": "mjpeg", "pix_fmt": "yuvj420p"},
    "h264.avi": {"options": OFTEN},
    "a.flv": {"options": OFTEN},
}


@pytest.fixture(params=CLIPS)
def info(request: pytest.FixtureRequest, tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / request.param, FRAMES, **CLIPS[request.param]))


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each ffmpeg that decodes: whether it begins in the middle."""
    found: list[bool] = []
    original = decode.running

    def spy(command: list[str], *rest: Any) -> Any:
        found.append("-ss" in command)
        return original(command, *rest)

    monkeypatch.setattr(decode, "running", spy)
    return found


def images(frames: Iterator[video.Frame]) -> np.ndarray:
    return np.stack([frame.image for frame in frames])


def test_windows_from_the_back_begin_in_the_middle(info: VideoInfo, starts: list[bool]) -> None:
    assert list(info.seek_points) == []
    whole = images(read_frames(info))
    assert [frame_number(image) for image in whole] == list(range(COUNT))
    starts.clear()
    for start in (COUNT - 1, COUNT - 32, 81):
        window = list(read_frames(info, start, min(start + 32, COUNT)))
        assert [frame.index for frame in window] == list(range(start, start + len(window)))
        assert np.array_equal(images(iter(window)), whole[start : start + 32])
        assert [frame.time_seconds for frame in window] == pytest.approx(info.frame_times[start : start + 32])
    assert starts == [True] * 3


@pytest.fixture
def h264_avi(tmp_path: Path) -> VideoInfo:
    """Its packets do not say when their frames are shown."""
    return probe(write_clip(tmp_path / "a.avi", FRAMES, options=OFTEN))


def test_frames_are_counted_from_a_key_frame_where_packets_do_not_say_when_they_are_shown(
    h264_avi: VideoInfo, starts: list[bool]
) -> None:
    """Numbered as they are stored, the third after a key frame would come in place of the fourth."""
    wanted = [*range(84, 97), *range(130, COUNT)]
    found = [frame_number(frame.image) for start in wanted for frame in read_frames(h264_avi, start, start + 1)]
    assert found == wanted and starts == [True] * len(wanted)


@pytest.mark.parametrize("wrong", [85, 90, 144])
def test_frames_are_not_counted_from_another_frame(h264_avi: VideoInfo, starts: list[bool], wrong: int) -> None:
    """Behind no key frame, and the last one, at which ffmpeg's seek does not land: all is read instead."""
    source, _ = decode.decoding_begins(h264_avi, 100)
    astray = replace(source, seek_points=np.array([0, wrong]))
    with closing(decode.decode(astray, range(wrong + 1, wrong + 3))) as found:
        assert [frame_number(image) for image in found] == [wrong + 1, wrong + 2]
    assert starts == [True, False]


def test_frames_are_not_counted_where_a_decoder_might_lose_one(h264_avi: VideoInfo) -> None:
    assert h264_avi.order is not None and h264_avi.order.held_back == 1
    copy = copy_stream(h264_avi)
    assert copy is not None and copy.counted and list(copy.key_frames) == list(range(0, 144, 12))
    assert copy_stream(replace(h264_avi, order=replace(h264_avi.order, held_back=9))) is None
    assert copy_stream(replace(h264_avi, order=None)) is None


@pytest.mark.parametrize("suffix", ["avi", "ts", "flv"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_what_only_its_packet_calls_a_key_frame_is_none(tmp_path: Path, suffix: str, bframes: int) -> None:
    """A picture that is refreshed bit by bit: what is decoded from there is damaged at first."""
    refresh = ("-x264-params", f"intra_refresh=1:keyint=24:scenecut=0:bframes={bframes}")
    moving = np.stack([np.roll(frame, 3 * number, axis=0) for number, frame in enumerate(FRAMES)])
    info = probe(write_clip(tmp_path / f"a.{suffix}", moving, options=refresh))
    whole = images(read_frames(info))
    for start in range(84, COUNT, 3):
        assert np.array_equal(next(read_frames(info, start, start + 1)).image, whole[start]), start
    assert copy_stream(info) is None


def test_a_clip_with_one_key_frame_is_read_from_its_beginning(tmp_path: Path, starts: list[bool]) -> None:
    info = probe(write_clip(tmp_path / "a.gif", FRAMES, codec="gif", pix_fmt="rgb8", rate=25))
    starts.clear()
    assert [frame_number(frame.image) for frame in read_frames(info, 140)] == list(range(140, COUNT))
    assert starts == [False]


def test_nothing_is_left_of_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.ts", FRAMES, options=OFTEN)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    gc.collect()  # what tests before this one left
    before = os.listdir("/proc/self/fd")
    info = probe(clip)
    frames = read_frames(info, 100)
    next(frames)
    frames.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a.ts"] and children() == []
    del info, frames
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_full_disk_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.ts", FRAMES, options=OFTEN)
    info = probe(clip)
    full = SimpleNamespace(TemporaryFile=lambda: Path("/dev/full").open("r+b"))  # noqa: SIM115
    monkeypatch.setattr(indexed_copy, "tempfile", full)
    assert copy_stream(info) is None


def test_a_copy_with_other_times_is_not_used(tmp_path: Path) -> None:
    info = probe(write_clip(tmp_path / "a.ts", FRAMES, options=OFTEN))
    assert copy_stream(info) is not None
    assert copy_stream(replace(info, pts=info.pts[1:])) is None
    moved = info.pts.copy()
    moved[70:] += round(0.02 / info.time_base)
    assert copy_stream(replace(info, pts=moved)) is None
