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


@dataclass(frozen=True)
class Polygon:
    """One connected part of a mask: its outline and its holes, each (n, 2) float64 pixels (x, y), n >= 3, not closed.

    The lines run through the centres of the outermost pixels, (0, 0) being the centre of the frame's first one: filled
    together with what they pass over, as cv2.fillPoly and Pillow do, an exact polygon gives the mask back.
    """

    outline: NDArray[np.float64]
    holes: tuple[NDArray[np.float64], ...]

    @property
    def closed_outline(self) -> list[list[float]]:
        """[[x, y], ...] with the first point repeated at the end."""
        points: list[list[float]] = self.outline.tolist()
        return [*points, points[0]]


def polygons(mask: Mask, tolerance: float = 0.0) -> tuple[Polygon, ...]:
    """The parts of an (H, W) mask as polygons, the largest first; parts of fewer than three corners are left out.

    tolerance: how far a simplified line may be from the true one, as a share of its own length (Douglas-Peucker);
        0.001 keeps what an eye sees, 0 keeps every corner.
    """
    lines, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    simple = [cv2.approxPolyDP(line, tolerance * cv2.arcLength(line, True), True)[:, 0, :] for line in lines]
    holes: dict[int, list[NDArray[np.float64]]] = {}
    for line, (_, _, _, parent) in zip(simple, tree[0] if lines else (), strict=True):
        holes.setdefault(parent, []).append(line.astype(np.float64))
    parts = [
        Polygon(simple[index].astype(np.float64), tuple(hole for hole in holes.get(index, ()) if len(hole) > 2))
        for index in sorted(range(len(lines)), key=lambda index: -cv2.contourArea(lines[index]))
        if tree[0][index][3] < 0 and len(simple[index]) > 2
    ]
    return tuple(parts)


def run_lengths(mask: Mask) -> tuple[int, ...]:
    """The (H, W) mask as COCO's uncompressed run lengths: column by column, background first (a leading 0 if need be).

    The lengths add up to H * W. Source: "counts" in the COCO data format (cocodataset.org, Detection annotations).
    """
    pixels = np.ravel(mask, order="F")
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate(([0], changes, [pixels.size]))
    runs = tuple(int(length) for length in np.diff(bounds))
    return (0, *runs) if pixels[0] else runs
