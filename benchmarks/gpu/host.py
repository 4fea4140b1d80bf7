"""The whole product from file to file beside its tracker alone, on the same frames: does the host hold the GPU up?

The network runs with random weights, which find noise that covers the frame; so ellipses are painted in its place.
"""

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.gpu.speed import random_model, synchronised
from benchmarks.host import ellipses, make_clip
from benchmarks.peers import click_on
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import Frame, probe, read_frames
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.scenarios import MemoryClip

FRAMES = 192


def main() -> None:
    """For each number of objects a row with the host path and one without, after a run that warms up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    warnings.simplefilter("ignore")
    logging.disable()
    model = random_model(arguments.network, torch.device(arguments.device))
    size = (96, 64) if arguments.quick else (1920, 1080)
    with TemporaryDirectory() as folder:
        path = make_clip(Path(folder) / "clip.mp4", size, 3 if arguments.quick else FRAMES, None)
        clip = MemoryClip(tuple(frame.image for frame in read_frames(probe(path))))
        for objects in (1,) if arguments.quick else (1, 4, 16):
            for row in _rows(model, path, clip, objects):
                if time.monotonic() > end:
                    print(f"| not reached | {objects} | | |", flush=True)
                    return
                print(row, flush=True)


def _rows(model: LoadedModel, path: Path, clip: MemoryClip, objects: int) -> Iterator[str]:
    _off(model, MemoryClip(clip.images[:24]), objects)  # what is made once is made
    yield _off(model, clip, objects)
    yield _on(model, path, clip, objects)


def _off(model: LoadedModel, clip: MemoryClip, objects: int) -> str:
    begin = synchronised(model.device)
    for _ in Tracker(model).track(clip, click_on(clip, objects)):
        pass
    rate = clip.frame_count / (synchronised(model.device) - begin)
    return f"| off: frames in memory, masks dropped | {objects} | {rate:.1f} | |"


def _on(model: LoadedModel, path: Path, clip: MemoryClip, objects: int) -> str:
    planes = [tuple(map(ObjectMask.of, masks)) for masks in ellipses((clip.width, clip.height), objects)]

    class Painted(Tracker):
        """The network's work, and other masks."""

        def track(self, *given: Any, **options: Any) -> Iterator[tuple[Frame, FrameMasks]]:  # type: ignore[override]
            for frame, masks in super().track(*given, **options):
                yield frame, replace(masks, objects=planes[frame.index % len(planes)])

    clicks = ",".join(f"[{int(x)},{int(y)}]" for one in click_on(clip, objects) for x, y in one.prompts[0].points)
    begin = time.perf_counter()
    with patch("sam2_cog.pipeline.Tracker", Painted):
        request = Request(path, click_coordinates=clicks, output_format="mp4")
        result = segment_video(request, model, path.with_name("masks.mp4"), lambda done, of: None)
    seconds = time.perf_counter() - begin
    stages = ("decode", "network", "paint", "encode")
    spent = ", ".join(f"{stage} {result.metrics[f'{stage}_seconds']:.2f}" for stage in stages)
    return f"| on: MP4 to highlighted MP4 | {objects} | {result.frames / seconds:.1f} | {spent} |"


if __name__ == "__main__":
    main()
