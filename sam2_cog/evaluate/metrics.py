"""J and F: how well a mask covers the true one, and how well its outline follows the true outline.

Both as defined by F. Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation"
(CVPR 2016), section 5, with the constants of the DAVIS challenges. Values are in [0, 1], 1 is best.
"""

import math

import cv2
import numpy as np

from sam2_cog.masks import Mask

TOLERANCE = 0.008
"""How far two outlines may be apart and still match, as a share of the image's diagonal; rounded up to whole pixels."""


def region_similarity(mask: Mask, truth: Mask) -> float:
    """J: the intersection over the union of two (H, W) bool masks; 1 where both are empty."""
    union = np.count_nonzero(mask | truth)
    return np.count_nonzero(mask & truth) / union if union else 1.0


def boundary_accuracy(mask: Mask, truth: Mask) -> float:
    """F: the harmonic mean of precision and recall of the outline of one (H, W) bool mask against the other.

    Precision is the share of the mask's boundary pixels that lie within the tolerance of a true one; recall is the
    share of the true ones that lie within it of one of the mask's. 1 where neither has an outline, 0 where only one.
    """
    found, wanted = boundary_pixels(mask), boundary_pixels(truth)
    if not found.any() or not wanted.any():
        return float(found.any() == wanted.any())
    radius = math.ceil(TOLERANCE * math.hypot(*mask.shape))
    precision = float(_within(radius, wanted)[found].mean())
    recall = float(_within(radius, found)[wanted].mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def boundary_pixels(mask: Mask) -> Mask:
    """The pixels of an (H, W) bool mask that differ from the one to the right, the one below or the one right below.

    So an outline is one pixel wide and lies half a pixel up and left of the true edge; the frame's own edge is none.
    This is the "seg2bmap" of the Berkeley segmentation benchmark, which DAVIS takes as its definition of a boundary.
    """
    around = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    return (mask ^ around[:-1, 1:]) | (mask ^ around[1:, :-1]) | (mask ^ around[1:, 1:])


def _within(radius: int, pixels: Mask) -> Mask:
    """Where the centre of the nearest of these pixels is at most `radius` pixels away."""
    distance = cv2.distanceTransform((~pixels).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return distance <= radius + 1e-3  # float32; squared distances are whole numbers, so nothing lies in this margin
