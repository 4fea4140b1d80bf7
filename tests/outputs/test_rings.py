"""One ring for a whole mask: filled as readers fill it, it gives the mask back, but for lines between parts."""

import time
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from sam2_cog.masks import ObjectMask
from sam2_cog.outputs.rings import _spanning_tree, edge_polygon, join_rings, one_polygon

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16))


def filled(ring: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    canvas = np.zeros(size, np.uint8)
    cv2.fillPoly(canvas, [ring.astype(np.int32)], 1)
    return canvas.astype(bool)


def between(ring: np.ndarray) -> np.ndarray:
    """The ring with nine points more on each line, as Ultralytics has them, a quarter into the pixel."""
    shares = np.arange(10)[:, None] / 10
    lines = zip(ring, np.roll(ring, -1, axis=0), strict=True)
    return np.concatenate([one + shares * (other - one) for one, other in lines]) + 0.25


def only_corners_touch(mask: np.ndarray) -> np.ndarray:
    """For each square of four pixels whether two of the mask touch at a corner there, and at nothing else."""
    (a, b), (c, d) = (mask[:-1, :-1], mask[:-1, 1:]), (mask[1:, :-1], mask[1:, 1:])
    return (a == d) & (b == c) & (a != b)


def parts(mask: np.ndarray) -> int:
    return cv2.connectedComponents(mask.view(np.uint8), connectivity=8)[0] - 1


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@given(any_mask)
def test_a_mask_of_one_part_comes_back_with_its_holes(mask: np.ndarray) -> None:
    ring = one_polygon(ObjectMask.of(mask))
    if ring is None:
        assert not mask.any()
    elif parts(mask) == 1:
        assert len(ring) >= 3
        assert (filled(ring, mask.shape) == mask).all()


@given(any_mask)
def test_it_comes_back_to_readers_that_put_points_between(mask: np.ndarray) -> None:
    mask = mask.copy()
    while (corners := only_corners_touch(mask)).any():  # there is no way round those
        mask[:-1, :-1] |= corners
        mask[:-1, 1:] |= corners
    ring = one_polygon(ObjectMask.of(mask))
    if ring is not None:
        seen = filled(between(ring), mask.shape)
        assert (seen == mask).all() if parts(mask) == 1 else seen.any()


@given(any_mask)
def test_of_several_parts_nothing_is_better_left_out(mask: np.ndarray) -> None:
    ring = one_polygon(ObjectMask.of(mask))
    if ring is not None:
        largest = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA].max()
        wrong = np.count_nonzero(filled(ring, mask.shape) != mask)
        assert wrong <= mask.sum() - largest  # as many as of the largest part alone


def test_the_line_between_two_parts_is_the_shortest_and_one_pixel_wide() -> None:
    mask = np.zeros((60, 200), bool)
    mask[10:40, 5:60] = mask[5:50, 71:150] = True
    ring = one_polygon(ObjectMask.of(mask))
    assert ring is not None
    assert not (mask & ~filled(ring, mask.shape)).any()
    assert np.count_nonzero(filled(ring, mask.shape) & ~mask) == 11
    print(f"IoU of two parts 11 pixels apart: {iou(filled(ring, mask.shape), mask):.4f}")


