"""Write generated clips as labelled clips on disk, for `python -m sam2_cog evaluate`.

    python -m tools.train_demo.export FOLDER                        # the whole test set, 100 clips
    python -m tools.train_demo.export FOLDER --seeds 900000-900009

Each clip is `FOLDER/SEED/clip.mp4` (H.264 of high quality, 24 frames a second) and `FOLDER/SEED/masks.zip`.
"""

import argparse
import io
import subprocess
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from tools.train_demo.clips import TEST_SEEDS, test_clip

ENCODER = "-c:v libx264 -preset fast -crf 10 -pix_fmt yuv420p -colorspace bt709 -color_primaries bt709 -color_trc bt709"
MATRIX = "scale=out_color_matrix=bt709:out_range=tv"


def export_clip(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Write images (T, H, W, 3) uint8 RGB as `clip.mp4` and labels (T, H, W) uint8 as `masks.zip`, one PNG a frame."""
    folder.mkdir(parents=True, exist_ok=True)
    height, width = labels.shape[1:]
    raw = f"ffmpeg -v error -y -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r 24 -i pipe:0 -vf {MATRIX} {ENCODER}"
    subprocess.run([*raw.split(), str(folder / "clip.mp4")], input=images.tobytes(), check=True)
    with zipfile.ZipFile(folder / "masks.zip", "w") as archive:
        for index, frame in enumerate(labels):
            archive.writestr(f"{index:05d}.png", _as_png(frame))


def _as_png(labels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(labels).save(file, "PNG")
    return file.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description="Write generated test clips, each with its exact masks.")
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--seeds", default=f"{TEST_SEEDS.start}-{TEST_SEEDS.stop - 1}", help="FIRST-LAST of the test set"
    )
    arguments = parser.parse_args()
    first, last = (int(seed) for seed in arguments.seeds.split("-"))
    for seed in range(first, last + 1):
        export_clip(arguments.folder / str(seed), *test_clip(seed))


if __name__ == "__main__":
    main()
