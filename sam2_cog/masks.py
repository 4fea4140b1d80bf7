"""The masks of one frame, and what can be read off a mask: its area, its boxes, its parts, its run lengths.

A mask is kept as the packed bits of its tight box and unpacked when somebody asks for it, one object at a time: many
objects on a large frame never exist as full-size arrays together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
"""(x0, y0, x1, y1): the pixels [x0, x1) x [y0, y1)."""

SPECK_PERCENT = 2.0
"""A part with less than this share of the pixels of the mask's largest part is a speck, which no box counts.

SAM 2.1 makes them, a few stray pixels on a like thing elsewhere; its image predictor has `max_sprinkle_area` for it.
"""

_RLE_BITS = 35  # of a run's length and its sign: no frame has so many pixels


@dataclass(frozen=True)
class ObjectMask:
    """One object on one frame."""

    size: tuple[int, int]
    """(height, width) of the frame as it is displayed."""
    tight: Box | None
    """The smallest box that holds every pixel of the mask; None for an empty mask."""
    bits: bytes
    """The pixels of `tight`, row by row, eight a byte, the first in the highest bit (`numpy.packbits`)."""

    @classmethod
    def of(cls, mask: Mask) -> "ObjectMask":
        """Pack an (H, W) bool mask."""
        box = mask_box(mask)
        if box is None:
            return cls(mask.shape, None, b"")
        x0, y0, x1, y1 = box
        return cls(mask.shape, box, np.packbits(mask[y0:y1, x0:x1]).tobytes())

    @classmethod
    def of_packed(cls, rows: NDArray[np.uint8], width: int) -> "ObjectMask":
        """The same from (H, ceil(W / 8)) bytes: each row packed by itself, with zeros behind the last of its pixels."""
        x, y, across, down = cv2.boundingRect(rows)
        if not across:
            return cls((len(rows), width), None, b"")
        near = cls.of(np.unpackbits(rows[y : y + down, x : x + across], axis=1).view(bool))
        return near._placed(8 * x, y, (len(rows), width))

    def _placed(self, left: int, top: int, size: tuple[int, int]) -> "ObjectMask":
        """This mask as a part, from (left, top) on, of a frame of (height, width) `size`."""
        if self.tight is None:
            return ObjectMask(size, None, b"")
        x0, y0, x1, y1 = self.tight
        return ObjectMask(size, (x0 + left, y0 + top, x1 + left, y1 + top), self.bits)

    def crop(self) -> Mask:
        """The (h, w) bool pixels of `tight`, a new array; (0, 0) for an empty mask."""
        if self.tight is None:
            return np.zeros((0, 0), bool)
        x0, y0, x1, y1 = self.tight
        bits = np.frombuffer(self.bits, np.uint8)
        pixels = np.unpackbits(bits, count=(y1 - y0) * (x1 - x0)).view(bool)
        return pixels.reshape(y1 - y0, x1 - x0)

    def full(self) -> Mask:
        """The whole (H, W) bool mask, a new array."""
        mask = np.zeros(self.size, bool)
        if self.tight is not None:
            x0, y0, x1, y1 = self.tight
            mask[y0:y1, x0:x1] = self.crop()
        return mask

    @cached_property
    def area(self) -> int:
        """How many pixels the mask has."""
        return int.from_bytes(self.bits).bit_count()

    @cached_property
    def box(self) -> Box | None:
        """The box that people see: the smallest one that holds the mask without its specks; None for an empty mask."""
        crop = self.crop()
        if self.tight is None or _in_one_part(crop):
            return self.tight
        _, stats, counted = _parts(crop, SPECK_PERCENT)
        x0, y0 = stats[counted, :2].min(axis=0)
        x1, y1 = (stats[counted, :2] + stats[counted, 2:4]).max(axis=0)
        left, top = self.tight[:2]
        return int(left + x0), int(top + y0), int(left + x1), int(top + y1)

    def without_parts_below(self, percent: float) -> "ObjectMask":
        """The mask without the parts that have less than `percent` (0 to 100) of the pixels of its largest part."""
        if self.tight is None or percent <= 0:
            return self
        crop = self.crop()
        if _in_one_part(crop):
            return self
        labels, _, counted = _parts(crop, percent)
        return self if counted[1:].all() else ObjectMask.of(counted[labels])._placed(*self.tight[:2], self.size)


@dataclass(frozen=True)
class FrameMasks:
    """What the tracker found on one frame; position i of everything is the object with index i."""

    frame_index: int
    """0-based number of the frame in the video."""
    objects: tuple[ObjectMask, ...]
    """The masks, in the size of the frame as it is displayed."""
    scores: NDArray[np.float32]
    """(objects,) float32 in [0, 1]: how sure the network is of each mask; 0 for an object that is not there."""
    presence: NDArray[np.float32]
    """(objects,) float32 logits: above 0 the network says that the object is on the frame."""
    soft: NDArray[np.float16] | None = None
    """(objects, h, w) logits in the network's resolution, object where above 0; only where they were asked for."""

    def array(self) -> Mask:
        """All masks as one new (objects, H, W) bool array, for those who want just that."""
        return np.stack([mask.full() for mask in self.objects])

    def to_supervision(self, names: Sequence[str] = ()) -> Any:
        """The objects that are seen, as `supervision.Detections`, which the package supervision must be installed for.

        Boxes are float32 and half-open as here; `class_id` is the object's index, `tracker_id` that plus 1,
        `confidence` the score, and `data["class_name"]` its name of `names`, if there are any.
        """
        import supervision

        shown = np.array([index for index, mask in enumerate(self.objects) if mask.box], int)
        return supervision.Detections(
            xyxy=np.array([self.objects[index].box for index in shown], np.float32).reshape(-1, 4),
            mask=np.array([self.objects[index].full() for index in shown], bool).reshape(-1, *self.objects[0].size),
            confidence=self.scores[shown],
            class_id=shown,
            tracker_id=shown + 1,
            data={"class_name": np.array([names[index] for index in shown], str)} if names else {},
        )

    def only(self, index: int) -> "FrameMasks":
        """The same with empty masks for all objects but one."""
        empty = ObjectMask(self.objects[index].size, None, b"")
        return replace(self, objects=tuple(m if i == index else empty for i, m in enumerate(self.objects)))

    def alone(self, number: int) -> "FrameMasks":
        """The masks of object `number` alone."""
        part = slice(number, number + 1)
        soft = None if self.soft is None else self.soft[part]
        return FrameMasks(self.frame_index, self.objects[part], self.scores[part], self.presence[part], soft)

    def without_parts_below(self, percent: float) -> "FrameMasks":
        """Every mask without the parts that have less than `percent` (0 to 100) of the pixels of its largest part."""
        if percent <= 0:
            return self
        return replace(self, objects=tuple(mask.without_parts_below(percent) for mask in self.objects))


