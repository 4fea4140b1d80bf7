"""Decoded frames in a file, for windows that decoding reaches only from far before them: GIF, or a single key frame.

The file has no name: it is gone with the object, whatever happens.
"""

import os
import shutil
import tempfile
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import IO

import numpy as np

from sam2_cog import limits


@dataclass(frozen=True)
class DecodedCopy:
    """The frames [start, stop) of a clip, one after another, each (*size, 3) uint8."""

    file: IO[bytes]
    start: int
    stop: int
    size: tuple[int, int]

    def holds(self, start: int, stop: int) -> bool:
        """Whether all of the frames [start, stop) are here."""
        return self.start <= start and stop <= self.stop

    def read(self, start: int, stop: int) -> Generator[np.ndarray, None, None]:
        """Yield the frames [start, stop), each a new array."""
        for index in range(start, stop):
            image = np.empty((*self.size, 3), np.uint8)
            count = os.preadv(self.file.fileno(), [image.data.cast("B")], (index - self.start) * image.nbytes)
            assert count == image.nbytes, "a frame that was written is there"
            yield image


def copy_images(images: Iterable[np.ndarray], start: int, stop: int, size: tuple[int, int]) -> DecodedCopy | None:
    """Write down the frames [start, stop) of this (height, width) `size`; None where the disk is full."""
    file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with the object
    try:
        for image in images:
            left = image.data.cast("B")
            while left:
                left = left[file.write(left) :]
    except OSError:
        file.close()
        return None
    return DecodedCopy(file, start, stop, size)


def images_that_fit(image_bytes: int) -> int:
    """How many frames may be held: what the limit allows, and no more than half of what is free on the disk."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    return min(limits.DECODED_BYTES.value, free // 2) // image_bytes
