"""Pillow's bicubic resize as tensor operations, equal to it in every value, so that a GPU can do it.

Pillow filters a uint8 image along one axis, rounds to 8 bits, then filters along the other; the weights are whole
numbers of 22 bits, so any device that adds integers gets the same result. Source: `src/libImaging/Resample.c` of Pillow
(`bicubic_filter`, `precompute_coeffs`, `normalize_coeffs_8bpc`, `ImagingResampleHorizontal_8bpc`). Which axis comes
first in Pillow 13 was found by comparing; the tests hold both to it.
"""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_PRECISION_BITS = 22  # 32 - 8 - 2: a sum of products fits 32 bits
_A = -0.5  # of the bicubic kernel
_SUPPORT = 2.0

_VALUES_AT_ONCE = 1 << 26
"""Bound on the int32 products that exist at once (256 MiB); a frame of 1080p has 30 million for one axis."""


def resize(images: Tensor, size: int) -> Tensor:
    """(B, H, W, 3) uint8 -> (B, size, size, 3) uint8, as `PIL.Image.resize((size, size))` makes it of each image."""
    height, width = images.shape[1:3]
    columns_first = height - size > max(0, 2 * (width - size))
    for axis, length in ((1, height), (2, width)) if columns_first else ((2, width), (1, height)):
        images = _filtered(images, axis, *_taps(length, size, images.device))
    return images


def _filtered(images: Tensor, axis: int, pixels: Tensor, weights: Tensor) -> Tensor:
    """Filter along one axis; pixels (taps, size) int64 are what each output is a sum of, weights (taps, size) int32."""
    # few large operations, as a GPU does them sooner than it is told many
    at_once = max(1, _VALUES_AT_ONCE // (images.numel() // images.shape[axis] * pixels.shape[1]))
    total = torch.full((), 1 << (_PRECISION_BITS - 1), dtype=torch.int32, device=images.device)
    for taps, weight in zip(pixels.split(at_once), weights.split(at_once), strict=True):
        taken = images.index_select(axis, taps.flatten()).unflatten(axis, weight.shape)
        total = total + (taken * weight.view(*weight.shape, *[1] * (3 - axis))).sum(axis, dtype=torch.int32)
    return (total >> _PRECISION_BITS).clamp(0, 255).to(torch.uint8)


@lru_cache(maxsize=8)
def _taps(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    first, weights = _weights(length, size)
    pixels = np.minimum(first + np.arange(len(weights))[:, None], length - 1)
    return torch.from_numpy(pixels).to(device), torch.from_numpy(weights).to(device)


def _weights(length: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of `size` outputs of `length` pixels: the first pixel that counts (size,), and weights (taps, size)."""
    scale = length / size
    stretch = max(scale, 1.0)
    support = _SUPPORT * stretch
    taps = math.ceil(support) * 2 + 1
    first, weights = np.zeros(size, np.int64), np.zeros((taps, size), np.int32)
    for output in range(size):
        centre = (output + 0.5) * scale
        begin, end = max(0, int(centre - support + 0.5)), min(length, int(centre + support + 0.5))
        values = [_bicubic((pixel - centre + 0.5) * (1.0 / stretch)) for pixel in range(begin, end)]
        total = sum(values)
        for tap, value in enumerate(values):
            weights[tap, output] = _fixed(value / total if total else value)
        first[output] = begin
    return first, weights


def _bicubic(x: float) -> float:
    x = abs(x)
    if x < 1.0:
        return ((_A + 2.0) * x - (_A + 3.0)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * _A if x < 2.0 else 0.0


def _fixed(value: float) -> int:
    """In units of 2 ** -22, rounded half away from zero."""
    return int(value * (1 << _PRECISION_BITS) + (0.5 if value >= 0 else -0.5))
