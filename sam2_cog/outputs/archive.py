"""A zip with a picture per frame, or a mask per object and frame, and `manifest.json`.

`binary` writes `masks/<object>/<frame>.png`, one channel, 0 or 255, whatever the format asked for: masks stay exact.
The other mask types write `frames/<frame>.<format>`. `<frame>` is the frame's number in the video, five digits or more.
"""

import zipfile
from abc import abstractmethod
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.manifest import Manifest
from sam2_cog.painting.captions import Picture

_PNG_OF_MASK = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
)  # six times as fast as OpenCV's default on a mask, and smaller


class Archive(Output):
    """See the module. A format says how one picture is encoded."""

    suffix = ".zip"

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        binary = spec.mask_type == "binary"
        self._folders = tuple(f"masks/{name}" for name in safe_names(spec.names)) if binary else ()
        self._manifest = Manifest(spec, self._folders)
        self._zip: zipfile.ZipFile | None = None

    @abstractmethod
    def _encode(self, picture: Picture) -> tuple[str, bytes]:
        """The suffix without the dot, and the file's content, for an (H, W, 3) uint8 RGB picture."""

    def _open(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)

    def _add(self, frame: Frame, masks: FrameMasks) -> None:
        if self._folders:
            for folder, mask in zip(self._folders, masks.objects, strict=True):
                picture = mask.full().view(np.uint8) * np.uint8(255)
                self._store(f"{folder}/{frame.index:05d}.png", encode(".png", picture, *_PNG_OF_MASK))
        else:
            suffix, content = self._encode(self._paint(frame, masks))
            self._store(f"frames/{frame.index:05d}.{suffix}", content)
        self._manifest.add(frame, masks)

    def _finish(self) -> None:
        assert self._zip is not None
        entry = _entry("manifest.json", zipfile.ZIP_DEFLATED)
        with self._zip.open(entry, "w", force_zip64=True) as target:
            for piece in self._manifest.pieces():
                target.write(piece)
        self._zip.close()

    def _stop(self) -> None:
        self._manifest.close()
        if self._zip is not None:
            with suppress(OSError, ValueError):  # as it was before: what ZipFile still writes goes with the file
                self._zip.close()

    def _store(self, name: str, content: bytes) -> None:
        assert self._zip is not None
        self._zip.writestr(_entry(name, zipfile.ZIP_STORED), content)


def encode(suffix: str, picture: Picture, *options: int) -> bytes:
    """An (H, W, 3) RGB or (H, W) grey uint8 picture as the content of a `suffix` file, by OpenCV's options."""
    if picture.ndim == 3:
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR).astype(np.uint8, copy=False)
    done, content = cv2.imencode(suffix, picture, options)
    assert done, f"OpenCV was built without {suffix}"
    return content.tobytes()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    """An entry without the time of day, so that the same request gives the same bytes."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    return entry
