"""Masks on disk until the forward pass has caught up."""

import os

import numpy as np
import pytest

from sam2_cog.engine.mask_store import MaskStore
from sam2_cog.masks import FrameMasks, ObjectMask


def random_masks(index: int, shape: tuple[int, int, int]) -> FrameMasks:
    generator = np.random.default_rng(index)
    masks = generator.random(shape) < 0.3
    masks[0] &= index % 2 == 0  # an empty one now and then
    scores, presence = generator.random((2, shape[0]), np.float32)
    soft = generator.random((shape[0], 4, 4), np.float32).astype(np.float16) if index > 2 else None
    return FrameMasks(index, tuple(ObjectMask.of(mask) for mask in masks), scores, presence, soft)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 49, 65), (2, 64, 96)])
def test_what_is_taken_is_what_was_put_in_any_order(shape: tuple[int, int, int]) -> None:
    with MaskStore() as store:
        for index in reversed(range(5)):
            store.put(random_masks(index, shape))
        for index in range(5):
            expected, found = random_masks(index, shape), store.take(index)
            assert found.frame_index == index
            assert found.objects == expected.objects
            assert np.array_equal(found.scores, expected.scores)
            assert np.array_equal(found.presence, expected.presence)
            if found.soft is None or expected.soft is None:
                assert found.soft is expected.soft
            else:
                assert found.soft.dtype == np.float16 and np.array_equal(found.soft, expected.soft)


def test_a_frame_that_was_never_put_is_an_error() -> None:
    with MaskStore() as store, pytest.raises(KeyError):
        store.take(0)


def test_nothing_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with MaskStore() as store:
        store.put(random_masks(0, (1, 8, 8)))
        assert len(os.listdir("/proc/self/fd")) == before + 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_stored_frame_is_small() -> None:
    mask = np.zeros((720, 1280), bool)
    mask[200:400, 300:700] = True
    with MaskStore() as store:
        store.put(FrameMasks(0, (ObjectMask.of(mask),) * 4, np.ones(4, np.float32), np.ones(4, np.float32)))
        assert store._file.size < 10_000
