"""Logits -> masks: holes, scaling, cutting, packing."""

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_cog.engine import logits as module
from sam2_cog.engine.logits import HOLE_LOGIT, cut, fill_holes, small_components
from sam2_cog.masks import ObjectMask

WAYS = (module._found_by_opencv, module._found_by_pooling)


def by_scipy(region: np.ndarray, max_area: int) -> np.ndarray:
    """8-connected components of at most `max_area` pixels, as the official CUDA extension finds them."""
    small = np.zeros_like(region)
    for row, flags in enumerate(region[:, 0]):
        labels, _ = scipy.ndimage.label(flags, np.ones((3, 3)))
        small[row, 0] = flags & (np.bincount(labels.ravel())[labels] <= max_area)
    return small


def regions() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = [torch.rand(3, 1, 40, 56, generator=generator) < share for share in (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.95)]
    smooth = F.interpolate(torch.rand(2, 1, 16, 16, generator=generator), size=(64, 64), mode="bilinear")
    snakes = torch.zeros(1, 1, 40, 40, dtype=torch.bool)
    snakes[0, 0, 5, 5:13] = snakes[0, 0, 10, 5:14] = snakes[0, 0, 20:28, 20] = True
    diagonal = torch.eye(40, dtype=torch.bool)[None, None]
    nothing, everything = torch.zeros(1, 1, 8, 8, dtype=torch.bool), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    return [*found, smooth < 0.4, snakes, diagonal, nothing, everything]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("max_area", [1, 8])
def test_small_components_are_those_of_scipy(way: object, max_area: int) -> None:
    for region in regions():
        found = way(region, max_area)  # type: ignore[operator]
        assert np.array_equal(found.numpy(), by_scipy(region.numpy(), max_area))


def test_holes_of_eight_pixels_are_filled_and_of_nine_are_not() -> None:
    logits = torch.full((1, 1, 24, 24), 5.0)
    logits[0, 0, 2:4, 2:6] = -3.0
    logits[0, 0, 10:13, 10:13] = -3.0
    filled = fill_holes(logits)
    assert (filled[0, 0, 2:4, 2:6] == HOLE_LOGIT).all()
    assert torch.equal(filled[0, 0, 6:], logits[0, 0, 6:])


def test_a_pixel_at_zero_is_background() -> None:
    logits = torch.ones(1, 1, 8, 8)
    logits[0, 0, 3, 3] = 0.0
    assert fill_holes(logits)[0, 0, 3, 3] == pytest.approx(HOLE_LOGIT)
    assert not cut(logits, 8, 8)()[0].full()[3, 3]
    assert small_components(logits <= 0, 8).sum() == 1


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (64, 40)])
def test_masks_are_cut_from_the_scaled_logits(size: tuple[int, int]) -> None:
    logits = torch.randn(5, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[:, 0] > 0
    found = cut(logits, *size)()
    assert [mask.size for mask in found] == [size] * 5
    assert all(np.array_equal(mask.full(), wanted) for mask, wanted in zip(found, expected.numpy(), strict=True))


def test_masks_cut_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(5, 1, 16, 16, generator=torch.Generator().manual_seed(2))
    whole = cut(logits, 40, 30)()
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 40 * 30 * 2)
    assert cut(logits, 40, 30)() == whole


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_packing_is_that_of_numpy(count: int) -> None:
    flags = torch.rand(3, 2, count, generator=torch.Generator().manual_seed(count)) < 0.5
    packed = module._pack(flags).numpy()
    assert np.array_equal(packed, np.packbits(flags.numpy(), axis=2))
    masks = [ObjectMask.of_packed(rows, count) for rows in packed]
    assert masks == [ObjectMask.of(plane) for plane in flags.numpy()]
