"""Whether ffmpeg hands on the frames that were promised: it notes each one's time stamp beside the pixels.

The notes go into a file, not into a pipe, so that neither side ever waits for the other. A frame is noted before it is
handed on, which the filter of an old ffmpeg cannot do (`can_be_noted`).
"""

import os
import re
import subprocess
import tempfile
from functools import lru_cache
from types import TracebackType
from typing import Any

import numpy as np

from sam2_cog.media.ffmpeg_run import start

_BLOCK = 1 << 16
_NOTE = re.compile(rb"frame: *(\d+) +pts: *(-?\d+) ")


class ShownTimes:
    """A context manager: what `noted` adds to a stream of frames tells their time stamps, which `agree` compares."""

    def __init__(self, stamps: np.ndarray) -> None:
        """stamps: (frames,) int64 ticks of the frame that must come first, and of all after it to the clip's end."""
        self._stamps = stamps
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed by __exit__
        self._offset = self._frames = 0

    @property
    def descriptor(self) -> int:
        """Of the file; ffmpeg must inherit it."""
        return self._file.fileno()

    def noted(self, frames: Any) -> Any:
        """A stream of ffmpeg-python, with the filters that note what passes."""
        marked = frames.filter("metadata", mode="add", key="shown", value="1")
        return marked.filter("metadata", mode="print", key="shown", file=f"pipe:{self.descriptor}", direct=1)

    def agree(self, count: int) -> bool:
        """Whether the first `count` frames have been noted by now, and all that has been is what was promised."""
        lines = os.pread(self.descriptor, _BLOCK, self._offset).split(b"\n")
        while len(lines) > 1:
            while len(lines) > 1:
                line = lines.pop(0)
                self._offset += len(line) + 1
                if line.startswith(b"frame:") and not self._is_next(line):
                    return False
            lines = os.pread(self.descriptor, _BLOCK, self._offset).split(b"\n")
        return self._frames >= count

    def _is_next(self, line: bytes) -> bool:
        """Whether it is the next frame; ffmpeg begins to count anew where the picture changes its size or its form."""
        found = _NOTE.match(line)
        number = self._frames
        self._frames += 1
        if found is None or number >= len(self._stamps):
            return False
        return (int(found[1]), int(found[2])) == (number, int(self._stamps[number]))

    def __enter__(self) -> "ShownTimes":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@lru_cache(maxsize=1)
def can_be_noted() -> bool:
    """Whether this machine's ffmpeg can note frames before it hands them on."""
    silent: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = start(["ffmpeg", "-v", "error", "-h", "filter=metadata"], stdout=subprocess.PIPE, **silent)
    return b" direct " in process.communicate()[0]
