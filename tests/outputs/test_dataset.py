"""Categories, and data sets of objects and clips with any names."""

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sam2_cog.media.video import VideoInfo
from sam2_cog.outputs.dataset import categories
from tests.outputs.written import shapes_of, spec_for, unpacked, write

ODD = ("\N{DOG FACE} \"<&>': \uffff\\", "../../etc/passwd")


@pytest.mark.parametrize(
    ("names", "found", "of_each"),
    [
        (("bird_1", "bird_2"), ("bird",), (0, 0)),
        (("cat", "bird 1", "cat3", "bird"), ("cat", "bird"), (0, 1, 0, 1)),
        (("1", "2", "a.10", "#7"), ("1", "2", "a", "#7"), (0, 1, 2, 3)),
        (("bird-1", "bird 02", "bird#3", "bird.4"), ("bird",), (0, 0, 0, 0)),
        (("dog1", "cat", "dog2"), ("dog", "cat"), (0, 1, 0)),
        (("R2D2", "r2d2", "dog1"), ("R2D2", "r2d2", "dog1"), (0, 1, 2)),
        (("R2D2_1", "R2D2_2", "C3PO"), ("R2D2", "C3PO"), (0, 0, 1)),
    ],
)
def test_a_category_is_a_name_without_the_number_that_counts_objects(
    names: tuple[str, ...], found: tuple[str, ...], of_each: tuple[int, ...]
) -> None:
    assert categories(names) == (found, of_each)


def test_odd_names_are_read_back_and_lead_nowhere(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    expected = [ODD[0].replace("\uffff", "_"), ODD[1]]
    for kind in ("yolo", "cvat", "label_studio", "x_anylabeling", "davis", "coco", "ytvis"):
        (tmp_path / kind).mkdir()
        spec = replace(spec_for(dataset_clip, tmp_path / kind / "out.zip"), names=ODD, frame_images="none")
        folder = unpacked(write(spec, kind, shapes_of))
        assert {path.name for path in (tmp_path / kind).iterdir()} == {"out.zip", "out"}
        if kind == "yolo":
            assert list(yaml.safe_load((folder / "data.yaml").read_text())["names"].values()) == expected
        if kind == "cvat":
            labels = ET.parse(folder / "annotations.xml").getroot().iter("label")
            assert [label.findtext("name") for label in labels] == expected
        if kind == "label_studio":
            values = ET.parse(folder / "video_interface.xml").getroot().iter("Label")
            assert [label.attrib["value"] for label in values] == expected
