"""A whole mask as one ring of points, for formats in which a polygon has neither holes nor parts.

Its outlines and holes are joined at their nearest points by lines that go there and back. Within the mask these cost
nothing. A line to a part that lies apart is filled too, one pixel wide: hence the lines are a minimum spanning tree,
and a part of fewer pixels than the lines to it would add is left out. More is not to be had of a polygon.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_cog.masks import Mask, ObjectMask

Ring = NDArray[np.int64]
"""(n, 2) pixels (x, y), not closed."""

_ALL, _LATER, _EARLIER = slice(None), slice(1, None), slice(None, -1)
_NEIGHBOURS = (
    ((_ALL, _EARLIER), (_ALL, _LATER)),
    ((_EARLIER, _ALL), (_LATER, _ALL)),
    ((_EARLIER, _EARLIER), (_LATER, _LATER)),
    ((_EARLIER, _LATER), (_LATER, _EARLIER)),
)
"""Of a picture, each pixel and its neighbour to the right, below, and on both diagonals."""


def one_polygon(mask: ObjectMask, tolerance: float = 0.0) -> NDArray[np.float64] | None:
    """The whole mask as one ring, (n, 2) pixels (x, y) of the frame, n >= 3; None for an empty mask.

    Filled by cv2.fillPoly it gives the mask back, but for what the module says. tolerance: as of `masks.polygons`; at 0
    also a reader that puts points between those of the ring and cuts their decimals off gives the mask back.
    """
    if mask.tight is None:
        return None
    pixels = mask.crop()
    lines, tree = cv2.findContours(pixels.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    is_hole = [parent >= 0 for *_, parent in tree[0]]
    areas = _areas_of_parts(lines, pixels) if is_hole.count(False) > 1 else [mask.area] * len(lines)
    worth = [int(cv2.contourArea(line)) if is_hole[i] else areas[i] for i, line in enumerate(lines)]
    order = sorted(range(len(lines)), key=lambda i: (is_hole[i], -worth[i]))  # the largest part, ..., the holes
    rings = [_simplified(lines[i], tolerance) if tolerance else _stepped(lines[i][:, 0], pixels) for i in order]
    return join_rings(rings, [worth[i] for i in order], pixels) + mask.tight[:2]


def _areas_of_parts(lines: Sequence[NDArray[Any]], pixels: Mask) -> list[int]:
    """Of each outline how many pixels the part has that it is of; takes ten times as long as to find the outlines."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats(pixels.view(np.uint8), connectivity=8)
    return [int(facts[labels[line[0, 0, 1], line[0, 0, 0]], cv2.CC_STAT_AREA]) for line in lines]


def edge_polygon(mask: ObjectMask, tolerance: float = 0.0) -> NDArray[np.float64] | None:
    """The same along the edges of the pixels, of which the frame's first one is [0, 1) x [0, 1).

    For tools that take a polygon as geometry (CVAT, pycocotools). A line has no width there: no part is left out.
    """
    if mask.tight is None:
        return None
    around = np.pad(mask.crop(), 1)
    corners = around[:-1, :-1] | around[:-1, 1:] | around[1:, :-1] | around[1:, 1:]
    lines, _ = cv2.findContours(corners.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_simplified(line, tolerance) if tolerance else line[:, 0] for line in sorted(lines, key=len, reverse=True)]
    return join_rings(rings) + mask.tight[:2]


def join_rings(
    rings: Sequence[NDArray[np.generic]], worth: Sequence[int] = (), mask: Mask | None = None
) -> NDArray[np.float64]:
    """The first of several (n, 2) rings, with the others joined to it, as one of at least 3 points.

    With a mask, and for each ring how many of its pixels it brings, those are left out that are not worth their line.
    """
    whole = [np.asarray(ring, np.int64) for ring in rings]
    gains = list(worth) or [0] * len(whole)
    branches: list[list[tuple[int, Ring]]] = [[] for _ in whole]
    for joint in reversed(_spanning_tree(whole)):
        cost = 0 if mask is None else _pixels_beside(mask, whole[joint.ring][joint.at], whole[joint.to][joint.there])
        if gains[joint.ring] >= cost:
            branches[joint.to].append((joint.there, _walk(whole[joint.ring], joint.at, branches[joint.ring])))
            gains[joint.to] += gains[joint.ring] - cost
    path = _walk(whole[0], 0, branches[0])[:-1].astype(np.float64)
    steps = np.diff(path, axis=0, append=path[:1])
    corners = path[(steps != np.roll(steps, 1, axis=0)).any(axis=1)]
    return corners if len(corners) > 2 else np.resize(corners if len(corners) else path, (3, 2))


