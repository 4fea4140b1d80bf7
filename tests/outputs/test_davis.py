"""DAVIS, read by Pillow as its loaders read it, and by this project's own evaluation."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_cog.errors import InvalidRequest
from sam2_cog.evaluate.datasets import labelled_clips
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import VideoInfo
from sam2_cog.outputs import output_for
from tests.outputs.written import shapes_of, spec_for, unpacked, write


def overlapping(info: VideoInfo, index: int) -> FrameMasks:
    found = shapes_of(info, index)
    return replace(found, objects=(found.objects[0], ObjectMask.of(np.ones((info.height, info.width), bool))))


def test_pixels_are_the_objects_numbers_and_the_lower_one_is_on_top(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    folder = unpacked(write(spec_for(dataset_clip, tmp_path / "out.zip"), "davis", overlapping))
    name = "my clip_ é"
    for number in range(6):
        picture = Image.open(folder / f"Annotations/480p/{name}/{number:05d}.png")
        assert picture.mode == "P" and (picture.getpalette() or [])[:12] == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]
        expected = np.where(shapes_of(dataset_clip, number).objects[0].full(), 1, 2)
        assert (np.array(picture) == expected).all()
        assert (folder / f"JPEGImages/480p/{name}/{number:05d}.jpg").is_file()
    assert (folder / "ImageSets/2017/val.txt").read_text() == f"{name}\n"


def test_the_evaluation_takes_it_as_a_labelled_clip(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    folder = unpacked(write(spec_for(dataset_clip, tmp_path / "out.zip"), "davis", shapes_of))
    (clip,) = labelled_clips(folder)
    assert [target.value for target in clip.objects] == [1, 2]
    for target in clip.objects:
        for annotation in target.annotations:
            mask = shapes_of(dataset_clip, annotation.frame_index).objects[target.value - 1]
            assert (annotation.read() == mask.full()).all()


def test_more_objects_than_eight_bits_have_numbers_for_are_refused(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "o.zip"), names=tuple(f"o{number}" for number in range(255)))
    with pytest.raises(InvalidRequest, match=r"^output_format: davis holds at most 254 objects, but there are 255$"):
        output_for("davis", spec)
