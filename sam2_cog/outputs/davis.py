"""DAVIS 2017: `JPEGImages/480p/<clip>/<frame>.jpg` and `Annotations/480p/<clip>/<frame>.png` with the objects' numbers.

The PNGs have a palette: a pixel's value is its object's number from 1, 0 is the background, 255 belongs to none. Where
objects overlap, the one with the lower number is on top. The folder is named 480p, whatever the size, because loaders
look for that name. `ImageSets/2017/val.txt` names the clip.
"""

from collections.abc import Sequence
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import OutputSpec
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts

MOST_OBJECTS = 254
"""What fits into 8 bits beside the background and the value that belongs to none."""


class DavisOutput(Dataset):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        """Raises InvalidRequest for more objects than a palette has numbers for."""
        super().__init__(spec)
        if len(spec.names) > MOST_OBJECTS:
            raise InvalidRequest(
                f"output_format: davis holds at most {MOST_OBJECTS} objects, but there are {len(spec.names)}"
            )

    def _image_name(self, frame: Frame) -> str:
        return f"JPEGImages/480p/{self.clip}/{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        numbers = np.zeros((self.spec.video.height, self.spec.video.width), np.uint8)
        for index in reversed(range(len(masks.objects))):
            mask = masks.objects[index]
            if mask.tight is not None:
                x0, y0, x1, y1 = mask.tight
                numbers[y0:y1, x0:x1][mask.crop()] = index + 1
        self._zip.store(f"Annotations/480p/{self.clip}/{frame.index:05d}.png", partial(_png, numbers))

    def _complete(self) -> None:
        self._zip.store("ImageSets/2017/val.txt", f"{self.clip}\n".encode())


def _png(numbers: NDArray[np.uint8]) -> bytes:
    """(H, W) numbers as a picture with the palette."""
    picture, content = Image.fromarray(numbers, "L"), BytesIO()
    picture.putpalette(_PALETTE)
    picture.save(content, "PNG", compress_level=1)
    return content.getvalue()


def _colour(number: int) -> tuple[int, int, int]:
    """The colour of a number in the palette of PASCAL VOC and DAVIS: its bits dealt to red, green and blue by turns."""
    channels = [sum((number >> 3 * place + channel & 1) << 7 - place for place in range(3)) for channel in range(3)]
    return channels[0], channels[1], channels[2]


_PALETTE = [channel for number in range(256) for channel in _colour(number)]
