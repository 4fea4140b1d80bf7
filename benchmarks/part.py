"""A part of a clip beside the whole: python -m benchmarks.part [--frames 2400] [--quick]

A 1280x720 MP4 with a key frame every ten seconds, one click on the part's first frame, the demo network, file to file.
Beside each other: the whole clip, 60 frames of it near its end, the same 60 frames cut out as a clip of their own, and
every tenth frame of the whole clip. In each row the frames that are tracked, those that ffmpeg decodes for them, and
seconds of wall time.
"""

import argparse
import logging
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.media.video import probe
from sam2_cog.pipeline import segment_video
from sam2_cog.request import Request

RATE, GROUP, PART = 24, 240, 60


def make(path: Path, frames: int) -> Path:
    source = ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={RATE}:duration={frames / RATE}"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(GROUP), "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *codec, str(path)], check=True)
    return path


def cut_out(path: Path, source: Path, start: int) -> Path:
    chosen = f"select=between(n\\,{start}\\,{start + PART - 1}),setpts=N/{RATE}/TB"
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", str(GROUP), "-pix_fmt", "yuv420p"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", str(source), "-vf", chosen, *codec, str(path)], check=True)
    return path


def seconds(model: LoadedModel, clip: Path, output: Path, **part: Any) -> tuple[int, float]:
    """Frames that are tracked, and the time that it takes from file to file."""
    begin = time.perf_counter()
    request = Request(clip, "[640,360]", click_frames=str(part.get("start_frame", 0)), **part)
    result = segment_video(request, model, output, lambda done, total: None)
    return result.frames, time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2400)
    parser.add_argument("--quick", action="store_true", help="600 frames, to see that it runs")
    arguments = parser.parse_args()
    frames = 600 if arguments.quick else arguments.frames
    start = frames - PART - 5
    logging.disable()
    torch.set_num_threads(1)
    model = load_model("demo")
    print("| what | tracked | decoded | seconds |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        clip, output = make(Path(folder) / "a.mp4", frames), Path(folder) / "out.mp4"
        short = cut_out(Path(folder) / "short.mp4", clip, start)
        seconds(model, short, output)  # the first run pays for what is loaded late
        before = start - max(int(point) for point in probe(clip).seek_points if point <= start)
        rows: list[tuple[str, Path, int, dict[str, Any]]] = [
            ("the whole clip", clip, frames, {}),
            (f"{PART} frames near its end", clip, before + PART, {"start_frame": start, "end_frame": start + PART - 1}),
            (f"a clip of {PART} frames", short, PART, {}),
            ("every tenth frame of the whole", clip, frames, {"frame_stride": 10}),
        ]
        for name, video, decoded, part in rows:
            tracked, taken = seconds(model, video, output, **part)
            print(f"| {name} | {tracked} | {decoded} | {taken:.1f} |", flush=True)


if __name__ == "__main__":
    main()
