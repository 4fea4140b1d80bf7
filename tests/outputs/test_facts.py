"""The facts of each object, and the frames to look at first."""

from itertools import pairwise

import numpy as np
import pytest

from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.outputs.facts import APART, MOST_NAMED, Watch


def frame(index: int, *columns: slice | None, score: float = 0.95) -> FrameMasks:
    masks = np.zeros((len(columns), 20, 40), bool)
    for mask, place in zip(masks, columns, strict=True):
        if place is not None:
            mask[5:15, place] = True
    objects = tuple(map(ObjectMask.of, masks))
    return FrameMasks(index, objects, np.full(len(columns), score, np.float32), np.full(len(columns), 2.5, np.float32))


def test_drift_is_told_against_the_frame_before() -> None:
    watch = Watch(("a", "b"))
    first = watch.see(frame(0, slice(0, 10), None))
    assert (first[0].area, first[0].box, first[0].centroid) == (100, (0, 5, 10, 15), (4.5, 9.5))
    assert (first[0].area_change, first[0].iou_before, first[1].iou_before) == (None, None, None)
    second = watch.see(frame(1, slice(5, 25), slice(0, 4)))
    assert (second[0].area_change, second[0].iou_before) == (1.0, pytest.approx(50 / 250))
    assert (second[1].visible, second[1].area_change, second[1].iou_before) == (True, None, 0.0)
    third = watch.see(frame(2, slice(5, 25), None))
    assert (third[0].area_change, third[0].iou_before) == (0.0, 1.0)
    assert (third[1].visible, third[1].area_change, third[1].centroid) == (False, -1.0, None)


def test_the_worst_frames_are_named_once_each_with_the_reason() -> None:
    watch = Watch(("a", "b"))
    for index in range(200):
        place = slice(0, 10) if index < 100 else slice(25, 35)
        watch.see(frame(index, place, None if 40 <= index < 60 else slice(0, 10), score=0.2 if index == 150 else 0.95))
    named = [(one.frame_index, one.name, one.reason) for one in watch.worst]
    assert set(named[:2]) == {(40, "b", "gone"), (60, "b", "there again")}
    assert set(named[2:]) == {(100, "a", "IoU 0.00 with the frame before"), (150, "a", "score 0.20")}


def test_a_steady_clip_names_nothing_and_a_wild_one_only_a_few() -> None:
    steady, wild = Watch(("a",)), Watch(("a",))
    for index in range(100):
        steady.see(frame(index, slice(index // 10, index // 10 + 20)))
        wild.see(frame(index, slice(0, 5) if index % 2 else slice(20, 25)))
    assert steady.worst == ()
    frames = sorted(one.frame_index for one in wild.worst)
    assert 1 <= len(frames) <= MOST_NAMED and all(b - a >= APART for a, b in pairwise(frames))
