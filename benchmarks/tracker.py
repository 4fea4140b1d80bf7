"""How fast is the tracker? Ours, the official predictor and transformers: `python -m benchmarks.tracker`.

Each runs the same clip and clicks in a process of its own, so that its peak of memory is its own; what was in memory
before it (Python, torch, the clip) is counted too, for all alike. See `benchmarks.peers` for what is asked of them.

The first mask: seconds from a loaded model and a clip in memory to the first frame's masks. Frames a second: those
after it. The official predictor resizes the whole clip before the first mask, ours and transformers (streaming) resize
a frame when its turn comes, so `/ ours` compares the time of the whole clip: 2 means that ours takes half as long.
All run `--repeats` times in turn and the fastest run of each counts: other work on a machine only ever slows one down.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings
from dataclasses import asdict, dataclass

import torch

from benchmarks.peers import LOADERS, click_on, make_clip

FRAMES_ON_CPU = {"demo": 40, "tiny": 4, "small": 4, "base_plus": 4, "large": 3}
FRAMES_ON_GPU = 120
WARM_UP_FRAMES = {"cpu": 1, "cuda": 24}
"""On a GPU as many as it takes until the memory is full: from then on every frame does the same."""


@dataclass(frozen=True)
class Job:
    """One row of the table: who tracks what."""

    implementation: str
    size: str
    objects: int
    frames: int
    width: int
    height: int
    device: str
    threads: int


@dataclass(frozen=True)
class Measurement:
    """Peak memory in MiB: `resident` of the process, `device` of torch's tensors on the GPU (0 without one)."""

    first_mask_seconds: float
    frames_per_second: float
    whole_seconds: float
    resident: float
    device: float


def main() -> None:
    """Run every job in a process of its own and print a table."""
    arguments = _parse()
    if arguments.child:
        print(json.dumps(asdict(_measure(Job(**json.loads(arguments.child))))))
        return
    width, height = (int(side) for side in arguments.video_size.split("x"))
    machine = torch.cuda.get_device_name() if arguments.device == "cuda" else f"CPU, {arguments.threads} threads"
    print(f"{machine}, torch {torch.__version__}, {width}x{height}, random weights")
    columns = f"{'size':<9}  {'objects':>7}  {'frames':>6}  {'implementation':<14}  {'first mask s':>12}"
    print(f"{columns}  {'frames/s':>8}  {'whole s':>8}  {'/ ours':>8}  {'peak MiB':>8}  {'GPU MiB':>8}", flush=True)
    for size in arguments.sizes:
        frames = arguments.frames or (FRAMES_ON_GPU if arguments.device == "cuda" else FRAMES_ON_CPU[size])
        for objects in arguments.objects:
            common = (size, objects, frames, width, height, arguments.device, arguments.threads)
            _compare([Job(implementation, *common) for implementation in arguments.implementations], arguments.repeats)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=FRAMES_ON_CPU, default=["demo", "tiny", "large"])
    parser.add_argument("--frames", type=int, help=f"default on a CPU {FRAMES_ON_CPU}, on a GPU {FRAMES_ON_GPU}")
    parser.add_argument("--objects", type=int, nargs="+", default=[1])
    parser.add_argument("--video-size", default="1280x720", metavar="WIDTHxHEIGHT")
    parser.add_argument("--device", choices=WARM_UP_FRAMES, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads of torch")
    parser.add_argument("--implementations", nargs="+", choices=LOADERS, default=list(LOADERS))
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.frames is not None and arguments.frames < 2:
        parser.error("--frames: at least 2, the first frame's time is shown apart")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: torch finds no CUDA device")
    return arguments


def _compare(jobs: list[Job], repeats: int) -> None:
    """Print one row for each implementation; one that fails says why and the others go on."""
    rounds = [[_run(job) for job in jobs] for _ in range(repeats)]
    fastest = [_fastest(runs) for runs in zip(*rounds, strict=True)]
    ours = dict(zip((job.implementation for job in jobs), fastest, strict=True)).get("ours")
    for job, found in zip(jobs, fastest, strict=True):
        row = f"{job.size:<9}  {job.objects:>7}  {job.frames:>6}  {job.implementation:<14}"
        if isinstance(found, Measurement):
            print(f"{row}  {_cells(found, ours.whole_seconds if isinstance(ours, Measurement) else None)}", flush=True)
        else:
            print(f"{row}  not measured: {found}", flush=True)


def _fastest(runs: tuple[Measurement | str, ...]) -> Measurement | str:
    measured = [found for found in runs if isinstance(found, Measurement)]
    return min(measured, key=lambda found: found.whole_seconds) if measured else runs[0]


def _cells(found: Measurement, ours: float | None) -> str:
    ratio = f"{found.whole_seconds / ours:.2f}" if ours else "-"
    times = f"{found.first_mask_seconds:12.2f}  {found.frames_per_second:8.3g}  {found.whole_seconds:8.2f}  {ratio:>8}"
    return f"{times}  {found.resident:8.0f}  {f'{found.device:.0f}' if found.device else '-':>8}"


def _run(job: Job) -> Measurement | str:
    """Measure in a new process, or say why that failed."""
    command = [sys.executable, "-m", "benchmarks.tracker", "--child", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def _measure(job: Job) -> Measurement:
    warnings.simplefilter("ignore")
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    device = torch.device(job.device)
    clip = make_clip(job.frames, job.width, job.height)
    objects = click_on(clip, job.objects)
    run = LOADERS[job.implementation](job.size, device)
    for _ in run(make_clip(WARM_UP_FRAMES[device.type], job.width, job.height), objects):
        pass
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    begin = _clock(device)
    masks = run(clip, objects)
    next(masks)
    first = _clock(device)
    rest = sum(1 for _ in masks)
    end = _clock(device)
    assert rest == job.frames - 1, "every frame comes out"
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else 0.0
    return Measurement(first - begin, rest / (end - first), end - begin, resident, peak)


def _clock(device: torch.device) -> float:
    """Seconds, once the GPU has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
