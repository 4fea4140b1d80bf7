"""YOLO segmentation, read by a loader that cuts decimals off, by one that rounds, and by supervision."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision as sv

from sam2_cog.masks import ObjectMask, mask_iou
from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, unpacked, write


@pytest.fixture
def folder(dataset_clip: VideoInfo, tmp_path: Path) -> Path:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=('a "b": c', "cat"))
    return unpacked(write(spec, "yolo", shapes_of))


def read(line: str, to_pixels: Callable[[np.ndarray], np.ndarray]) -> tuple[int, np.ndarray]:
    """A label as Ultralytics reads it: seven or more values, shares times the size, whole numbers, filled by OpenCV."""
    category, *numbers = line.split()
    assert len(numbers) >= 6 and all(0 <= float(number) <= 1 for number in numbers)
    points = np.array(numbers, np.float32).reshape(-1, 2) * np.array([96, 64], np.float32)
    mask = np.zeros((64, 96), np.uint8)
    cv2.fillPoly(mask, [to_pixels(points).astype(np.int32)], 1)
    return int(category), mask.astype(bool)


@pytest.mark.parametrize("to_pixels", [np.trunc, np.round], ids=["ultralytics cuts", "others round"])
def test_masks_come_back_with_their_holes(
    to_pixels: Callable[[np.ndarray], np.ndarray], folder: Path, dataset_clip: VideoInfo
) -> None:
    for number in range(6):
        lines = (folder / f"labels/my clip_ é_{number:05d}.txt").read_text().splitlines()
        masks = [(index, mask) for index, mask in enumerate(shapes_of(dataset_clip, number).objects) if mask.area]
        assert len(lines) == len(masks)
        for line, (index, mask) in zip(lines, masks, strict=True):
            category, seen = read(line, to_pixels)
            assert category == index
            joint = 14 if index == 0 else 0  # the line that joins the part apart is all that is too much
            assert np.count_nonzero(seen & ~mask.full()) <= joint and not (mask.full() & ~seen).any()
            if not joint:
                assert mask_iou(ObjectMask.of(seen), mask) == 1


def test_supervision_loads_it(folder: Path, dataset_clip: VideoInfo) -> None:
    data = sv.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert data.classes == ['a "b": c', "cat"] and len(data) == 6
    for path, _, detections in data:
        masks = [mask for mask in shapes_of(dataset_clip, int(Path(path).stem[-5:])).objects if mask.area]
        assert detections.mask is not None and len(detections) == len(masks)
        for seen, mask in zip(detections.mask, masks, strict=True):
            assert mask_iou(ObjectMask.of(seen), mask) > 0.98  # less than 1 by the line that joins the part apart


def test_the_description_has_no_path_and_a_frame_without_objects_an_empty_file(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "data.yaml").read_text().splitlines()
    assert lines[:3] == ["train: images", "val: images", "names:"]
    assert json.loads(lines[3].partition(": ")[2]) == 'a "b": c'
    stems = {path.stem for path in folder.glob("images/*.jpg")}
    assert stems == {path.stem for path in folder.glob("labels/*.txt")} and len(stems) == 6
