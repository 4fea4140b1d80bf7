"""Label Studio's run lengths of a brush mask: a stream of bits, given as bytes, of the mask as an RGBA picture.

32 bits: number of values; 5: bits a value, less 1; 4 x 4: four sizes of a length, less 1. Then for each stretch a bit
that is 1 where one value repeats, 2 bits that choose the size, the length less 1, and the value. Source: the decoder of
the package @thi.ng/rle-pack, which Label Studio's editor uses, and `label_studio_sdk.converter.brush`.
"""

import numpy as np

from sam2_cog.masks import ObjectMask

_SIZES = (3, 4, 8, 16)
_CHANNELS = 4


def brush_rle(mask: ObjectMask) -> list[int]:
    """The "rle" of a BrushLabels region: 255 in all four channels where the mask is set, else 0."""
    pixels = mask.full().ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate(([0], changes, [pixels.size]))
    head = f"{pixels.size * _CHANNELS:032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in _SIZES)
    stretches = zip(np.diff(bounds).tolist(), pixels[bounds[:-1]].tolist(), strict=True)
    bits = head + "".join(_stretch(length * _CHANNELS, bool(value)) for length, value in stretches)
    padded = np.frombuffer((bits + "0" * (-len(bits) % 8)).encode("ascii"), np.uint8) - ord("0")
    numbers: list[int] = np.packbits(padded).tolist()
    return numbers


def _stretch(length: int, value: bool) -> str:
    pieces = []
    while length:
        choice = next((c for c, size in enumerate(_SIZES) if length <= 1 << size), len(_SIZES) - 1)
        part = min(length, 1 << _SIZES[choice])
        pieces.append(f"1{choice:02b}{part - 1:0{_SIZES[choice]}b}{255 * value:08b}")
        length -= part
    return "".join(pieces)
