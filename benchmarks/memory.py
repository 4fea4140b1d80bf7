"""Does memory grow with the clip? Peak resident memory of whole processes: `python -m benchmarks.memory`.

Ours is the whole product, file to file. The official predictor gets the same frames, resized, as its own loader holds
them, and its masks are dropped at once.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch

from sam2_cog.engine.model import load_model
from sam2_cog.media.video import probe, read_frames
from sam2_cog.pipeline import segment_video
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from sam2_cog.request import Request

CLICK = (640.0, 360.0)


def main() -> None:
    """Run each length in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 1000, 10_000], help="lengths of the clips")
    parser.add_argument(
        "--official", type=int, default=1000, metavar="FRAMES", help="longest clip for the official code"
    )
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _measure(*arguments.child)
        return
    print(f"{'frames':>7}  {'implementation':<14}  {'peak MiB':>8}  {'seconds':>8}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for frames in arguments.frames:
            clip = _make_clip(Path(folder), frames)
            for name in ("ours", "official") if frames <= arguments.official else ("ours",):
                print(f"{frames:>7}  {name:<14}  {_run(name, clip)}", flush=True)


def _make_clip(folder: Path, frames: int) -> Path:
    """A moving 720p test picture, encoded quickly."""
    path = folder / f"{frames}.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=30", "-frames:v", str(frames)]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libx264", "-preset", "ultrafast", path], check=True)
    return path


def _run(name: str, clip: Path) -> str:
    command = [sys.executable, "-m", "benchmarks.memory", "--child", name, str(clip)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip().splitlines()[-1]


def _measure(name: str, clip: str) -> None:
    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    (_ours if name == "ours" else _official)(Path(clip))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{peak:8.0f}  {time.perf_counter() - begin:8.0f}")


def _ours(clip: Path) -> None:
    request = Request(clip, f"[{CLICK[0]},{CLICK[1]}]", mask_type="binary")
    segment_video(request, load_model("demo", device="cpu"), clip.with_suffix(".masks.mp4"))


def _official(clip: Path) -> None:
    from tests.official import official_pixels, official_predictor, official_run

    predictor = official_predictor("demo", load_model("demo", device="cpu").network)
    info = probe(clip)
    pixels = torch.empty(info.frame_count, 3, predictor.image_size, predictor.image_size)
    for frame in read_frames(info):
        pixels[frame.index] = official_pixels(frame.image, predictor.image_size)
    objects = (ObjectPrompts("object_1", 0, (FramePrompt(0, (CLICK,), (1,), None),), ()),)
    for _, logits in official_run(predictor, pixels, (info.height, info.width), objects, "both"):
        (logits > 0).numpy()


if __name__ == "__main__":
    main()
