"""What is read off a mask, against the plainest way to say it."""

import tracemalloc
from dataclasses import replace

import cv2
import numpy as np
import pytest
import scipy.ndimage
import supervision as sv
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask

from sam2_cog.masks import (
    SPECK_PERCENT,
    FrameMasks,
    ObjectMask,
    Polygon,
    compressed_rle,
    joined,
    mask_box,
    mask_iou,
    mask_union,
    no_masks,
    polygons,
    run_lengths,
)

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


@given(any_mask)
def test_a_packed_mask_is_the_mask(mask: np.ndarray) -> None:
    packed = ObjectMask.of(mask)
    assert packed.size == mask.shape and packed.tight == mask_box(mask) and packed.area == mask.sum()
    assert packed.full().dtype == bool and (packed.full() == mask).all()
    assert packed.crop().sum() == mask.sum()
    assert packed == ObjectMask.of(mask.copy())
    assert packed == ObjectMask.of_packed(np.packbits(mask, axis=1), mask.shape[1])


def by_scipy(mask: np.ndarray, percent: float) -> np.ndarray:
    """The mask without its 8-connected parts of less than `percent` of the largest one's pixels."""
    labels, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    small = areas * 100 < percent * areas[1:].max(initial=0)
    return mask & ~small[labels]


@given(arrays(np.bool_, (14, 14)), st.sampled_from([0.0, 1.0, 2.0, 20.0, 50.0, 100.0]))
def test_small_parts_go_and_the_largest_stays(mask: np.ndarray, percent: float) -> None:
    kept = ObjectMask.of(mask).without_parts_below(percent)
    assert (kept.full() == by_scipy(mask, percent)).all()
    assert kept.tight == mask_box(kept.full())


def test_the_box_that_people_see_leaves_specks_out() -> None:
    mask = np.zeros((100, 100), bool)
    mask[10:40, 20:60] = True
    mask[90, 95:98] = True  # 3 of 1200 pixels
    packed = ObjectMask.of(mask)
    assert packed.tight == (20, 10, 98, 91) and packed.box == (20, 10, 60, 40)
    mask[80:85, 90:96] = True  # 30 more are a part of the object
    assert ObjectMask.of(mask).box == (20, 10, 96, 85)
    assert ObjectMask.of(np.zeros((5, 5), bool)).box is None


@given(any_mask)
def test_the_box_is_that_of_the_mask_without_specks(mask: np.ndarray) -> None:
    assert ObjectMask.of(mask).box == mask_box(by_scipy(mask, SPECK_PERCENT))


@given(any_masks)
def test_union(masks: np.ndarray) -> None:
    union = mask_union([ObjectMask.of(mask) for mask in masks], masks.shape[1:])
    assert union.dtype == np.uint8
    assert ((union == 255) == masks.any(axis=0)).all() and set(np.unique(union)) <= {0, 255}


def test_many_masks_of_a_large_frame_take_little_memory() -> None:
    mask = np.zeros((2160, 3840), bool)
    mask[500:1500, 1000:2000] = True
    tracemalloc.start()
    found = FrameMasks(0, tuple(ObjectMask.of(mask) for _ in range(40)), *np.zeros((2, 40), np.float32))
    mask_union(found.objects, mask.shape)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * mask.size // 8, "more than a bit a pixel"


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


@given(any_mask)
def test_compressed_runs_are_the_text_of_pycocotools(mask: np.ndarray) -> None:
    theirs = coco_mask.encode(np.asfortranarray(mask.view(np.uint8)))
    assert compressed_rle(ObjectMask.of(mask)) == theirs["counts"].decode()


@given(any_mask, any_mask)
def test_iou_is_the_shared_part_of_both(first: np.ndarray, second: np.ndarray) -> None:
    a, b = (np.kron(np.resize(mask, (12, 9)), np.ones((2, 3), bool)) for mask in (first, second))
    union = (a | b).sum()
    assert mask_iou(ObjectMask.of(a), ObjectMask.of(b)) == ((a & b).sum() / union if union else 1)


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


