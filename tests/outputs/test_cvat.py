"""CVAT for video 1.1: what its documentation demands of the XML, and polygons that fill to the masks."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

from pycocotools import mask as coco_mask

from sam2_cog.masks import ObjectMask, mask_iou
from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, unpacked, write


def test_tracks_are_polygons_that_end_where_the_object_is_gone(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=("ring & <co>", "cat_2"))
    folder = unpacked(write(spec, "cvat", shapes_of))
    root = ET.parse(folder / "annotations.xml").getroot()
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iter("label")] == ["ring & <co>", "cat"]
    assert root.findtext("meta/task/size") == "6" and root.findtext("meta/task/mode") == "interpolation"
    tracks = root.findall("track")
    assert [track.attrib for track in tracks] == [
        {"id": "0", "label": "ring & <co>", "source": "auto"},
        {"id": "1", "label": "cat", "source": "auto"},
    ]
    for index, track in enumerate(tracks):
        shapes = {int(shape.attrib["frame"]): shape for shape in track}
        assert list(shapes) == list(range(6))
        for number, shape in shapes.items():
            mask = shapes_of(dataset_clip, number).objects[index]
            assert shape.tag == "polygon" and (shape.attrib["keyframe"], shape.attrib["occluded"]) == ("1", "0")
            assert shape.attrib["outside"] == str(int(not mask.area))
            if mask.area:
                assert mask_iou(filled(shape.attrib["points"]), mask) > 0.97


def filled(points: str) -> ObjectMask:
    """The polygon as pixels, by the library with which CVAT makes masks of polygons."""
    ring = [float(part) for pair in points.split(";") for part in pair.split(",")]
    return ObjectMask.of(coco_mask.decode(coco_mask.frPyObjects([ring], 64, 96)[0]).astype(bool))
