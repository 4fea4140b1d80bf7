"""From the start to the first mask of a long clip: python -m benchmarks.first_mask [--minutes 10] [--quick]

A 1920x1080 clip with a click on its first frame, as MP4, as MPEG-TS, and as MP4 whose frames are all decoded to count
them, as they were for every video once. Beside each other, in seconds of wall time: until the frames are counted, until
the first mask is there, the network's own part of that (the demo one, loaded before); and the processor seconds of
ffmpeg and ffprobe.
"""

import argparse
import resource
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path

import torch

from sam2_cog.engine.model import load_model
from sam2_cog.engine.tracker import Tracker
from sam2_cog.limits import Deadline
from sam2_cog.media.video import probe
from sam2_cog.prompts import parse_prompts
from sam2_cog.runs.watched_clip import WatchedClip

SECONDS_ENCODED = 20  # the rest is the same once more, without encoding


def make(path: Path, minutes: float) -> Path:
    """The suffix is the format."""
    once = path.with_name(f"once{path.suffix}")
    seconds = min(SECONDS_ENCODED, minutes * 60)
    source = ["-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=24:duration={seconds}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "240", "-b:v", "6M", "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *codec, str(once)], check=True)
    again = ["-stream_loop", str(round(minutes * 60 / seconds) - 1), "-i", str(once), "-c", "copy", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", *again], check=True)
    once.unlink()
    return path


def measure(path: Path, tracker: Tracker, *, certain: bool = False) -> tuple[int, float, float, float, float]:
    """Frames, and seconds until they are counted, until the first mask, of the network, of ffmpeg's processors."""
    processors, begin = _processor_seconds(), time.perf_counter()
    info = probe(path, certain=certain)
    counted = time.perf_counter() - begin
    objects = parse_prompts(
        "[960,540]", "1", "0", "", "0", width=info.width, height=info.height, frame_count=info.frame_count
    )
    clip = WatchedClip(info, info.frame_count + 1, lambda done, total: None, Deadline())
    with closing(tracker.track(clip, objects)) as found:
        next(found)
        whole = time.perf_counter() - begin
    return info.frame_count, counted, whole, whole - counted - clip.seconds, _processor_seconds() - processors


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--quick", action="store_true", help="a clip of six seconds, to see that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tracker = Tracker(load_model("demo"))
    print("| clip | frames | counted, s | first mask, s | of it the network, s | ffmpeg's processor, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        minutes = 0.1 if arguments.quick else arguments.minutes
        clips = {kind: make(Path(folder) / f"a.{kind}", minutes) for kind in ("mp4", "ts")}
        measure(clips["mp4"], tracker)  # the first run pays for what is loaded late
        _row("mp4", *measure(clips["mp4"], tracker))
        _row("ts", *measure(clips["ts"], tracker))
        _row("mp4, all decoded to count", *measure(clips["mp4"], tracker, certain=True))


def _row(name: str, frames: int, *seconds: float) -> None:
    print(f"| {name} | {frames} |", " | ".join(f"{value:.2f}" for value in seconds), "|", flush=True)


if __name__ == "__main__":
    main()
