"""YouTube-VIS: lists as long as the clip, which pycocotools decodes; read as the challenge's loader reads it."""

import json
from dataclasses import replace
from pathlib import Path

from pycocotools import mask as coco_mask

from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, unpacked, write


def test_every_track_decodes_to_its_masks(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=("bird 1", "cat"))
    folder = unpacked(write(spec, "ytvis", shapes_of))
    labels = json.loads((folder / "instances.json").read_text())
    (video,) = labels["videos"]
    assert (video["id"], video["width"], video["height"], video["length"]) == (1, 96, 64, 6)
    assert all((folder / "JPEGImages" / name).is_file() for name in video["file_names"])
    assert [category["name"] for category in labels["categories"]] == ["bird", "cat"]
    for index, track in enumerate(labels["annotations"]):
        assert (track["id"], track["video_id"], track["category_id"]) == (index + 1, 1, index + 1)
        for number in range(video["length"]):
            shape, area, box = (track[name][number] for name in ("segmentations", "areas", "bboxes"))
            mask = shapes_of(dataset_clip, number).objects[index]
            if mask.tight is None:
                assert shape is area is box is None
            else:
                assert (coco_mask.decode(shape).astype(bool) == mask.full()).all()
                assert area == mask.area and box == coco_mask.toBbox(shape).tolist()
    assert len(labels["annotations"]) == 2
