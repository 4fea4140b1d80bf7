"""Frames by number, for somebody who looks around."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.media import footage as module
from sam2_cog.media.footage import Footage
from sam2_cog.media.frame_reader import FrameReader
from sam2_cog.media.video import probe
from tests.clips import children, frame_number, numbered_frames, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", numbered_frames(60), options=("-g", "10"))


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The frames at which a decoder was started."""
    seen: list[int] = []
    real = module.read_frames

    def watched(info: Any, start: int, stop: int | None) -> Generator[Any, None, None]:
        seen.append(start)
        return real(info, start, stop)

    monkeypatch.setattr(module, "read_frames", watched)
    return seen


def test_any_frame_is_the_one_asked_for(clip: Path) -> None:
    reader = FrameReader(Footage(probe(clip)))
    order = [0, 1, 2, 30, 29, 28, 59, 0, 45, 46, 60 - 1, *np.random.default_rng(0).integers(0, 60, 20).tolist()]
    for index in order:
        image = reader.read(index)
        assert frame_number(image) == index and image.shape == (48, 64, 3) and not image.flags.writeable
    reader.close()
    assert children() == []


def test_going_on_needs_no_new_decoder_and_the_last_frames_none(clip: Path, starts: list[int]) -> None:
    reader = FrameReader(Footage(probe(clip)))
    for index in [20, 21, 22, 25, 24, 23, 22, 21, 26]:
        reader.read(index)
    assert starts == [20]
    reader.read(19)
    assert starts == [20, 4], "whoever steps back reads the frames before it next"
    for index in range(18, 3, -1):
        reader.read(index)
    assert starts == [20, 4]
    reader.close()


def test_a_few_images_are_kept(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sam2_cog.media.frame_reader.KEPT_BYTES", 64 * 48 * 3 * 5)
    reader = FrameReader(Footage(probe(clip)))
    for index in range(40):
        reader.read(index)
    assert list(reader._images) == list(range(35, 40))
    reader.close()


def test_a_closed_reader_refuses(clip: Path) -> None:
    reader = FrameReader(Footage(probe(clip)))
    reader.read(3)
    assert len(children()) == 1
    reader.close()
    assert children() == []
    with pytest.raises(InvalidRequest, match=r"^video: clip.mp4 is closed, open it again$"):
        reader.read(3)


def test_a_file_that_changed_is_said_each_time(clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    reader = FrameReader(Footage(probe(copy)))
    reader.read(0)
    copy.unlink()
    for _ in range(2):
        with pytest.raises(UnreadableVideo, match=r"^video: copy.mp4 is no longer there$"):
            reader.read(50)
    reader.close()
