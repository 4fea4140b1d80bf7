"""What is read off a mask, against the plainest way to say it."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from sam2_cog.masks import FrameMasks, Polygon, mask_areas, mask_box, mask_union, polygons, run_lengths

any_mask = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12))
any_masks = arrays(np.bool_, array_shapes(min_dims=3, max_dims=3, max_side=8))


@given(any_mask)
def test_box_is_the_smallest_that_holds_the_mask(mask: np.ndarray) -> None:
    box = mask_box(mask)
    if box is None:
        assert not mask.any()
        return
    x0, y0, x1, y1 = box
    assert mask[y0:y1, x0:x1].sum() == mask.sum()
    for line in (mask[y0, x0:x1], mask[y1 - 1, x0:x1], mask[y0:y1, x0], mask[y0:y1, x1 - 1]):
        assert line.any()


def test_box_of_one_pixel_and_of_a_whole_frame() -> None:
    mask = np.zeros((5, 7), bool)
    mask[3, 6] = True
    assert mask_box(mask) == (6, 3, 7, 4)
    assert mask_box(np.ones((5, 7), bool)) == (0, 0, 7, 5)
    assert mask_box(np.zeros((5, 7), bool)) is None


@given(any_masks)
def test_areas_and_union(masks: np.ndarray) -> None:
    assert mask_areas(masks) == tuple(int(mask.sum()) for mask in masks)
    union = mask_union(masks)
    assert union.dtype == np.uint8
    assert ((union == 255) == masks.any(axis=0)).all() and set(np.unique(union)) <= {0, 255}


@given(any_mask)
def test_run_lengths_lead_back_to_the_mask(mask: np.ndarray) -> None:
    counts = run_lengths(mask)
    assert sum(counts) == mask.size
    assert all(count > 0 for count in counts[1:])
    values = np.arange(len(counts)) % 2 == 1
    assert (np.repeat(values, counts).reshape(mask.shape, order="F") == mask).all()


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        (["..", ".."], (4,)),
        (["##", "##"], (0, 4)),
        ([".#", ".#"], (2, 2)),
        (["##", ".."], (0, 1, 1, 1, 1)),
        (["...", ".#.", "..."], (4, 1, 4)),
    ],
)
def test_run_lengths_go_down_the_columns_and_begin_with_background(rows: list[str], counts: tuple[int, ...]) -> None:
    assert run_lengths(np.array([[c == "#" for c in row] for row in rows])) == counts


def filled(parts: tuple[Polygon, ...], size: tuple[int, ...]) -> np.ndarray:
    """What an annotation tool makes of polygons: each outline and what it holds, less the inside of its holes."""
    result = np.zeros(size, np.uint8)
    for part in parts:
        canvas = np.zeros(size, np.uint8)
        cv2.fillPoly(canvas, [part.outline.astype(np.int32)], 1)
        for hole in part.holes:
            cv2.fillPoly(canvas, [hole.astype(np.int32)], 0)
            cv2.polylines(canvas, [hole.astype(np.int32)], True, 1)
        result |= canvas
    return result.astype(bool)


@given(any_mask)
def test_exact_polygons_give_the_mask_back(mask: np.ndarray) -> None:
    mask = np.kron(mask, np.ones((3, 3), bool))  # no part is a mere line
    assert (filled(polygons(mask), mask.shape) == mask).all()


def test_polygons_come_by_size_with_their_holes_and_without_mere_lines() -> None:
    mask = np.zeros((20, 40), bool)
    mask[2:6, 2:6] = True
    mask[2:18, 10:30] = True
    mask[6:10, 14:20] = False
    mask[1, 35:39] = mask[19, 0] = True
    large, small = polygons(mask)
    assert (large.outline.min(), large.outline.max(), len(large.holes)) == (2, 29, 1)
    assert small.closed_outline == [[2, 2], [2, 5], [5, 5], [5, 2], [2, 2]] and small.holes == ()
    assert polygons(np.zeros((4, 4), bool)) == ()


def test_tolerance_leaves_out_corners_and_keeps_the_shape() -> None:
    y, x = np.mgrid[:200, :200]
    disc = (x - 100) ** 2 + (y - 90) ** 2 < 80**2
    (exact,), (simple,) = polygons(disc), polygons(disc, 0.002)
    shape = filled((simple,), disc.shape)
    assert len(simple.outline) < len(exact.outline) / 3
    assert (shape & disc).sum() / (shape | disc).sum() > 0.98


@given(st.integers(0, 2**31))
def test_frame_masks_cannot_be_changed(index: int) -> None:
    found = FrameMasks(index, np.zeros((1, 2, 2), bool), np.ones(1, np.float32))
    with pytest.raises(AttributeError):
        found.frame_index = 0  # type: ignore[misc]
