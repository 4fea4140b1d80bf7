"""The truth about the sample: the exact boxes and masks of its two birds."""

import io
import zipfile
from functools import cache

import numpy as np
from PIL import Image

from sam2_cog.masks import mask_box
from tests.integrations.processes import ROOT

Box = tuple[float, float, float, float]

HIDDEN = 100
"""A bird of fewer pixels than this, of some 5000, is hidden: a few of them peep out of a cloud."""


@cache
def masks(bird: str) -> list[np.ndarray]:
    """(H, W) bool for each frame; bird is bird_1, the red one, or bird_2."""
    with zipfile.ZipFile(ROOT / "samples" / "two_birds_masks.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith(f"masks/{bird}/"))
        return [np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("L")) > 127 for name in names]


def boxes(bird: str) -> list[Box | None]:
    """x0, y0, x1, y1 for each frame; None where the bird is hidden."""
    return [mask_box(mask) if np.count_nonzero(mask) >= HIDDEN else None for mask in masks(bird)]


def box_iou(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(width, 0) * max(height, 0)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())