def test_parts_in_a_row_are_joined_each_to_its_neighbour() -> None:
    mask = np.zeros((12, 300), bool)
    for left in (0, 100, 200, 50, 150):  # by size the neighbours would not follow each other
        mask[: 6 + left // 50, left : left + 40] = True
    ring = one_polygon(ObjectMask.of(mask))
    assert ring is not None
    assert np.count_nonzero(filled(ring, mask.shape) != mask) == 4 * 10


@given(any_mask)
def test_the_lines_are_as_short_as_can_be(mask: np.ndarray) -> None:
    lines, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [line[:, 0].astype(np.int64) for line in lines]
    assume(rings)
    joints = _spanning_tree(rings)
    assert {joint.ring for joint in joints} == set(range(1, len(rings))) and len(joints) == len(rings) - 1
    shortest = distances(rings)
    joined, total = {0}, 0
    while len(joined) < len(rings):
        length, newest = min((shortest[a, b], b) for a in joined for b in range(len(rings)) if b not in joined)
        joined.add(newest)
        total += length
    assert sum(np.abs(rings[one.ring][one.at] - rings[one.to][one.there]).max() for one in joints) == total


def distances(rings: list[np.ndarray]) -> np.ndarray:
    """(rings, rings): how far apart each two rings are, by all their points."""
    return np.array([[np.abs(one[:, None] - other).max(axis=2).min() for other in rings] for one in rings])


def test_many_long_outlines_are_joined_in_little_time() -> None:
    angles = np.linspace(0, 2 * np.pi, 4000)
    mask = np.zeros((1080, 1920), np.uint8)
    for part in range(8):
        radius = 120 + 60 * np.sin(40 * angles + part)
        x, y = 240 + 480 * (part % 4), 180 + 360 * (part // 4)
        star = np.stack((x + radius * np.cos(angles), y + radius * np.sin(angles)), axis=1)
        cv2.fillPoly(mask, [star.astype(np.int32)], 1)
    begin = time.process_time()
    ring = one_polygon(ObjectMask.of(mask.view(bool)))
    assert time.process_time() - begin < 5  # 0.1 s; by all pairs of its 68,000 points more than a minute
    assert ring is not None and iou(filled(ring, mask.shape), mask.view(bool)) > 0.999


def test_a_part_that_is_smaller_than_the_line_to_it_is_left_out() -> None:
    mask = np.zeros((40, 200), bool)
    mask[5:35, 5:35] = True
    mask[10:20, 10:20] = False  # a hole
    mask[20:23, 60:63] = mask[20, 36] = mask[30:38, 40:46] = True
    ring = one_polygon(ObjectMask.of(mask))
    assert ring is not None
    seen = filled(ring, mask.shape)
    assert seen[20, 36] and seen[30:38, 40:46].all() and not seen[:, 60:].any() and not seen[12:18, 12:18].any()


@pytest.mark.parametrize("tolerance", [0.0, 0.001, 0.01])
def test_holes_are_kept_whatever_the_tolerance(tolerance: float) -> None:
    rows, columns = np.mgrid[:120, :160]
    away = np.hypot(rows - 60, columns - 80)
    mask = (away < 55) & (np.hypot(rows - 50, columns - 65) > 12) & (np.hypot(rows - 70, columns - 100) > 5)
    ring = one_polygon(ObjectMask.of(mask), tolerance)
    assert ring is not None
    assert iou(filled(np.round(ring), mask.shape), mask) > 0.97
    assert not filled(np.round(ring), mask.shape)[50, 65] and not filled(np.round(ring), mask.shape)[70, 100]


def test_along_the_edges_no_part_is_lost_and_lines_have_no_width() -> None:
    mask = np.zeros((60, 200), bool)
    mask[10:40, 5:60] = mask[5:50, 71:150] = mask[2:5, 190:192] = True
    mask[20:30, 20:30] = False
    ring = edge_polygon(ObjectMask.of(mask))
    assert ring is not None and edge_polygon(ObjectMask.of(mask & False)) is None
    seen = coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], 60, 200)[0]).astype(bool)
    assert iou(seen, mask) > 0.998 and seen[2:5, 190:192].all()


@given(any_mask)
def test_along_the_edges_only_what_is_thinner_than_a_pixel_is_filled(mask: np.ndarray) -> None:
    mask = np.kron(mask, np.ones((3, 3), bool))
    ring = edge_polygon(ObjectMask.of(mask))
    if ring is not None:
        seen = coco_mask.decode(coco_mask.frPyObjects([ring.ravel().tolist()], *mask.shape)[0]).astype(bool)
        assert iou(seen, mask) > 0.9


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8))
def test_rings_of_any_few_points_are_joined(corners: list[tuple[int, int]]) -> None:
    rings = [np.array([corner, (corner[0] + 1, corner[1])][: 1 + index % 2]) for index, corner in enumerate(corners)]
    ring = join_rings(rings)
    assert len(ring) >= 3
    seen = filled(ring, (52, 52))
    assert all(seen[y, x] for x, y in corners)


@pytest.mark.parametrize("read", [np.trunc, np.round], ids=["cut", "rounded"])
def test_a_frame_full_of_specks_takes_bounded_time(read: Callable[[np.ndarray], np.ndarray]) -> None:
    mask = np.random.default_rng(1).random((120, 160)) < 0.08
    ring = one_polygon(ObjectMask.of(mask))
    assert ring is not None and len(ring) >= 3
    assert filled(read(ring + 0.25), mask.shape).any()