def joined(parts: Sequence[FrameMasks]) -> FrameMasks:
    """The masks of the objects of several parts, one at least and all of one frame, in their order."""
    softs = [part.soft for part in parts if part.soft is not None]
    return FrameMasks(
        parts[0].frame_index,
        tuple(mask for part in parts for mask in part.objects),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.presence for part in parts]),
        np.concatenate(softs) if len(softs) == len(parts) else None,
    )


def no_masks(frame_index: int, count: int, size: tuple[int, int]) -> FrameMasks:
    """A frame of (height, width) `size` on which none of `count` objects is seen."""
    nothing = np.zeros(count, np.float32)
    return FrameMasks(frame_index, (ObjectMask(size, None, b""),) * count, nothing, nothing)


def mask_box(mask: Mask) -> Box | None:
    """The smallest box that holds the (H, W) mask; None for an empty mask."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return (x, y, x + width, y + height) if width else None


def mask_union(masks: Iterable[ObjectMask], size: tuple[int, int]) -> NDArray[np.uint8]:
    """(H, W) uint8: 255 where any of the masks, all of frames of this (height, width), is set, else 0."""
    union = np.zeros(size, np.uint8)
    for mask in masks:
        if mask.tight is not None:
            x0, y0, x1, y1 = mask.tight
            part = union[y0:y1, x0:x1]
            np.maximum(part, mask.crop().view(np.uint8) * np.uint8(255), out=part)
    return union


def mask_iou(a: ObjectMask, b: ObjectMask) -> float:
    """Intersection over union of two masks of frames of one size; 1 where both are empty."""
    shared = 0
    if a.tight and b.tight:
        x0, y0 = max(a.tight[0], b.tight[0]), max(a.tight[1], b.tight[1])
        x1, y1 = min(a.tight[2], b.tight[2]), min(a.tight[3], b.tight[3])
        if x0 < x1 and y0 < y1:
            one, two = (m.crop()[y0 - t[1] : y1 - t[1], x0 - t[0] : x1 - t[0]] for m, t in ((a, a.tight), (b, b.tight)))
            shared = int(np.count_nonzero(one & two))
    union = a.area + b.area - shared
    return shared / union if union else 1.0


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
    return tuple(_runs(np.ravel(mask, order="F")).tolist())


def compressed_rle(mask: ObjectMask) -> str:
    """The "counts" of COCO's compressed run lengths, for {"size": [H, W], "counts": ...}.

    Each run from the fourth on less the run two before it, in groups of five bits, the lowest first, with a sixth bit
    where more follow, plus 48. Source: rleToString of pycocotools (maskApi.c), whose text it equals.
    """
    height, width = mask.size
    runs = np.array([height * width])
    if mask.tight is not None:
        x0, y0, x1, y1 = mask.tight
        columns = np.zeros((x1 - x0, height), np.uint8)
        columns[:, y0:y1] = cv2.transpose(mask.crop().view(np.uint8))  # three times as fast as numpy's
        runs = _runs(columns.ravel())
        runs[0] += x0 * height
        rest = (width - x1) * height
        if len(runs) % 2:
            runs[-1] += rest
        elif rest:
            runs = np.append(runs, rest)
    return _rle_characters(runs).tobytes().decode("ascii")


def _runs(pixels: NDArray[np.generic]) -> NDArray[np.int64]:
    """How many equal pixels of a flat mask follow one another: background first, 0 of it if need be."""
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate(([0] if pixels[0] else [], [0], changes, [pixels.size])).astype(np.int64)
    return bounds[1:] - bounds[:-1]


def _rle_characters(runs: NDArray[np.int64]) -> NDArray[np.uint8]:
    values = runs.copy()
    values[3:] -= runs[1:-2]
    groups = values[:, None] >> np.arange(0, _RLE_BITS, 5)  # what is left from each group of bits on
    bits = groups & 31
    more = groups >> 5 != -(bits >> 4)
    used = np.insert(more[:, :-1], 0, True, axis=1)
    return (48 + (bits | 32 * more))[used].astype(np.uint8)


def _in_one_part(mask: Mask) -> bool:
    """Whether all pixels of a mask that is not empty hang together: outlines take a tenth of the time of `_parts`."""
    _, tree = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return int((tree[0, :, 3] < 0).sum()) == 1  # outlines that are not those of holes


def _parts(mask: Mask, percent: float) -> tuple[NDArray[np.int32], NDArray[np.int32], Mask]:
    """The 8-connected parts of a mask that is not empty: labels (H, W) from 1, OpenCV's facts of each label, and which
    labels count, having at least `percent` of the largest part's pixels; label 0, what is not in the mask, never does.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)  # in 32 bits a hundredfold runs over
    areas[0] = 0
    counted = areas * 100 >= percent * areas.max()
    counted[0] = False
    return labels.astype(np.int32, copy=False), stats.astype(np.int32, copy=False), counted
