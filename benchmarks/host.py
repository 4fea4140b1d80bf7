"""What a frame costs beside the network: `python -m benchmarks.host [--quick] [--clip FILE]`, file to file.

A `NullTracker` stands in for the network: masks that were drawn before, handed over in no time or after a sleep. What
is measured is reading, painting, encoding and writing: processor milliseconds a frame of each thread and each process,
beside a plain transcode by ffmpeg with the same encoder's options in the same run, with the targets. What is painted
has more edges than the clip and costs the encoder more: so the result is transcoded, too. Linux only.
"""

import argparse
import os
import subprocess
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
import torch

from sam2_cog.engine.model import LoadedModel
from sam2_cog.masks import FrameMasks, Mask, ObjectMask
from sam2_cog.media.video import Frame
from sam2_cog.pipeline import Result, segment_video
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.request import Request
from sam2_cog.runs.watched_clip import WatchedClip

SAMPLE = Path(__file__).parent.parent / "samples" / "two_birds.mp4"
SIZES = {"1080p": (1920, 1080), "720p": (1280, 720)}
OBJECTS = (1, 4, 16)
OUTPUTS = tuple((name, mask_type) for name in ("mp4", "png", "webp") for mask_type in ("highlighted", "binary"))
PERIOD = 24
"""Frames after which the masks are where they began."""
NETWORK_SECONDS = 0.04
"""Of the run with a network: what a frame takes on a rented GPU."""
ENCODER_OPTIONS = ("-c:v", "-preset", "-tune", "-crf", "-bf", "-threads", "-x264-params", "-pix_fmt")
THREADS = ("main", "read-ahead", "write-behind", "ordered-pool")
PROCESSES = ("decode", "encode", "scan")
MOST_MAIN_MS = {("1080p", "mp4", 1): 1.0, ("1080p", "mp4", 16): 3.0}
MOST_OF_TRANSCODE, MOST_OF_LARGER = 2.0, 1.15


class NullTracker:
    """A network that costs nothing and finds ellipses that move; each object's mask is packed anew for each frame."""

    planes: Sequence[Sequence[Mask]] = ()
    """The masks of each frame of a period."""
    seconds = 0.0
    """How long a frame sleeps."""

    def __init__(self, model: LoadedModel) -> None:
        self._packed = [[ObjectMask.of(mask) for mask in masks] for masks in self.planes]

    def track(
        self, clip: WatchedClip, objects: Sequence[ObjectPrompts], propagation: str, **options: object
    ) -> Generator[tuple[Frame, FrameMasks], None, None]:
        """Every frame with its masks, which remember nothing of earlier frames (areas and boxes are kept in them)."""
        ones = np.ones(len(objects), np.float32)
        with closing(clip.read()) as frames:
            for frame in frames:
                if self.seconds:
                    time.sleep(self.seconds)
                packed = self._packed[frame.index % PERIOD]
                masks = tuple(ObjectMask(mask.size, mask.tight, mask.bits) for mask in packed)
                yield frame, FrameMasks(frame.index, masks, ones, ones)


@dataclass
class Spent:
    """Processor seconds of a run, by thread and by process."""

    threads: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    processes: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    encoder: list[str] = field(default_factory=list)
    """The options of the encoder that ran."""


@contextmanager
def spending() -> Iterator[Spent]:
    """Note what every thread and every process uses that ends inside the `with`."""
    spent, lock, run_thread = Spent(), threading.Lock(), threading.Thread.run

    def run(thread: threading.Thread) -> None:
        try:
            run_thread(thread)
        finally:
            with lock:
                spent.threads[thread.name.rstrip("0123456789_-")] += time.thread_time()

    class Process(subprocess.Popen[Any]):
        """Its clock is read before it is reaped; `poll` and `wait` are the ways to that."""

        def poll(self) -> int | None:
            self._read_clock(os.WNOHANG)
            return super().poll()

        def wait(self, timeout: float | None = None) -> int:
            self._read_clock(0)
            return super().wait(timeout)

        def _read_clock(self, options: int) -> None:
            if self.returncode is None and os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | options):
                with lock:
                    spent.processes[_stage(self.args)] += time.clock_gettime(~self.pid << 3 | 2)  # as Linux numbers it

    def _stage(command: Any) -> str:
        if "ffprobe" in command[0]:
            return "scan"
        if "rawvideo" in command:
            return "decode"
        if "-c:v" not in command:
            return "other"  # it was asked for its version
        pairs = pairwise(command)
        spent.encoder = [word for pair in pairs if pair[0] in ENCODER_OPTIONS for word in pair]
        return "encode"

    begin = time.thread_time()
    before = set(threading.enumerate())
    with patch("threading.Thread.run", run), patch("subprocess.Popen", Process):
        yield spent
    spent.threads["main"] += time.thread_time() - begin
    for thread in set(threading.enumerate()) - before:
        thread.join()  # those of a pool end a little later


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=192)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--objects", type=int, nargs="+", default=list(OBJECTS))
    parser.add_argument("--formats", nargs="+", default=["mp4", "png", "webp"])
    parser.add_argument("--clip", type=Path, help="enlarged to each size; default: the sample, with a camera's noise")
    parser.add_argument("--quick", action="store_true", help="a few small frames, to see that it runs")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.frames, arguments.sizes, arguments.objects, arguments.formats = 4, ["720p"], [2], ["mp4", "png"]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning; processor milliseconds a frame\n")
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            clip = make_clip(Path(folder) / f"{size}.mp4", SIZES[size], arguments.frames, arguments.clip)
            _table(clip, size, arguments)


