"""The CSV table, read by Python's reader; the same facts as in the manifest."""

import csv
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media.video import VideoInfo
from tests.outputs.written import shapes_of, spec_for, write

NAMES = ('ring, "a"', "=cat")


def test_a_row_per_frame_and_object(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    spec = replace(spec_for(dataset_clip, tmp_path / "out.csv"), names=NAMES, frame_interval=2)
    with write(spec, "csv", shapes_of).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["frame"], row["object"]) for row in rows] == [(str(n), name) for n in (0, 2, 4) for name in NAMES]
    for row in rows:
        mask = shapes_of(dataset_clip, int(row["frame"])).objects[int(row["index"])]
        assert (int(row["visible"]), int(row["area"])) == (int(mask.area > 0), mask.area)
        box = [row[name] for name in ("x0", "y0", "x1", "y1")]
        assert box == ([str(part) for part in mask.box] if mask.box else [""] * 4)
        if mask.area:
            ys, xs = np.nonzero(mask.full())
            assert (float(row["centroid_x"]), float(row["centroid_y"])) == pytest.approx(
                (xs.mean(), ys.mean()), abs=0.01
            )
        else:
            assert row["centroid_x"] == ""
        assert float(row["time_seconds"]) == pytest.approx(int(row["frame"]) / 24, abs=1e-3)


def test_the_manifest_says_the_same(dataset_clip: VideoInfo, tmp_path: Path) -> None:
    table = write(spec_for(dataset_clip, tmp_path / "out.csv"), "csv", shapes_of)
    with zipfile.ZipFile(write(spec_for(dataset_clip, tmp_path / "out.zip"), "png", shapes_of)) as archive:
        frames = json.loads(archive.read("manifest.json"))["frames"]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = [facts for frame in frames for facts in frame["objects"]]
    for row, facts in zip(rows, told, strict=True):
        for name in ("area", "score", "presence", "area_change", "iou_before"):
            assert row[name] == ("" if facts[name] is None else str(facts[name]))
