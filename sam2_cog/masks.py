"""The masks of one frame, and what can be read off a mask: its area, its box, its run lengths."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class FrameMasks:
    """What the tracker found on one frame; position i of both arrays is the object with index i."""

    frame_index: int
    """0-based number of the frame in the video."""
    masks: Mask
    """(objects, H, W) bool, in the size of the frame as it is displayed."""
    scores: NDArray[np.float32]
    """(objects,) float32 in [0, 1]: how sure the network is of each mask."""


def mask_box(mask: Mask) -> Box | None:
    """(x0, y0, x1, y1), the smallest box [x0, x1) x [y0, y1) that holds the (H, W) mask; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (x, y, x + width, y + height) if width else None


def mask_areas(masks: Mask) -> tuple[int, ...]:
    """The number of pixels of each of the (objects, H, W) masks."""
    return tuple(int(np.count_nonzero(mask)) for mask in masks)


def mask_union(masks: Mask) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 where any of the (objects, H, W) masks is set, else 0."""
    union: NDArray[np.uint8] = np.any(masks, axis=0).astype(np.uint8)
    return union * np.uint8(255)


def run_lengths(mask: Mask) -> tuple[int, ...]:
    """The (H, W) mask as COCO's uncompressed run lengths: column by column, background first (a leading 0 if need be).

    The lengths add up to H * W. Source: "counts" in the COCO data format (cocodataset.org, Detection annotations).
    """
    pixels = np.ravel(mask, order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate(([0], changes, [pixels.size]))
    runs = tuple(int(length) for length in np.diff(bounds))
    return (0, *runs) if pixels[0] else runs
