"""The whole product from file to file beside its tracker alone, on the same frames: does the host hold the GPU up?"""

import argparse
import logging
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.gpu.speed import random_model, synchronised
from benchmarks.peers import click_on, make_clip
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.tracker import Tracker
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request
from tests.clips import write_clip
from tests.scenarios import MemoryClip

FRAMES = 120


def main() -> None:
    """A row with the host path and one without, after a run that warms up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    model = random_model(arguments.network, torch.device(arguments.device))
    size = (96, 64) if arguments.quick else (1920, 1080)
    clip = make_clip(3 if arguments.quick else FRAMES, *size)
    with TemporaryDirectory() as folder:
        path = write_clip(Path(folder) / "clip.mp4", np.stack(clip.images))
        for _ in range(2):
            rows = (_off(model, clip), _on(model, path, clip.frame_count))
    for row in rows:
        print(row, flush=True)


def _off(model: LoadedModel, clip: MemoryClip) -> str:
    begin = synchronised(model.device)
    for _ in Tracker(model).track(clip, click_on(clip, 1)):
        pass
    return f"| off: frames in memory, masks dropped | {clip.frame_count / (synchronised(model.device) - begin):.1f} | |"


def _on(model: LoadedModel, path: Path, frames: int) -> str:
    begin = time.perf_counter()
    request = Request(path, click_coordinates="[20,20]", output_format="mp4")
    result = segment_video(request, model, path.with_name("masks.mp4"), lambda done, of: None)
    seconds = time.perf_counter() - begin
    stages = ("decode", "network", "paint", "encode")
    spent = ", ".join(f"{stage} {result.metrics[f'{stage}_seconds']:.2f}" for stage in stages)
    return f"| on: MP4 to highlighted MP4 | {frames / seconds:.1f} | {spent} |"


if __name__ == "__main__":
    main()
