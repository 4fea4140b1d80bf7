"""Masks on disk until the forward pass has caught up."""

import os

import numpy as np
import pytest

from sam2_cog.engine.mask_store import MaskStore
from sam2_cog.masks import FrameMasks


def random_masks(index: int, shape: tuple[int, int, int]) -> FrameMasks:
    generator = np.random.default_rng(index)
    return FrameMasks(index, generator.random(shape) < 0.3, generator.random(shape[0], np.float32))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 49, 65), (2, 64, 96)])
def test_what_is_taken_is_what_was_put_in_any_order(shape: tuple[int, int, int]) -> None:
    with MaskStore() as store:
        for index in reversed(range(5)):
            store.put(random_masks(index, shape))
        for index in range(5):
            expected, found = random_masks(index, shape), store.take(index)
            assert found.frame_index == index
            assert found.masks.dtype == bool and np.array_equal(found.masks, expected.masks)
            assert np.array_equal(found.scores, expected.scores)


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
    mask = np.zeros((4, 720, 1280), bool)
    mask[:, 200:400, 300:700] = True
    with MaskStore() as store:
        store.put(FrameMasks(0, mask, np.ones(4, np.float32)))
        assert store._file.tell() < 10_000
