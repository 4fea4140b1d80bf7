"""What does it cost to look through the images of a zip before the work? `python -m benchmarks.images`.

A frame of the sample at 1920x1080, with a little noise, thirty times in a zip; processor time an image, the best of
three rounds: `header` reads no more than the size, `looked` is what `probe` does, `decoded` what a run does once more.
"""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from sam2_cog.media import frame_archive
from sam2_cog.media.frame_archive import probe_images, read_images
from tests.clips import draw_frame, encode_image, write_zip

IMAGES, ROUNDS = 30, 3
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")


def main() -> None:
    """Print a row for each format."""
    noise = np.random.default_rng(0).normal(0, 3, (1080, 1920, 3))
    picture = np.clip(cv2.resize(draw_frame(0)[0], (1920, 1080)) + noise, 0, 255).astype(np.uint8)
    print(f"{'format':>6} {'KB':>6} {'header ms':>10} {'looked ms':>10} {'decoded ms':>11}")
    look = frame_archive.require_usable
    for kind in FORMATS:
        content = encode_image(picture, kind, quality=90)
        with tempfile.TemporaryDirectory() as folder:
            path = write_zip(Path(folder) / "a.zip", [(f"{n}.{kind.lower()}", content) for n in range(IMAGES)])
            looked = _milliseconds(partial(probe_images, path))
            frame_archive.require_usable = lambda image: None
            header = _milliseconds(partial(probe_images, path))
            frame_archive.require_usable = look
            decoded = _milliseconds(partial(_decode, path))
        print(f"{kind:>6} {len(content) / 1e3:6.0f} {header:10.1f} {looked:10.1f} {decoded:11.1f}", flush=True)


def _decode(path: Path) -> None:
    for _ in read_images(path, range(IMAGES)):
        pass


def _milliseconds(work: Callable[[], object]) -> float:
    """Of processor time for each image, the best round."""
    spent = []
    for _ in range(ROUNDS):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return 1000 * min(spent) / IMAGES


if __name__ == "__main__":
    main()
