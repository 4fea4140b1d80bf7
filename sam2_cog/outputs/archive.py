"""A zip with a picture per frame, or a mask per object and frame, and `manifest.json`.

`binary` writes `masks/<object>/<number>.png`, one channel, 0 or 255, whatever the format asked for: masks stay exact.
`probability` writes the same folders and files with 255 times the network's probability in each pixel.
The other mask types write `frames/<number>.<format>`, or `frames/<object>/<number>.<format>` with `separate_objects`.
Numbers have five digits or more and go on without gaps, as editors want them; the manifest names each one's frame.

Of one image the result may be the one picture itself, where the path's suffix is none of a zip.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from sam2_cog.masks import FrameMasks, mask_union
from sam2_cog.media.video import Frame, VideoInfo
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.manifest import Manifest
from sam2_cog.outputs.one_picture import OnePicture
from sam2_cog.outputs.zip_file import ZipFileWriter
from sam2_cog.overlap import cores
from sam2_cog.painting.captions import Picture

_PNG_OF_MASK = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)  # six times as fast as OpenCV's default on a mask, and smaller

_MOST_ENCODERS = 8
_BYTES_IN_WORK = 1 << 27  # of the pictures that are encoded at a time, and of OpenCV's copies of them

EXACT = ("binary", "probability")
"""Mask types of which each object has pictures of its own."""


class Archive(Output):
    """See the module. A format says how one picture is encoded."""

    suffix = ".zip"
    picture_suffix: ClassVar[str]
    """Without the dot."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._exact = spec.mask_type in EXACT
        top = "masks" if self._exact else "frames"
        apart = self._exact or spec.separate_objects
        self.folders = tuple(f"{top}/{name}" for name in safe_names(spec.names)) if apart else ()
        self._manifest = Manifest(spec, self.folders, notes=self.notes)
        self._zip: ZipFileWriter | OnePicture | None = None

    @abstractmethod
    def _options(self) -> tuple[int, ...]:
        """OpenCV's options for a picture."""

    def _open(self, path: Path) -> None:
        in_a_zip = self.spec.path.suffix.lower() == self.suffix
        self._zip = ZipFileWriter(path, encoders(self.spec.video)) if in_a_zip else OnePicture(path)

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        assert self._zip is not None
        for name, content in self.files(frame, masks, f"{self.frames_written:05d}", range(len(self.folders))):
            self._zip.store(name, content)
        self._manifest.add(frame, facts)

    def files(
        self, frame: Frame, masks: FrameMasks, stem: str, shown: Iterable[int]
    ) -> Iterator[tuple[str, Callable[[], bytes]]]:
        """The files of a frame, each by its path in the archive, whose name begins with `stem`, and what makes it.

        shown: the objects that have a picture of their own, where each has one.
        """
        if self._exact:
            picture_of = _probability if self.spec.mask_type == "probability" else _binary
            for index in shown:
                yield f"{self.folders[index]}/{stem}.png", partial(_encode_exact, picture_of, masks, index)
        elif self.folders:
            for index in shown:
                yield self._painted(f"{self.folders[index]}/{stem}", frame, masks.only(index))
        else:
            yield self._painted(f"frames/{stem}", frame, masks)

    def _painted(self, name: str, frame: Frame, masks: FrameMasks) -> tuple[str, Callable[[], bytes]]:
        content = partial(encode, f".{self.picture_suffix}", self._paint(frame, masks), *self._options())
        return f"{name}.{self.picture_suffix}", content

    def _finish(self) -> None:
        assert self._zip is not None
        self._zip.deflate("manifest.json", self._manifest.pieces())
        self._zip.finish()

    def _stop(self) -> None:
        self._manifest.close()
        if self._zip is not None:
            self._zip.stop()


def encoders(video: VideoInfo) -> int:
    """How many pictures of a video's size are encoded at a time: one for each core, fewer of very large ones."""
    return max(1, min(cores(), _MOST_ENCODERS, _BYTES_IN_WORK // (2 * 3 * video.width * video.height)))


def encode(suffix: str, picture: Picture, *options: int) -> bytes:
    """An (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey uint8 picture as the content of a `suffix` file, by OpenCV."""
    if picture.ndim == 3:
        order = cv2.COLOR_RGBA2BGRA if picture.shape[2] == 4 else cv2.COLOR_RGB2BGR
        picture = cv2.cvtColor(picture, order).astype(np.uint8, copy=False)
    done, content = cv2.imencode(suffix, picture, options)
    assert done, f"OpenCV was built without {suffix}"
    return content.tobytes()


def _encode_exact(picture_of: Callable[[FrameMasks, int], Picture], masks: FrameMasks, index: int) -> bytes:
    return encode(".png", picture_of(masks, index), *_PNG_OF_MASK)


def _binary(masks: FrameMasks, index: int) -> Picture:
    """(H, W) uint8: 255 where the mask is set."""
    mask = masks.objects[index]
    return mask_union((mask,), mask.size)


def _probability(masks: FrameMasks, index: int) -> Picture:
    """(H, W) uint8: 255 / (1 + exp(-logit)), from the logits enlarged bilinearly; 0 on a frame that was not tracked."""
    height, width = masks.objects[index].size
    if masks.soft is None:
        return np.zeros((height, width), np.uint8)
    logits = np.asarray(cv2.resize(masks.soft[index].astype(np.float32), (width, height)), np.float32)
    return np.rint(255 / (1 + np.exp(-logits.clip(-30, 30)))).astype(np.uint8)
