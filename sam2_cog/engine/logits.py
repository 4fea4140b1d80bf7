"""Mask logits -> masks, on the device: small holes filled, scaled to the video, cut, packed for the way to the host."""

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sam2_cog.engine.host_memory import on_its_way
from sam2_cog.masks import ObjectMask

HOLE_AREA = 8
"""Largest hole that is filled, in pixels of the low-resolution mask (`fill_hole_area=8` of the official predictor)."""

HOLE_LOGIT = 0.1
"""What a filled pixel is set to (`fill_holes_in_mask_scores` of the official predictor)."""

_PIXELS_AT_ONCE = 1 << 24
"""Bound on the float32 pixels that exist at once while masks are scaled to the size of the video (64 MiB)."""


def fill_holes(logits: Tensor, max_area: int = HOLE_AREA) -> Tensor:
    """Set the background components of at most `max_area` pixels to a small positive logit.

    logits: (N, 1, H, W) float32, object where > 0. Components are 8-connected, as in the official CUDA extension.
    """
    return torch.where(small_components(logits <= 0, max_area), HOLE_LOGIT, logits)


def small_components(region: Tensor, max_area: int) -> Tensor:
    """The pixels of `region` that belong to an 8-connected component of at most `max_area` pixels.

    region: (N, 1, H, W) bool, H * W < 2 ** 24. Returns the same shape and type.
    """
    return _found_by_opencv(region, max_area) if region.device.type == "cpu" else _found_by_pooling(region, max_area)


def _found_by_opencv(region: Tensor, max_area: int) -> Tensor:
    """On the host; there it takes a tenth of the time of the pooling."""
    small = np.empty(region.shape, bool)
    for row, flags in enumerate(region[:, 0].numpy().view(np.uint8)):
        _, labels, facts, _ = cv2.connectedComponentsWithStats(flags, connectivity=8)
        is_small = facts[:, cv2.CC_STAT_AREA] <= max_area
        is_small[0] = False  # what is not in the region
        small[row, 0] = is_small[labels]
    return torch.from_numpy(small)


def _found_by_pooling(region: Tensor, max_area: int) -> Tensor:
    """A fixed number of tensor operations without a transfer to the host.

    Each pixel takes the largest pixel number in reach, one step a round. A component of at most `max_area` pixels has a
    single number after `max_area` rounds; a larger one either has a number on more than `max_area` pixels or is still
    changing somewhere.
    """
    count, _, height, width = region.shape
    pixels = height * width
    labels = _numbered(height, width, region.device) * region
    for _ in range(max_area):
        labels = F.max_pool2d(labels, 3, 1, 1) * region
    changing = (F.max_pool2d(labels, 3, 1, 1) * region) != labels
    index = labels.long().view(count, pixels)
    # one sum tells both: a pixel counts 1, a changing pixel more than any small component can hold
    weight = region.float() + changing.float() * (max_area + 1)
    area = torch.zeros(count, pixels + 1, device=region.device).scatter_add_(1, index, weight.view(count, pixels))
    return region & (area.gather(1, index).view_as(labels) <= max_area)


@lru_cache(maxsize=2)
def _numbered(height: int, width: int, device: torch.device) -> Tensor:
    """Every pixel's number, from 1: (1, 1, height, width) float32."""
    return torch.arange(1, height * width + 1, device=device, dtype=torch.float32).view(1, 1, height, width)


Masks = tuple[ObjectMask, ...]


def cut(logits: Tensor, height: int, width: int) -> Callable[[], Masks]:
    """Logits (N, 1, h, w) float32 -> N masks of height x width pixels on the host, set where positive when scaled.

    What is returned gives them. A GPU has been told all of it by then, and only that call waits for it.
    """
    at_once = max(1, _PIXELS_AT_ONCE // (height * width))
    parts = [_cut_chunk(chunk, height, width) for chunk in logits.split(at_once)]
    return lambda: tuple(mask for part in parts for mask in part())


def _cut_chunk(logits: Tensor, height: int, width: int) -> Callable[[], Masks]:
    if logits.shape[-2:] != (height, width):
        logits = F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)
    if logits.device.type == "cpu":
        masks = tuple(ObjectMask.of(plane > 0) for plane in logits[:, 0].numpy())  # faster than torch compares
        return lambda: masks
    packed = on_its_way(_pack(logits[:, 0] > 0))  # eight pixels a byte on the way over the bus
    return lambda: tuple(ObjectMask.of_packed(rows, width) for rows in packed())


def _pack(flags: Tensor) -> Tensor:
    """(N, H, W) bool -> (N, H, ceil(W / 8)) uint8, the first flag in the highest bit, as `numpy.packbits` does."""
    padded = F.pad(flags.to(torch.uint8), (0, -flags.shape[2] % 8)).unflatten(2, (-1, 8))
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=flags.device)
    return (padded << places).sum(3, dtype=torch.uint8)