@dataclass(frozen=True)
class _Joint:
    """The line from point `at` of `ring` to point `there` of the ring `to`, which is nearer to the first one."""

    ring: int
    at: int
    to: int
    there: int


def _spanning_tree(rings: Sequence[Ring]) -> list[_Joint]:
    """The shortest lines, in pixels, that join all rings, from the first one on: Prim's algorithm.

    Only rings whose neighbourhoods meet need be looked at (Mehlhorn, A faster approximation algorithm for the Steiner
    problem in graphs, 1988), so that the time goes with the pixels of their box and not with the points' square.
    """
    if len(rings) == 1:
        return []
    points = np.concatenate(rings)
    ring_of = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    first = np.cumsum([0, *map(len, rings)]).tolist()
    lines: list[list[tuple[int, ...]]] = [[] for _ in rings]  # from each ring: the length, and a `_Joint`
    for length, one, other in _meetings(points, ring_of):
        a, b = int(ring_of[one]), int(ring_of[other])
        here, there = (a, one - first[a]), (b, other - first[b])
        lines[a].append((length, *there, *here))
        lines[b].append((length, *here, *there))
    joints, joined, near = list[_Joint](), {0}, sorted(lines[0])
    while near:
        _, ring, at, to, nearest = heappop(near)
        if ring not in joined:
            joined.add(ring)
            joints.append(_Joint(ring, at, to, nearest))
            for line in lines[ring]:
                heappush(near, line)
    return joints


def _meetings(points: Ring, ring_of: NDArray[np.int64]) -> list[list[int]]:
    """[length, point, other point] of the shortest line between each two rings whose nearest pixels are neighbours."""
    x, y = (points - points.min(axis=0)).T
    free = np.ones((y.max() + 1, x.max() + 1), np.uint8)
    free[y, x] = 0
    _, labels = cv2.distanceTransformWithLabels(free, cv2.DIST_C, 5, labelType=cv2.DIST_LABEL_PIXEL)
    point_of = np.zeros(labels.max() + 1, np.int64)
    point_of[labels[y, x]] = np.arange(len(points))
    ring_at = ring_of.astype(np.int32)[point_of][labels]
    pairs = [(point_of[labels[y, x]], np.arange(len(points)))]  # a pixel may be of two rings
    for one, other in _NEIGHBOURS:
        apart = ring_at[one] != ring_at[other]
        pairs.append((point_of[labels[one][apart]], point_of[labels[other][apart]]))
    found = np.concatenate([np.stack(pair, axis=1) for pair in pairs])
    found = found[ring_of[found[:, 0]] != ring_of[found[:, 1]]]
    lengths = np.abs(points[found[:, 0]] - points[found[:, 1]]).max(axis=1)
    order = np.argsort(lengths, kind="stable")
    low, high = np.sort(ring_of[found[order]], axis=1).T
    _, shortest = np.unique(low * len(points) + high, return_index=True)  # the first of each two rings
    lines: list[list[int]] = np.column_stack((lengths, found))[order[shortest]].tolist()
    return lines


def _walk(ring: Ring, start: int, branches: Sequence[tuple[int, Ring]]) -> Ring:
    """The ring from point `start` round to it again, with each branch walked from the point where it sets out."""
    turned = np.roll(ring, -start, axis=0)
    pieces, done = [], 0
    for at, branch in sorted((((at - start) % len(ring), branch) for at, branch in branches), key=lambda one: one[0]):
        pieces += [turned[done : at + 1], branch]
        done = at
    return np.concatenate([*pieces, turned[done:], turned[:1]])


def _pixels_beside(mask: Mask, one: Ring, other: Ring) -> int:
    """How many pixels of the line between two points are not in the mask."""
    line = np.linspace(one, other, int(np.abs(one - other).max()) + 1).round().astype(int)
    return int(np.count_nonzero(~mask[line[:, 1], line[:, 0]]))


def _simplified(line: NDArray[Any], tolerance: float) -> Ring:
    return cv2.approxPolyDP(line, tolerance * cv2.arcLength(line, True), True)[:, 0].astype(np.int64)


def _stepped(line: NDArray[Any], mask: Mask) -> Ring:
    """An outline that goes up to the right, or down to the left, by way of a pixel of the mask where there is one.

    Ultralytics puts points between a label's own and cuts their decimals off: on such a slope that leaves the line.
    """
    after = np.roll(line, -1, axis=0)
    one, other = np.stack((after[:, 0], line[:, 1]), 1), np.stack((line[:, 0], after[:, 1]), 1)
    between = np.where(mask[one[:, 1], one[:, 0], None], one, other)
    slope = (after - line).prod(axis=1) < 0
    turns = np.flatnonzero(slope & mask[between[:, 1], between[:, 0]])
    return np.insert(line, turns + 1, between[turns], axis=0).astype(np.int64)
