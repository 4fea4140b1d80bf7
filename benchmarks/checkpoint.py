"""Does a killed run go on to the same bytes, and what does that cost? python -m benchmarks.checkpoint [--kills 20]

Kills: the command line on the sample, SIGKILL at a random moment of its work, the same command again, several formats,
passes and corrections in turn; each result is compared with that of a run without a checkpoint.
Costs: milliseconds that a step's masks take, and the seconds and MiB of a state, in the sizes of the official networks.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch

from sam2_cog.engine.object_memory import Conditioning, ObjectMemory, RunState
from sam2_cog.engine.run_checkpoint import RunCheckpoint
from sam2_cog.masks import FrameMasks, ObjectMask

SAMPLE = Path(__file__).parent.parent / "samples/two_birds.mp4"
BOTH = ("--click-coordinates", "[80,222],[556,96]")
LATE = (
    *("--click-coordinates", "[559,109],[300,140]", "--click-labels", "1,0", "--click-frames", "119,60"),
    *("--click-object-ids", "red,red"),
)
RUNS: list[tuple[str, tuple[str, ...]]] = [
    ("mp4", BOTH),
    ("zip", (*LATE, "--output-format", "png", "--mask-type", "binary")),
    ("npz", (*LATE, "--output-format", "npz")),
    ("webm", (*BOTH, "--output-format", "webm", "--mask-type", "cutout")),
    ("mov", (*LATE, "--output-format", "mov", "--mask-type", "cutout")),
    ("zip", (*BOTH, "--output-format", "png", "--mask-type", "probability")),
    ("csv", (*LATE, "--output-format", "csv")),
    ("zip", (*LATE[:2], "--click-frames", "119,60", "--propagation", "forward", "--output-format", "coco")),
]
GOES_ON = re.compile(r"goes on from its checkpoint, with (\d+) frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        costs(Path(folder))
        if arguments.kills:
            kills(Path(folder), arguments.kills, random.Random(arguments.seed))


def kills(folder: Path, count: int, chance: random.Random) -> None:
    """Print a line for each kill and one for all."""
    print("\n| run | output | killed after s | frames kept | equal |\n|---|---|---|---|---|")
    equal = 0
    known: dict[int, tuple[bytes, float]] = {}
    for kill in range(count):
        number = kill % len(RUNS)
        suffix, flags = RUNS[number]
        if number not in known:
            known[number] = unbroken(folder, suffix, flags)
        expected, seconds = known[number]
        output = folder / f"{kill}.{suffix}"
        after, kept = kill_and_go_on(output, flags, chance.uniform(0, seconds))
        same = output.read_bytes() == expected and not (folder / f".{output.name}.checkpoint").exists()
        equal += same
        print(f"| {number} | {suffix} | {after:.2f} | {kept} | {'yes' if same else 'NO'} |", flush=True)
        output.unlink()
    print(f"\n{equal} of {count} equal")


def command(output: Path, flags: tuple[str, ...]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "sam2_cog",
        "segment",
        str(SAMPLE),
        "--model",
        "demo",
        *flags,
        "--output",
        str(output),
    ]


def unbroken(folder: Path, suffix: str, flags: tuple[str, ...]) -> tuple[bytes, float]:
    """The result of a run without a checkpoint, and the seconds that its work took."""
    output = folder / f"whole.{suffix}"
    done = subprocess.run(command(output, flags), check=True, capture_output=True, text=True)
    content = output.read_bytes()
    output.unlink()
    return content, float(re.findall(r" objects, ([\d.]+) s", done.stdout)[0])


def kill_and_go_on(output: Path, flags: tuple[str, ...], after: float) -> tuple[float, int]:
    """Kill a run so many seconds after its work began, earlier if it ends before, and carry it to its end."""
    words = [*command(output, flags), "--checkpoint", "0.2"]
    held = output.with_name(f".{output.name}.checkpoint")
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not held.exists():
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(after)
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
    if not killed:
        output.unlink()
        return kill_and_go_on(output, flags, 0.7 * after)
    again = subprocess.run(words, check=True, capture_output=True, text=True)
    kept = GOES_ON.search(again.stderr)
    return after, int(kept[1]) if kept else 0


def costs(folder: Path) -> None:
    """Print what a step and a state cost, by the number of objects."""
    print("| objects | masks of 1080p, ms a frame | KiB | with logits, ms | KiB | a state, s | MiB |")
    print("|---|---|---|---|---|---|---|")
    for objects in (1, 4, 16):
        (ms, kib), (soft_ms, soft_kib) = (per_frame(folder, objects, soft=soft) for soft in (False, True))
        seconds, mib = per_state(folder, objects)
        print(f"| {objects} | {ms:.2f} | {kib:.1f} | {soft_ms:.2f} | {soft_kib:.1f} | {seconds:.3f} | {mib:.1f} |")


def per_frame(folder: Path, objects: int, *, soft: bool, frames: int = 60) -> tuple[float, float]:
    """Milliseconds to note a frame's masks, and KiB that they take."""
    found = list(frame_masks(objects, soft=soft))
    with RunCheckpoint(folder / ".cost.checkpoint", 1e9, {}, torch.device("cpu")) as checkpoint:
        begin = time.perf_counter()
        for number in range(frames):
            checkpoint.add(found[number % len(found)], None)
        spent = time.perf_counter() - begin
        size = (folder / ".cost.checkpoint/masks").stat().st_size
    return 1000 * spent / frames, size / 1024 / frames


