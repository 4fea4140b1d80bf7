"""X-AnyLabeling's files: the keys that its loader needs, and polygons that fill to the masks."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from sam2_cog.masks import ObjectMask, mask_iou
from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, unpacked, write


def test_each_frame_has_its_file_with_the_same_stem_beside_it(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=("ring_1", "cat"))
    folder = unpacked(write(spec, "x_anylabeling", shapes_of)) / "my clip_ é"
    for number in range(6):
        stem = f"my clip_ é_{number:05d}"
        content = json.loads((folder / f"{stem}.json").read_text())
        assert content["imagePath"] == f"{stem}.jpg" and content["imageData"] is None
        assert Image.open(folder / content["imagePath"]).size == (content["imageWidth"], content["imageHeight"])
        for index, mask in enumerate(shapes_of(dataset_clip, number).objects):
            shapes = [shape for shape in content["shapes"] if shape["group_id"] == index + 1]
            assert {shape["label"] for shape in shapes} <= {("ring", "cat")[index]}
            assert all(shape["shape_type"] == "polygon" and len(shape["points"]) > 2 for shape in shapes)
            canvas = np.zeros((64, 96), np.uint8)
            for shape in shapes:
                cv2.fillPoly(canvas, [np.array(shape["points"]).astype(np.int32)], 1)
            assert mask_iou(ObjectMask.of(canvas.astype(bool)), mask) > 0.97
            assert len(shapes) == (2 if index == 0 else int(mask.area > 0))
