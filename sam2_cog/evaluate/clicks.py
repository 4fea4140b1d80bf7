"""The person who clicks, simulated: from the true mask of an object on a frame to what is clicked there."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_cog.masks import Mask, mask_box
from sam2_cog.prompts import FramePrompt, Point


def click(frame_index: int, mask: Mask) -> FramePrompt:
    """One click in the middle of a (H, W) bool mask that is not empty."""
    return _clicks(frame_index, mask, 1)


def clicks(frame_index: int, mask: Mask) -> FramePrompt:
    """Three clicks inside the mask, spread out; fewer where the object is smaller than that."""
    return _clicks(frame_index, mask, 3)


def box(frame_index: int, mask: Mask) -> FramePrompt:
    """The smallest box around the mask, far edges exclusive."""
    bounds = mask_box(mask)
    assert bounds is not None
    x0, y0, x1, y1 = bounds
    return FramePrompt(frame_index, (), (), (float(x0), float(y0), float(x1), float(y1)))


SIMULATED: dict[str, Callable[[int, Mask], FramePrompt]] = {"click": click, "clicks": clicks, "box": box}
"""What can be asked for by name."""


def _clicks(frame_index: int, mask: Mask, count: int) -> FramePrompt:
    points = _spread(mask, count)
    return FramePrompt(frame_index, points, (1,) * len(points), None)


def _spread(mask: Mask, count: int) -> tuple[Point, ...]:
    """Up to `count` pixels (x, y): the one farthest from the edges of mask and frame, then each far from the others.

    The first is the click that SAM 2 and the interactive track of DAVIS simulate; the others are at least half as deep
    inside the mask. Ties go to the top, then left.
    """
    depth = _distance(np.pad(mask, 1))[1:-1, 1:-1]
    deep = depth >= depth.max() / 2
    points: list[Point] = []
    elsewhere = np.ones_like(mask)
    while len(points) < count:
        merit = np.where(deep, _distance(elsewhere), 0) if points else depth
        y, x = divmod(int(merit.argmax()), mask.shape[1])
        if not merit[y, x]:  # every pixel is clicked
            break
        points.append((float(x), float(y)))
        elsewhere[y, x] = False
    return tuple(points)


def _distance(region: Mask) -> NDArray[np.float32]:
    """(H, W) pixels from the centre of each pixel of the region to that of the nearest pixel outside it."""
    return cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float32)
