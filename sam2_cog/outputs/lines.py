"""A text to which each frame adds its lines, all of them written at once; a format says what stands in them."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.base import Output, OutputSpec
from sam2_cog.outputs.facts import ObjectFacts


class LinesOutput(Output):
    """See the module."""

    def __init__(self, spec: OutputSpec) -> None:
        super().__init__(spec)
        self._file: IO[bytes] | None = None

    @abstractmethod
    def _head(self) -> bytes:
        """The first line."""

    @abstractmethod
    def _lines(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> bytes:
        """The lines of a frame."""

    def _open(self, path: Path) -> None:
        self._file = self._stream(path)
        self._write(self._head())

    def _stream(self, path: Path) -> IO[bytes]:
        return path.open("wb", buffering=0)

    def _add(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        self._write(self._lines(frame, masks, facts))

    def _write(self, lines: bytes) -> None:
        assert self._file is not None
        left = memoryview(lines)
        while left:
            left = left[self._file.write(left) :]

    def _finish(self) -> None:
        assert self._file is not None
        self._file.close()

    def _stop(self) -> None:
        if self._file is not None:
            self._file.close()
