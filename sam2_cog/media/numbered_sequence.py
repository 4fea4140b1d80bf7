"""Whether images of several sizes are the frames of a clip of which a few went wrong, or each a picture for itself."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

MOST = 0.75
"""A sequence of which at least so many images have one size is a clip."""
_LAST_NUMBER = re.compile(r"(.*?)([0-9]+)([^0-9]*)", re.DOTALL)

Size = tuple[int, int]


def odd_frame(names: Sequence[str], sizes: Sequence[Size]) -> tuple[int, Size, int] | None:
    """The place of the first image that is not of most images' size, that size, and how many have it.

    None where these are no frames of a clip, or all of one size.

    names, sizes: the images' names in their order, and their (width, height). Frames are named as one sequence
    without a gap. Photos of a camera may be, too: so where images are only turned by a quarter, these are no frames.
    """
    common, count = Counter(sizes).most_common(1)[0]
    odd = [place for place, size in enumerate(sizes) if size != common]
    if not odd or count < MOST * len(sizes) or not _is_sequence(names):
        return None
    if all(sizes[place] == common[::-1] for place in odd):
        return None
    return odd[0], common, count


def _is_sequence(names: Sequence[str]) -> bool:
    parts = [_LAST_NUMBER.fullmatch(PurePosixPath(name).stem) for name in names]
    numbered = [(part[1], part[3], int(part[2])) for part in parts if part]
    if len(numbered) < len(names):
        return False
    before, after, first = numbered[0]
    return numbered == [(before, after, number) for number in range(first, first + len(names))]
