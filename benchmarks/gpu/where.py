"""What the time of a frame goes to: the operations that take the device longest, and how long it waits for the host."""

import argparse
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.speed import WARM_UP_FRAMES, random_model, synchronised
from benchmarks.peers import click_on, make_clip
from sam2_cog.engine.tracker import Tracker

FRAMES = 8
ROWS = 15


def main() -> None:
    """A table for one object and one for sixteen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    device = torch.device(arguments.device)
    tracker = Tracker(random_model(arguments.network, device))
    for objects in (1,) if arguments.quick else (1, 16):
        if time.monotonic() > end:
            print(f"not reached: {objects} objects")
            continue
        clip = make_clip(3 if arguments.quick else WARM_UP_FRAMES + FRAMES, 1280, 720)
        for line in _table(tracker.track(clip, click_on(clip, objects)), device, objects, clip.frame_count):
            print(line, flush=True)


def _table(masks: Iterator[Any], device: torch.device, objects: int, frames: int) -> Iterator[str]:
    measured = min(FRAMES, frames - 1)
    for _ in islice(masks, frames - measured):
        pass
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as found:
        begin = synchronised(device)
        for _ in masks:
            pass
        seconds = synchronised(device) - begin
    own = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    operations = sorted(found.key_averages(), key=lambda operation: getattr(operation, own), reverse=True)
    # a kernel counts once: the operation that launched it shows the same time
    kernels = [one for one in operations if device.type == "cpu" or str(one.device_type).endswith("CUDA")]
    busy = sum(getattr(one, own) for one in kernels) / 1e6
    launched = sum(one.count for one in kernels) / measured
    yield f"Objects: {objects}, 1280x720: {1000 * seconds / measured:.1f} ms a frame under the profiler, for"
    yield f"{busy / seconds:.0%} of them the device is busy, {launched:.0f} operations a frame"
    yield from ("", "| operation | ms a frame | times a frame |", "|---|---|---|")
    for one in kernels[:ROWS]:
        name = one.key.replace("|", "/")[:90]
        yield f"| `{name}` | {getattr(one, own) / 1000 / measured:.2f} | {one.count / measured:.1f} |"
    yield ""


if __name__ == "__main__":
    main()