def per_state(folder: Path, objects: int, repeats: int = 5) -> tuple[float, float]:
    """Seconds to save a state of the official networks with one prompt frame an object, fsync included, and its MiB."""
    state = RunState(1, tuple(memory() for _ in range(objects)))
    (masks,) = list(frame_masks(objects, soft=False))[:1]
    best = float("inf")
    with RunCheckpoint(folder / ".cost.checkpoint", 0.0, {}, torch.device("cpu")) as checkpoint:
        for _ in range(repeats):
            begin = time.perf_counter()
            checkpoint.add(masks, state)
            best = min(best, time.perf_counter() - begin)
        size = (folder / ".cost.checkpoint/state").stat().st_size
    return best, size / (1 << 20)


def memory() -> ObjectMemory:
    """What is remembered of one object far from the start: 6 maps, 15 pointers, a prompt frame."""

    def map_of_frame() -> torch.Tensor:
        return torch.randn(4096, 64).bfloat16()

    one = ObjectMemory(6, 15)
    logits = torch.randn(1, 256, 256)
    one.condition(0, Conditioning(map_of_frame(), torch.randn(256), logits, torch.tensor(0.9), torch.randn(1)))
    one._maps = {frame: map_of_frame() for frame in range(100, 106)}
    one._pointers = {frame: torch.randn(256) for frame in range(91, 106)}
    return one


def frame_masks(objects: int, *, soft: bool) -> Iterator[FrameMasks]:
    """The birds of the sample as blobs that wander over a 1080p frame, with logits that are noisy as a network's."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256]
    for frame in range(8):
        centres, radii = generator.uniform(40, 216, (objects, 2)), generator.uniform(8, 40, (objects, 2))
        logits = np.stack(
            [
                12 * (1 - np.hypot((x - cx) / rx, (y - cy) / ry))
                for (cx, cy), (rx, ry) in zip(centres, radii, strict=True)
            ]
        )
        logits = np.maximum(logits, -20) + generator.normal(0, 0.3, logits.shape)
        masks = tuple(ObjectMask.of(cv2.resize(plane, (1920, 1080)) > 0) for plane in logits)
        known = np.ones(objects, np.float32)
        yield FrameMasks(frame, masks, known, known, logits.astype(np.float16) if soft else None)


if __name__ == "__main__":
    main()