def test_frame_masks_can_be_had_as_arrays_and_without_small_parts_and_not_be_changed() -> None:
    masks = np.zeros((2, 10, 10), bool)
    masks[0, 2:6, 2:6] = masks[0, 8, 8] = True
    found = FrameMasks(3, tuple(ObjectMask.of(mask) for mask in masks), *np.ones((2, 2), np.float32))
    assert (found.array() == masks).all()
    masks[0, 8, 8] = False
    cleaned = found.without_parts_below(10)
    assert (cleaned.array() == masks).all() and cleaned.frame_index == 3 and cleaned.scores is found.scores
    with pytest.raises(AttributeError):
        found.frame_index = 0  # type: ignore[misc]


def test_no_masks_are_empty() -> None:
    nothing = no_masks(4, 2, (5, 7))
    assert nothing.array().shape == (2, 5, 7) and not nothing.array().any()
    assert nothing.frame_index == 4 and not nothing.scores.any()


def test_supervision_gets_the_objects_that_are_seen() -> None:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:5, 4:9] = masks[2, 19, 29] = True
    found = FrameMasks(4, tuple(map(ObjectMask.of, masks)), np.array([0.9, 0, 0.5], np.float32), np.ones(3, np.float32))
    seen = found.to_supervision(["a", "b", "c"])
    assert seen.xyxy.tolist() == [[4, 2, 9, 5], [29, 19, 30, 20]] and (seen.mask == masks[[0, 2]]).all()
    assert seen.class_id.tolist() == [0, 2] and seen.tracker_id.tolist() == [1, 3]
    assert seen.data["class_name"].tolist() == ["a", "c"] and seen.confidence.tolist() == pytest.approx([0.9, 0.5])
    picture = sv.MaskAnnotator(color_lookup=sv.ColorLookup.TRACK).annotate(np.zeros((20, 30, 3), np.uint8), seen)
    assert picture[3, 5].any() and not picture[10, 10].any()
    nothing = no_masks(0, 3, (20, 30)).to_supervision()
    assert len(nothing) == 0 and nothing.mask.shape == (0, 20, 30)
    sv.BoxAnnotator().annotate(np.zeros((20, 30, 3), np.uint8), nothing)


def test_a_mask_of_tens_of_megapixels_has_its_box() -> None:
    """A hundred times its area is more than 32 bits hold."""
    mask = np.zeros((5000, 9001), bool)
    mask[:, :9000] = True
    one = ObjectMask.of(mask)
    assert one.box == (0, 0, 9000, 5000)
    assert one.without_parts_below(1).area == one.area == 45_000_000


@pytest.mark.parametrize("with_soft", [True, False])
def test_objects_taken_apart_and_joined_are_what_they_were(with_soft: bool) -> None:
    chance = np.random.default_rng(0)
    soft = chance.random((3, 4, 4)).astype(np.float16) if with_soft else None
    objects = tuple(ObjectMask.of(mask) for mask in chance.random((3, 8, 9)) < 0.3)
    scores, presence = chance.random((2, 3)).astype(np.float32)
    whole = FrameMasks(5, objects, scores, presence, soft)
    again = joined([whole.alone(number) for number in range(3)])
    assert again.frame_index == 5 and again.objects == whole.objects
    assert np.array_equal(again.scores, whole.scores) and np.array_equal(again.presence, whole.presence)
    if soft is None or again.soft is None:
        assert again.soft is soft
    else:
        assert np.array_equal(again.soft, soft)


def test_where_one_part_has_no_logits_the_whole_has_none() -> None:
    nothing = no_masks(0, 1, (8, 9))
    assert joined([replace(nothing, soft=np.zeros((1, 4, 4), np.float16)), nothing]).soft is None
