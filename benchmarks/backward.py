"""Reading clips backwards: python -m benchmarks.backward [--frames 300 1200 4800] [--quick]

The tracker's backward pass reads windows of 32 frames from the back. Beside each other, in seconds of wall time: one
forward read, all windows from the back (the making of copies included), their ratio, which is to be 2.5 at most, and
one prompt frame near the end. The clips are 1280x720, made by ffmpeg, with a key frame every 24 frames where nothing
else is said.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sam2_cog.engine.tracker import BACKWARD_WINDOW
from sam2_cog.media.video import VideoInfo, probe, read_frames

H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g")
CLIPS = {
    "MP4": ("mp4", *H264, "24"),
    "MP4, a key frame every 250": ("mp4", *H264, "250"),
    "MP4, one key frame": ("mp4", *H264, "100000", "-x264-params", "scenecut=0"),
    "TS": ("ts", *H264, "24"),
    "AVI": ("avi", "-c:v", "mpeg4", "-g", "24", "-q:v", "4"),
    "AVI with H.264": ("avi", *H264, "24"),
    "GIF": ("gif", "-vf", "format=rgb8"),
}
"""A clip's suffix, and ffmpeg's options."""


def make(folder: Path, name: str, frames: int) -> VideoInfo:
    """A clip of so many frames."""
    suffix, *options = CLIPS[name]
    source = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=24:duration={frames / 24}"]
    path = folder / f"clip.{suffix}"
    subprocess.run(["ffmpeg", "-v", "error", "-y", *source, *options, str(path)], check=True)
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[300, 1200, 4800])
    parser.add_argument("--clips", nargs="+", choices=CLIPS, default=list(CLIPS), metavar="NAME")
    parser.add_argument("--quick", action="store_true", help="150 frames, to see that it runs")
    arguments = parser.parse_args()
    print("| clip | frames | forward, s | backward, s | ratio | prompt frame near the end, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for frames in [150] if arguments.quick else arguments.frames:
            for name in arguments.clips:
                info = make(Path(folder), name, frames)
                ahead, single, back = (seconds(work, info) for work in (forward, prompt_frame, backward))
                ratio = f"{back / ahead:.1f} (<= 2.5)"
                print(f"| {name} | {frames} | {ahead:.1f} | {back:.1f} | {ratio} | {single:.2f} |", flush=True)


if __name__ == "__main__":
    main()