def make_clip(path: Path, size: tuple[int, int], frames: int, source: Path | None) -> Path:
    """H.264 of so many frames, in this (width, height)."""
    filters = f"scale={size[0]}:{size[1]}:flags=bicubic" + ("" if source else ",noise=alls=4:allf=t")
    command = ["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(source or SAMPLE), "-vf", filters, "-an"]
    encoder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-frames:v", str(frames), *encoder, str(path)], check=True)
    return path


def _table(clip: Path, size: str, arguments: argparse.Namespace) -> None:
    transcodes = ("all / plain transcode", "all / transcode of the result")
    columns = (*THREADS, *PROCESSES, "all", *transcodes, "wall", "wall with 40 ms / the larger of both")
    print(f"| {size}, objects | output | {' | '.join(columns)} |\n" + "|---" * (len(columns) + 2) + "|")
    for count in arguments.objects:
        NullTracker.planes = ellipses(SIZES[size], count)
        for output_format, mask_type in OUTPUTS:
            if output_format in arguments.formats:
                cells = _row(clip, count, output_format, mask_type, MOST_MAIN_MS.get((size, output_format, count)))
                print(f"| {count} | {output_format} {mask_type} | {' | '.join(cells)} |", flush=True)
    print()


def _row(clip: Path, count: int, output_format: str, mask_type: str, most_main: float | None) -> list[str]:
    """The cells of one kind of run; targets stand behind what they are for."""
    spent, result = _run(clip, count, output_format, mask_type, 0.0)
    _, slept = _run(clip, count, output_format, mask_type, NETWORK_SECONDS)
    wall, together = (1000 * one.seconds / one.frames for one in (result, slept))
    used = [1000 * spent.threads[name] / result.frames for name in THREADS]
    used += [1000 * spent.processes[name] / result.frames for name in PROCESSES]
    cells = [f"{milliseconds:.2f}" for milliseconds in (*used, sum(used))]
    cells[0] += f" (<= {most_main})" if most_main else ""
    if spent.encoder:
        plain, painted = (1000 * _transcode(one, spent.encoder) / result.frames for one in (clip, result.path))
        cells.append(f"{sum(used) / plain:.2f} of {plain:.1f} (<= {MOST_OF_TRANSCODE})")
        cells.append(f"{sum(used) / painted:.2f} of {painted:.1f}")
    else:
        cells += ["", ""]
    larger = max(wall, 1000 * NETWORK_SECONDS)
    return [*cells, f"{wall:.1f}", f"{together / larger:.2f} of {larger:.1f} (<= {MOST_OF_LARGER})"]


def _run(clip: Path, count: int, output_format: str, mask_type: Any, seconds: float) -> tuple[Spent, Result]:
    """File to file."""
    NullTracker.seconds = seconds
    clicks = ",".join(f"[{5 * number + 5},5]" for number in range(count))
    request = Request(clip, clicks, mask_type=mask_type, output_format=output_format)
    model = LoadedModel("null", None, torch.device("cpu"), torch.float32)
    path = clip.with_name(f"out{'.mp4' if output_format == 'mp4' else '.zip'}")
    with patch("sam2_cog.pipeline.Tracker", NullTracker), spending() as spent:
        result = segment_video(request, model, path, lambda done, total: None)
    return spent, result


def _transcode(clip: Path, encoder: Sequence[str]) -> float:
    """Processor seconds of ffmpeg alone."""
    path = clip.with_name("plain.mp4")
    with spending() as spent:
        subprocess.Popen(["ffmpeg", "-v", "error", "-y", "-i", str(clip), "-an", *encoder, str(path)]).wait()
    return spent.processes["encode"]


def ellipses(size: tuple[int, int], count: int) -> list[list[Mask]]:
    """Of each frame of a period, an ellipse for each object: four in a row, each swaying about its place."""
    rows = -(-count // 4)
    radii = (0.12, 0.25) if count == 1 else (0.09, 0.4 / max(rows, 2))
    masks = []
    for turn in np.arange(PERIOD) / PERIOD:
        sway = 0.03 * np.sin(2 * np.pi * turn), 0.03 * np.cos(2 * np.pi * turn)
        places = [((number % 4 + 0.5) / 4 + sway[0], (number // 4 + 0.5) / rows + sway[1]) for number in range(count)]
        masks.append([_ellipse(size, place, radii, 360 * turn) for place in places])
    return masks


def _ellipse(size: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float], degrees: float) -> Mask:
    """(H, W) bool; centre and radii are shares of the (width, height)."""
    mask = np.zeros(size[::-1], np.uint8)
    (x, y), axes = (tuple(round(a * b) for a, b in zip(size, pair, strict=True)) for pair in (centre, radii))
    cv2.ellipse(mask, (x, y), axes, degrees, 0, 360, 1, -1)
    return mask.view(bool)


if __name__ == "__main__":
    main()
