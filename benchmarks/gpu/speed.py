"""Frames per second of one tracker and network once its memory is full, over videos and numbers of objects."""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch

from benchmarks.gpu.paper import share_of_limit
from benchmarks.peers import LOADERS, Objects, Run, click_on, load_official, make_clip
from sam2_cog.engine.model import LoadedModel, build_network, place_network
from sam2_cog.engine.tracker import Tracker
from tests.scenarios import MemoryClip

CASES = [((1280, 720), 1), ((1920, 1080), 1), ((1280, 720), 16), ((1920, 1080), 16)]
CASES += [((1280, 720), 4), ((1280, 720), 8), ((1920, 1080), 4), ((1920, 1080), 8)]
QUICK_CASES = [((96, 64), 1), ((96, 64), 2)]

WARM_UP_FRAMES, FRAMES = 24, 60
"""After as many frames the memory is full; from then on every frame does the same."""

SECONDS_A_CASE = 4.0
"""What is measured of a case ends here, however many frames that were."""


def main() -> None:
    """Print a row for each case until the time is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network")
    parser.add_argument("tracker", choices=TRACKERS)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--called", help="how the rows name the tracker")
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    warnings.simplefilter("ignore")
    device = torch.device(arguments.device)
    run = TRACKERS[arguments.tracker](arguments.network, device)
    for size, objects in QUICK_CASES if arguments.quick else CASES:
        name = f"| {arguments.network} | {size[0]}x{size[1]} | {objects} | {arguments.called or arguments.tracker}"
        if time.monotonic() > end:
            print(f"{name} | not reached | | | |", flush=True)
            continue
        frames = (2, 3) if arguments.quick else (WARM_UP_FRAMES, FRAMES)
        print(f"{name} | {_cells(run, arguments.network, device, size, objects, *frames)} |", flush=True)


def _cells(
    run: Run, network: str, device: torch.device, size: tuple[int, int], objects: int, warm_up: int, frames: int
) -> str:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    clip = make_clip(warm_up + frames, *size)
    seconds = _seconds_a_frame(run(clip, click_on(clip, objects)), device, warm_up)
    card = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    share = share_of_limit(network, objects, 1 / seconds, card)
    peak = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if device.type == "cuda" else "-"
    return f"{1000 * seconds:.1f} | {1 / seconds:.1f} | {f'{share:.1%}' if share else '-'} | {peak}"


def _seconds_a_frame(masks: Iterator[Any], device: torch.device, warm_up: int) -> float:
    for _ in islice(masks, warm_up):
        pass
    begin, frames = synchronised(device), 0
    for _ in masks:
        frames += 1
        if time.perf_counter() - begin > SECONDS_A_CASE:
            break
    return (synchronised(device) - begin) / frames


def synchronised(device: torch.device) -> float:
    """Seconds, once the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def random_model(network: str, device: torch.device) -> LoadedModel:
    """Ours with random weights."""
    return place_network(network, build_network(network), device)


def _ours(network: str, device: torch.device) -> Run:
    """As the product takes the masks: on the host, packed, one object at a time."""
    tracker = Tracker(random_model(network, device))

    def run(clip: MemoryClip, objects: Objects) -> Iterator[Any]:
        return (masks for _, masks in tracker.track(clip, objects))

    return run


TRACKERS: dict[str, Callable[[str, torch.device], Run]] = {
    "ours": _ours,
    "official": load_official,
    "official, vos_optimized": lambda network, device: load_official(network, device, vos_optimized=True),
    "transformers": LOADERS["transformers"],
}

if __name__ == "__main__":
    main()
