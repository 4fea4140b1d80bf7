"""What the data sets share: a zip with the frames, the labels in a form that trainers read, and `manifest.json`.

A category is what objects' names share (see `categories`): `dog_1` and `dog_2` are two dogs. Frames are named by their
numbers in the video, and files of different clips by the clip, so that data sets can be put together.
"""

import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePath

import cv2

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.archive import encode, encoders
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.folder_names import safe_names
from sam2_cog.outputs.json_lines import JsonLines
from sam2_cog.outputs.manifest import Manifest
from sam2_cog.outputs.zip_file import ZipFileWriter

_NOT_TEXT = {0xFFFE: "_", 0xFFFF: "_"}  # the characters of names that neither XML nor YAML may hold
_APART, _WRITTEN_ON = re.compile(r"[\s_.#-]+\d+$"), re.compile(r"\d+$")
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB)


class Dataset(Output):
    """See the module. A format says where its frames lie, what it notes of each, and what it writes at the end."""

    suffix = ".zip"

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self.clip = safe_names((PurePath(spec.video.path.name).stem,))[0]
        self.categories, self.category_of = categories(spec.names)
        self._held = ExitStack()
        self._manifest = Manifest(spec, notes=self.notes)
        self._held.callback(self._manifest.close)

    @abstractmethod
    def _image_name(self, frame: Frame) -> str:
        """Where in the zip the frame goes, without a suffix."""

    @abstractmethod
    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        """Note the masks of a frame; `image` is where in the zip it is, or would be if it were not left out."""

    def _complete(self) -> None:
        """Write what can only be written when all frames are known."""

    def _gather(self) -> JsonLines:
        """A place on disk for what has to wait; it goes with the output."""
        lines = JsonLines()
        self._held.callback(lines.close)
        return lines

    def _open(self, path: Path) -> None:
        self._zip = ZipFileWriter(path, encoders(self.spec.video))
        self._held.callback(self._zip.stop)

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        suffix = "png" if self.spec.frame_images == "png" else "jpg"
        image = f"{self._image_name(frame)}.{suffix}"
        if self.spec.frame_images != "none":
            options = _PNG if suffix == "png" else (cv2.IMWRITE_JPEG_QUALITY, self.spec.quality)
            self._zip.store(image, partial(encode, f".{suffix}", frame.image, *options))
        self._label(frame, image, masks, facts)
        self._manifest.add(frame, facts)

    def _finish(self) -> None:
        self._complete()
        self._zip.deflate("manifest.json", self._manifest.pieces())
        self._zip.finish()

    def _stop(self) -> None:
        self._held.close()


def categories(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The categories of objects with these names, by first appearance, and for each object the index of its own.

    A trailing number that stands apart counts the objects of a category, and goes: `dog_1`, `dog 1`, `dog-1`. One that
    is written on, as in `dog1`, goes where another object is of that category then: `R2D2` alone keeps its name.
    """
    apart = [_APART.sub("", name) or name for name in (name.translate(_NOT_TEXT) for name in names)]
    bare = {name: _WRITTEN_ON.sub("", name) or name for name in apart}
    shared = Counter(bare.values())
    of_each = [bare[name] if shared[bare[name]] > 1 else name for name in apart]
    found = tuple(dict.fromkeys(of_each))
    return found, tuple(found.index(name) for name in of_each)
