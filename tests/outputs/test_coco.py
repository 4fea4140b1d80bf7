"""COCO, read by pycocotools, judged by COCOeval and loaded by supervision."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import supervision as sv
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, unpacked, write

LABELS = "annotations/instances_default.json"


@pytest.fixture
def folder(dataset_clip: VideoInfo, tmp_path: Path) -> Path:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=("bird_1", "bird_2"))
    return unpacked(write(spec, "coco", shapes_of))


def test_pycocotools_gives_every_mask_back(folder: Path, dataset_clip: VideoInfo) -> None:
    coco = COCO(folder / LABELS)
    assert [image["frame_index"] for image in coco.imgs.values()] == list(range(6))
    assert len(coco.anns) == 6 + 4 and min(coco.anns) == 1
    for annotation in coco.anns.values():
        number = coco.imgs[annotation["image_id"]]["frame_index"]
        mask = shapes_of(dataset_clip, number).objects[annotation["track_id"] - 1]
        assert (coco.annToMask(annotation).astype(bool) == mask.full()).all()
        assert annotation["area"] == mask.area == coco_mask.area(annotation["segmentation"])
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["iscrowd"] == 0 and annotation["category_id"] == 1
    assert [category["name"] for category in coco.cats.values()] == ["bird"]
    for image in coco.imgs.values():
        assert (folder / "images" / image["file_name"]).is_file()


def test_cocoeval_finds_the_truth_in_it(folder: Path) -> None:
    coco = COCO(folder / LABELS)
    keys = ("image_id", "category_id", "segmentation")
    found = coco.loadRes([{key: one[key] for key in keys} | {"score": 0.9} for one in coco.anns.values()])
    judge = COCOeval(coco, found, "segm")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    assert judge.stats[0] == 1.0


def test_supervision_loads_it(folder: Path, dataset_clip: VideoInfo) -> None:
    data = sv.DetectionDataset.from_coco(str(folder / "images"), str(folder / LABELS), force_masks=True)
    assert data.classes == ["bird"] and len(data) == 6
    for path, image, detections in data:
        masks = [mask for mask in shapes_of(dataset_clip, int(Path(path).stem[-5:])).objects if mask.area]
        assert image.shape == (64, 96, 3) and len(detections) == len(masks) and detections.mask is not None
        assert all((seen == mask.full()).all() for seen, mask in zip(detections.mask, masks, strict=True))


@pytest.mark.parametrize(("images", "suffix"), [("png", ".png"), ("none", ".jpg")])
def test_frames_can_be_png_or_left_out(images: Any, suffix: str, dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), frame_images=images, frame_interval=2)
    folder = unpacked(write(spec, "coco", shapes_of))
    names = [image["file_name"] for image in json.loads((folder / LABELS).read_text())["images"]]
    assert names == [f"my clip_ é_{number:05d}{suffix}" for number in (0, 2, 4)]
    assert sorted(path.name for path in folder.glob("images/*")) == (names if images == "png" else [])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [entry["frame"] for entry in manifest["frames"]] == [0, 2, 4]


def test_a_clip_without_any_mask_is_still_a_data_set(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    from sam2_cog.masks import no_masks

    spec = spec_for(dataset_clip, tmp_path / "out.zip")
    folder = unpacked(write(spec, "coco", lambda info, index: no_masks(index, 2, (64, 96))))
    labels = json.loads((folder / LABELS).read_text())
    assert labels["annotations"] == [] and len(labels["images"]) == 6 and len(labels["categories"]) == 2
    assert np.all([one["id"] for one in labels["images"]] == np.arange(1, 7))
