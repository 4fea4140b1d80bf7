"""A clip in which there is something to click on: a bright disc crosses a dark ground."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tests.clips import write_clip

LOSSLESS: Any = {"pix_fmt": "yuv444p", "options": ("-qp", "0", "-g", "4")}


def disc_centre(index: int, width: int, height: int) -> tuple[int, int]:
    """The pixel in the middle of the disc on a frame."""
    return width // 4 + index * width // 24, height // 2


def disc_frames(count: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(count, height, width, 3) uint8 RGB."""
    frames = np.full((count, height, width, 3), (30, 50, 70), np.uint8)
    for index, frame in enumerate(frames):
        cv2.circle(frame, disc_centre(index, width, height), height // 5, (240, 200, 60), -1)
    return frames


def disc_mask(index: int, width: int = 96, height: int = 64) -> np.ndarray:
    """(height, width) bool: the pixels of the disc on a frame."""
    disc = np.zeros((height, width), np.uint8)
    cv2.circle(disc, disc_centre(index, width, height), height // 5, 1, -1)
    return disc.astype(bool)


def disc_clip(path: Path, count: int = 8, width: int = 96, height: int = 64, **options: Any) -> Path:
    """The clip as a file; options as those of `write_clip`."""
    return write_clip(path, disc_frames(count, width, height), **{**LOSSLESS, **options})
