"""Label Studio's tasks: brush masks decoded as its editor does, and box sequences held and hidden as it shows them."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.masks import ObjectMask
from sam2_cog.media.video import VideoInfo, probe
from sam2_cog.outputs.brush_rle import brush_rle
from tests.clips import numbered_frames, write_clip
from tests.outputs.written import shapes_of, spec_for, unpacked, write


def decode(rle: Sequence[int]) -> np.ndarray:
    """As @thi.ng/rle-pack describes it, and Label Studio's editor runs it."""
    bits = iter("".join(f"{byte:08b}" for byte in rle))

    def read(count: int) -> int:
        return int("".join(next(bits) for _ in range(count)), 2)

    total, width = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < total:
        repeated = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(width)] * length if repeated else [read(width) for _ in range(length)]
    return np.array(values, np.uint8)


@given(st.integers(1, 40), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_brush_mask_decodes_to_the_mask(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.3
    mask = np.kron(mask, np.ones((3, 5), bool))[:height, :width]
    picture = decode(brush_rle(ObjectMask.of(mask))).reshape(height, width, 4)
    assert (picture == mask[..., None] * 255).all()


def test_a_long_stretch_is_split() -> None:
    mask = np.zeros((300, 500), bool)
    mask[200:] = True
    assert (decode(brush_rle(ObjectMask.of(mask))).reshape(300, 500, 4)[..., 3] == mask * 255).all()


@pytest.fixture
def folder(dataset_clip: VideoInfo, tmp_path: Path) -> Path:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.zip"), names=("ring_1", "cat"), model="demo")
    return unpacked(write(spec, "label_studio", shapes_of))


def test_image_tasks_hold_every_mask(folder: Path, dataset_clip: VideoInfo) -> None:
    interface = ET.parse(folder / "image_interface.xml").getroot()
    tools = {tag.attrib["name"]: tag.tag for tag in interface.iter() if "name" in tag.attrib}
    labels = [tag.attrib["value"] for tag in interface.iter("Label")]
    tasks = json.loads((folder / "image_tasks.json").read_text())
    assert len(tasks) == 6 and labels == ["ring", "cat"]
    for number, task in enumerate(tasks):
        assert (folder / task["data"]["image"]).is_file()
        masks = [mask for mask in shapes_of(dataset_clip, number).objects if mask.area]
        regions = task["predictions"][0]["result"]
        for region, mask in zip(regions, masks, strict=True):
            assert tools[region["from_name"]] == "BrushLabels" and tools[region["to_name"]] == "Image"
            assert (region["original_width"], region["original_height"]) == (96, 64)
            assert set(region["value"]["brushlabels"]) <= set(labels)
            assert (decode(region["value"]["rle"]).reshape(64, 96, 4)[..., 3] == mask.full() * 255).all()


def regions_of(folder: Path) -> list[dict[str, Any]]:
    (task,) = json.loads((folder / "video_task.json").read_text())
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "sam2-cog demo"
    return list(prediction["result"])


def shown(sequence: list[dict[str, Any]], frame: int) -> bool:
    """Whether Label Studio shows a box on its frame: from a key frame on, up to and with one that is not enabled."""
    before = [item for item in sequence if item["frame"] <= frame]
    return bool(before) and (before[-1]["frame"] == frame or before[-1]["enabled"])


def test_the_video_task_has_a_box_wherever_the_object_is(folder: Path, dataset_clip: VideoInfo) -> None:
    interface = ET.parse(folder / "video_interface.xml").getroot()
    assert next(interface.iter("Video")).attrib["framerate"] == "24"
    ring, cat = regions_of(folder)
    assert (ring["type"], ring["from_name"], ring["to_name"]) == ("videorectangle", "box", "video")
    assert ring["value"]["framesCount"] == 6 and cat["value"]["labels"] == ["cat"]
    for index, region in enumerate((ring, cat)):
        sequence = region["value"]["sequence"]
        assert all(
            set(item) == {"frame", "time", "enabled", "x", "y", "width", "height", "rotation"} for item in sequence
        )
        for number in range(6):
            mask = shapes_of(dataset_clip, number).objects[index]
            assert shown(sequence, number + 1) == bool(mask.area)
            if mask.box:
                item = next(item for item in sequence if item["frame"] == number + 1)
                x0, y0, x1, y1 = mask.box
                corner = (item["x"] * 0.96, item["y"] * 0.64, item["width"] * 0.96, item["height"] * 0.64)
                assert corner == pytest.approx((x0, y0, x1 - x0, y1 - y0), abs=1e-3)


def test_frames_at_uneven_times_are_where_label_studio_shows_them(tmp_path: Path) -> None:
    times = (0, 40, 80, 90, 400, 440)
    info = probe(write_clip(tmp_path / "s.mp4", numbered_frames(6, 96, 64), times_ms=times))
    ring, _ = regions_of(
        unpacked(write(replace(spec_for(info, tmp_path / "o.zip"), model="demo"), "label_studio", shapes_of))
    )
    rate = float(info.frame_rate)
    for item in ring["value"]["sequence"]:
        at = (item["frame"] - 1) / rate + 0.002
        assert any(abs(time / 1000 - at) <= 1 / rate + 0.002 for time in times)
    frames = [item["frame"] for item in ring["value"]["sequence"]]
    assert frames == sorted(set(frames)) and frames[0] == 1
