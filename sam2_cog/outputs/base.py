"""What all outputs share: what is asked for, which frames are written, and that no half-written file stays behind."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, ClassVar

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame, VideoInfo
from sam2_cog.outputs.facts import ObjectFacts, Watch
from sam2_cog.outputs.part_file import PREFIX, SUFFIX, hold
from sam2_cog.painting.captions import Colour, Picture
from sam2_cog.painting.render import Painter
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.request import AnnotationType, FrameImages, MaskType


@dataclass(frozen=True)
class OutputSpec:
    """What is to be written, and where."""

    path: Path
    """The finished file; it appears whole or not at all."""
    video: VideoInfo
    names: tuple[str, ...]
    """The objects' names; position i is the object with index i."""
    mask_type: MaskType = "highlighted"
    annotation_type: AnnotationType = "mask"
    background: Colour = (0, 255, 0)
    """(red, green, blue) behind the objects of `greenscreen`."""
    separate_objects: bool = False
    """A picture or video of its own for each object; the others are not shown in it."""
    quality: int = 80
    """1 (smallest) to 100 (best); each output says what it makes of it."""
    frame_images: FrameImages = "jpg"
    """Which files a data set holds the frames in."""
    frame_interval: int = 1
    """n >= 1: the frames 0, n, 2n, ... are written, counted from the first that is tracked."""
    frame_rate: Fraction | None = None
    """Frames a second of the written frames; None keeps each frame's own time."""
    model: str | None = None
    """The model that found the masks, for the record."""
    searched_from: int = 0
    """Number of the first frame on which the objects were looked for."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """The request's inputs as they were understood, for the record."""
    prompts: tuple[ObjectPrompts, ...] = ()
    """What was clicked, by object, for the record."""

    @property
    def transparent(self) -> bool:
        """Whether the pictures have an alpha channel."""
        return self.mask_type == "cutout"


class Output(ABC):
    """A file that frames are written to: `with SomeOutput(spec) as output: output.write(frame, masks)`.

    After an error or a cancel inside the `with`, nothing of it remains. What cannot be written raises `OSError` with
    one sentence that names the file and the reason.
    """

    suffix: ClassVar[str]
    """How the name of such a file ends, with the dot."""

    def __init__(self, spec: OutputSpec) -> None:
        assert spec.frame_interval >= 1 and 1 <= spec.quality <= 100
        self.spec = spec
        self.frames_written = 0
        self.paint_seconds = 0.0
        self.encode_seconds = 0.0
        self._searched = 0
        self._empty = [0] * len(spec.names)
        # a name of its own: two runs with the same output do not meet, and the last to finish wins
        self._part = spec.path.with_name(f"{PREFIX}{token_hex(8)}{SUFFIX}")
        self._lock: int | None = None
        video = spec.video
        self.watch = Watch(spec.names)
        self.notes: list[str] = []
        """What of the clip did not get into the file, as sentences."""
        self._painter = Painter(
            spec.names, video.width, video.height, spec.mask_type, spec.annotation_type, spec.background
        )

    def open(self) -> None:
        """Make ready for the first frame."""
        with self._writing():
            self._lock = hold(self._part)  # what cannot be written at all is found here, for all kinds alike
            self._open(self._part)

    def write(self, frame: Frame, masks: FrameMasks) -> None:
        """Write a frame with its masks; a frame that `frame_interval` leaves out is passed over."""
        assert frame.index == masks.frame_index
        with self._writing():
            facts = self.watch.see(masks)
            if frame.index >= self.spec.searched_from:
                self._searched += 1
                self._empty = [count + (not one.visible) for count, one in zip(self._empty, facts, strict=True)]
            if self.spec.video.place_of(frame.index) % self.spec.frame_interval:
                return
            self._add(frame, masks, facts)
        self.frames_written += 1

    def close(self) -> None:
        """Finish the file and give it its name."""
        with self._writing():
            self.notes += self._hardly_found()
            self._finish()
            os.replace(self._part, self.spec.path)

    def discard(self) -> None:
        """Stop at once and leave nothing behind."""
        self._stop()
        with suppress(OSError):  # where nothing could be made, nothing is there; and it is not what went wrong
            self._part.unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> "Output":
        try:
            self.open()
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.close()
        finally:
            self.discard()

    def _paint(self, frame: Frame, masks: FrameMasks) -> Picture:
        """The painted frame; the time that it takes goes to `paint_seconds`, not to `encode_seconds`."""
        start = time.perf_counter()
        picture = self._painter.paint(frame.image, masks.objects, masks.soft)
        spent = time.perf_counter() - start
        self.paint_seconds += spent
        self.encode_seconds -= spent
        return picture

    def _hardly_found(self) -> list[str]:
        """A sentence for each object that has no mask on most of the frames on which it was looked for."""
        return [
            f"{name} has no mask on {empty} of {self._searched} frames"
            for name, empty in zip(self.spec.names, self._empty, strict=True)
            if 2 * empty > self._searched
        ]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except OSError as error:
            raise OSError(f"{self.spec.path.name} cannot be written: {error.strerror or error}") from error
        finally:
            self.encode_seconds += time.perf_counter() - start

    @abstractmethod
    def _open(self, path: Path) -> None:
        """Begin the file at `path`."""

    @abstractmethod
    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        """Append a frame."""

    @abstractmethod
    def _finish(self) -> None:
        """Complete the file."""

    @abstractmethod
    def _stop(self) -> None:
        """Let go of everything that is still open; called last, also after `_finish` and after a failed `_open`."""
