"""Uploaded clips: what is taken, how many, for how long, and that nothing stays."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.exceptions import HTTPException

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.limits import IDLE_SECONDS
from sam2_cog.x_anylabeling import clips as module
from sam2_cog.x_anylabeling.clips import Clips
from sam2_cog.x_anylabeling.shapes import read_prompt
from tests.clips import encode_image, numbered_frames
from tests.x_anylabeling.client import data_url, init_body, prompt_body

FRAMES = init_body(numbered_frames(2, 64, 48))["frames"]


@pytest.fixture
def clips(demo_model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clips]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with closing(Clips(demo_model)) as made:
        yield made
    assert list(tmp_path.iterdir()) == []


def test_frames_become_a_clip_of_their_size(clips: Clips) -> None:
    info = clips.get(clips.open(FRAMES)).session.info
    assert (info.width, info.height, info.frame_count) == (64, 48, 2)


@pytest.mark.parametrize(
    ("frames", "sentence"),
    [
        ([], "frames: there are none"),
        ("text", "frames: there are none"),
        ([*FRAMES, 5], "frames: frame 2 is not a data URL"),
        (["data:image/jpeg,abc"], "frames: frame 0 is not a data URL"),
        (["data:image/tiff;base64,abcd"], "frames: frame 0 is 'image/tiff', but"),
        (["data:image/png;base64,@@@"], "frames: frame 0 is not base64"),
        ([data_url(b"no image")], "video: frames.zip holds an image that cannot be decoded"),
        (
            [*FRAMES, data_url(encode_image(np.zeros((9, 9, 3), np.uint8), "JPEG"))],
            "video: frames.zip .* all must be equal",
        ),
    ],
)
def test_what_is_no_clip_is_refused_and_leaves_nothing(clips: Clips, frames: Any, sentence: str) -> None:
    with pytest.raises((InvalidRequest, UnreadableVideo), match=f"^{sentence}"):
        clips.open(frames)


def test_of_too_many_the_one_used_longest_ago_is_closed(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OPEN", 2)
    first, second = clips.open(FRAMES), clips.open(FRAMES)
    clips.get(first)
    third = clips.open(FRAMES)
    assert clips.get(first) and clips.get(third)
    for gone in (second, "none", None):
        with pytest.raises(HTTPException, match="no longer open"):
            clips.get(gone)


def test_idle_ones_are_closed_but_none_that_is_tracked(clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(IDLE_SECONDS.variable, "60")
    idle, busy, used = (clips.open(FRAMES) for _ in range(3))
    for name in (idle, busy):
        clips.get(name).last_used -= 61
    with clips._open[busy].busy:
        clips.tend()
    assert clips.get(busy) and clips.get(used)
    with pytest.raises(HTTPException, match="no longer open"):
        clips.get(idle)


def test_after_a_finished_track_other_clicks_are_the_next_object(clips: Clips) -> None:
    clip = clips.get(clips.open(FRAMES))
    numbers = []
    for x, finished in ((0.5, False), (0.6, True), (0.6, True), (0.2, False)):
        clip.prompt(read_prompt(prompt_body("s", 0, [(x, 0.5)]), clip.session.info), 0.001)
        numbers.append(clip.number)
        clip.finished = finished
    assert numbers == [1, 1, 1, 2]
