"""Data sets in the tools that they are for: each tool's own code reads them, and its masks are compared with ours."""

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sam2_cog.media.video import VideoInfo, probe
from tests.clips import numbered_frames, write_clip
from tests.integrations.birds import mask_iou
from tests.integrations.label_studio import Project, Studio
from tests.integrations.processes import peer
from tests.outputs.written import shapes_of, spec_for, unpacked, write

SCRIPT = Path(__file__).parent / "read_data_set.py"
WIDTH, HEIGHT, COUNT = 640, 360, 4
LABELS = ("ring", "cat")


@pytest.fixture(scope="module")
def clip(folder: Path) -> VideoInfo:
    return probe(write_clip(folder / "data_set.mp4", numbered_frames(COUNT, WIDTH, HEIGHT)))


def data_set(clip: VideoInfo, output_format: str, place: Path) -> Path:
    """One of an object with a hole and a speck far away, and of another that is gone on the third frame."""
    spec = replace(spec_for(clip, place / "out.zip"), names=("ring_1", "cat"), model="demo")
    folder = unpacked(write(spec, output_format, shapes_of))
    (folder / "size.txt").write_text(f"{HEIGHT} {WIDTH}")
    return folder


READERS = [  # the tool, its environment, our format, and the least IoU
    ("label_studio", "label-studio", "label_studio", 1.0),
    ("x_anylabeling", "x-anylabeling", "x_anylabeling", 0.99),
    ("datumaro", "datumaro", "cvat", 0.98),
    ("ultralytics", "ultralytics", "yolo", 0.999),
]


@pytest.mark.parametrize(("tool", "environment", "output_format", "least"), READERS, ids=[one[0] for one in READERS])
def test_the_tool_reads_our_masks(
    tool: str, environment: str, output_format: str, least: float, clip: VideoInfo, tmp_path: Path
) -> None:
    place, result = data_set(clip, output_format, tmp_path), tmp_path / "read.npz"
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(peer(environment, "python")), str(SCRIPT), tool, str(place), str(result)]
    subprocess.run(command, check=True, env={**own, "HOME": str(tmp_path)}, cwd=tmp_path)
    with np.load(result) as read:
        masks = {
            f"{number:05d}/{label}": mask.full()
            for number in range(COUNT)
            for label, mask in zip(LABELS, shapes_of(clip, number).objects, strict=True)
            if mask.area
        }
        assert set(read.files) == set(masks)
        ious = [mask_iou(read[name], mask) for name, mask in masks.items()]
    print(f"IoU by {tool}: mean {np.mean(ious):.5f}, least {min(ious):.5f}")
    assert min(ious) >= least


@pytest.mark.parametrize("kind", ["video", "image"])
def test_label_studio_takes_our_interface_and_our_tasks(
    kind: str, studio: Studio, clip: VideoInfo, tmp_path: Path
) -> None:
    place = data_set(clip, "label_studio", tmp_path)
    interface = (place / f"{kind}_interface.xml").read_text()
    body = {"title": f"Data set of {kind}", "label_config": interface}
    project = Project(studio, studio.ask("POST", "/api/projects", json=body)["id"], 24)
    file = place / ("video_task.json" if kind == "video" else "image_tasks.json")
    sent = json.loads(file.read_text())
    studio.ask("POST", f"/api/projects/{project.number}/import?commit_to_project=true", json=sent)
    assert len(project.tasks) == len(sent)
    for number, task in zip(project.tasks, sent, strict=True):
        kept = studio.ask("GET", f"/api/tasks/{number}?resolve_uri=false")["predictions"]
        assert [one["result"] for one in kept] == [one["result"] for one in task["predictions"]]
