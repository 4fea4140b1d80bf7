"""Reading clips backwards: python -m benchmarks.backward [--frames 300 1200 4800]

The tracker's backward pass reads windows of 32 frames from the back. Beside each other, in seconds of wall time: one
forward read, all windows from the back (the making of an index included), their ratio, and one prompt frame near the
end. The clips are 1280x720, made by ffmpeg, with a key frame every 24 frames where the format has such.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sam2_cog.engine.tracker import BACKWARD_WINDOW
from sam2_cog.media.video import VideoInfo, probe, read_frames

FORMATS = {
    "mp4": ("-c:v", "libx264", "-g", "24", "-pix_fmt", "yuv420p"),
    "ts": ("-c:v", "libx264", "-g", "24", "-pix_fmt", "yuv420p"),
    "avi": ("-c:v", "mpeg4", "-g", "24", "-q:v", "4"),
    "gif": ("-vf", "format=rgb8"),
}


def make(path: Path, frames: int) -> VideoInfo:
    """A clip of so many frames; the suffix is the format."""
    source = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=24:duration={frames / 24}"]
    command = ["ffmpeg", "-v", "error", *source, *FORMATS[path.suffix[1:]], str(path)]
    subprocess.run(command, check=True)
    return probe(path)


def seconds(work: Callable[[VideoInfo], None], info: VideoInfo) -> float:
    begin = time.perf_counter()
    work(info)
    return time.perf_counter() - begin


def forward(info: VideoInfo) -> None:
    for _ in read_frames(info):
        pass


def backward(info: VideoInfo) -> None:
    for stop in range(info.frame_count, 0, -BACKWARD_WINDOW):
        for _ in read_frames(info, max(0, stop - BACKWARD_WINDOW), stop):
            pass


def prompt_frame(info: VideoInfo) -> None:
    for _ in read_frames(info, info.frame_count - 10, info.frame_count - 9):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1200, 4800])
    print("| format | frames | forward, s | backward, s | ratio | prompt frame near the end, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for frames in parser.parse_args().frames:
            for name in FORMATS:
                info = make(Path(folder) / f"{frames}.{name}", frames)
                ahead, back, single = (seconds(work, info) for work in (forward, backward, prompt_frame))
                print(
                    f"| {name} | {info.frame_count} | {ahead:.1f} | {back:.1f} | {back / ahead:.1f} | {single:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
