"""Clips, shots and images as one thing: frames by number, each with its own size and name."""

from pathlib import Path

import numpy as np
import pytest

from sam2_cog.errors import UnreadableVideo
from sam2_cog.media.footage import opened_footage
from tests.clips import encode_image, frame_number, numbered_frames, write_clip, write_zip

SIDES = ((64, 48), (80, 48), (48, 80))


@pytest.fixture(params=["clip", "zip", "folder", "shots"])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, list[tuple[int, int]], list[str]]:
    """Something to open, with the (width, height) and the label of each frame."""
    if request.param == "clip":
        return write_clip(tmp_path / "clip.mp4", numbered_frames(3)), [(64, 48)] * 3, [""] * 3
    if request.param == "shots":
        folder = tmp_path / "shots"
        folder.mkdir()
        write_clip(folder / "a.mp4", numbered_frames(2))
        write_clip(folder / "b.mp4", numbered_frames(3, 48, 80)[2:])
        return folder, [(64, 48), (64, 48), (48, 80)], ["0:0 a.mp4", "0:1 a.mp4", "1:0 b.mp4"]
    names = ["a.png", "b.png", "c.png"]
    pictures = [encode_image(numbered_frames(number + 1, *side)[number]) for number, side in enumerate(SIDES)]
    if request.param == "zip":
        return write_zip(tmp_path / "set.zip", list(zip(names, pictures, strict=True))), list(SIDES), names
    (tmp_path / "set").mkdir()
    for name, picture in zip(names, pictures, strict=True):
        (tmp_path / "set" / name).write_bytes(picture)
    return tmp_path / "set", list(SIDES), names


def test_each_frame_has_its_number_its_size_and_its_name(made: tuple[Path, list[tuple[int, int]], list[str]]) -> None:
    path, sizes, labels = made
    with opened_footage(path) as footage:
        assert footage.frame_count == footage.info.frame_count == len(footage.info.frame_times) == 3
        assert (footage.width, footage.height) == tuple(np.max(sizes, axis=0)) and footage.info.path == path
        assert [footage.size(number)[::-1] for number in range(3)] == sizes
        assert [footage.label(number) for number in range(3)] == labels
        for start, stop in ((0, None), (1, 3), (2, 3), (0, 1)):
            frames = list(footage.read(start, stop))
            assert [frame.index for frame in frames] == list(range(3)[start:stop])
            for frame in frames:
                assert frame_number(frame.image) == frame.index and frame.image.shape[1::-1] == sizes[frame.index]
        picked = list(footage.pick([0, 2]))
        assert [frame.index for frame in picked] == [frame_number(frame.image) for frame in picked] == [0, 2]


def test_images_are_reached_without_those_before(tmp_path: Path) -> None:
    good = encode_image(numbered_frames(1)[0])
    path = write_zip(tmp_path / "set.zip", [("a.png", good), ("b.png", encode_image(numbered_frames(1, 48, 80)[0]))])
    with opened_footage(path) as footage:
        write_zip(path, [("a.png", good[:-40]), ("b.png", encode_image(numbered_frames(1, 48, 80)[0]))])
        assert next(footage.read(1, 2)).index == 1
        with pytest.raises(UnreadableVideo, match="cannot be decoded"):
            next(footage.read(0, 1))


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVideo, match=r"^video: nothing.zip does not exist$"), opened_footage("nothing.zip"):
        pass
