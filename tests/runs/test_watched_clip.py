"""A clip as a run reads it: what is read of it once is decoded once, and counted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_cog.limits import Deadline
from sam2_cog.media import decode
from sam2_cog.media.shots import Shots
from sam2_cog.media.video import VideoInfo, probe
from sam2_cog.runs.watched_clip import WatchedClip, WatchedShots
from tests.clips import frame_number, numbered_frames, write_clip

COUNT = 140
ONE_KEY_FRAME = ("-g", "1000", "-x264-params", "scenecut=0")
PROMPTED = [0, 9, 40, 41, 66, 80, 99, 100, 120, 139]


@pytest.fixture
def info(tmp_path: Path) -> VideoInfo:
    return probe(write_clip(tmp_path / "a.mp4", numbered_frames(COUNT), options=ONE_KEY_FRAME))


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """What each ffmpeg that decodes is asked for."""
    found: list[range] = []
    original = decode._run

    def spy(info: VideoInfo, wanted: range, anchor: int) -> Any:
        found.append(wanted)
        return original(info, wanted, anchor)

    monkeypatch.setattr(decode, "_run", spy)
    return found


def test_prompt_frames_far_from_a_key_frame_cost_one_decode(info: VideoInfo, decodes: list[range]) -> None:
    counted: list[tuple[int, int]] = []
    clip = WatchedClip(info, len(PROMPTED), lambda done, total: counted.append((done, total)), Deadline())
    frames = list(clip.pick(PROMPTED))
    assert [(frame.index, frame_number(frame.image)) for frame in frames] == [(index, index) for index in PROMPTED]
    assert len(decodes) == 1
    assert counted == [(done + 1, len(PROMPTED)) for done in range(len(PROMPTED))] and clip.seconds > 0


def test_of_shots_each_is_decoded_once(info: VideoInfo, tmp_path: Path, decodes: list[range]) -> None:
    second = probe(write_clip(tmp_path / "b.mp4", np.flip(numbered_frames(COUNT), 0), options=ONE_KEY_FRAME))
    clip = WatchedShots(Shots(tmp_path, (info, second)), 4, lambda done, total: None, Deadline())
    frames = list(clip.pick([80, 100, COUNT + 70, COUNT + 90]))
    assert [frame.index for frame in frames] == [80, 100, COUNT + 70, COUNT + 90]
    assert [frame_number(frame.image) for frame in frames] == [80, 100, COUNT - 71, COUNT - 91]
    assert len(decodes) == 2
