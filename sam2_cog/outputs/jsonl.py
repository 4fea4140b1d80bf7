"""JSON lines: a header, then a line per written frame with each object's box, area, score and exact mask.

The header is what a manifest says of the request, the video and the objects. An object's `segmentation` is COCO's
compressed run lengths, as pycocotools reads them, an empty mask's too; the rest are `facts.ObjectFacts`.
Each line is written at once: `-` is the standard output, from which another program reads while the clip is tracked.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from sam2_cog.errors import ReaderGone
from sam2_cog.masks import FrameMasks, compressed_rle
from sam2_cog.media.video import Frame
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.lines import LinesOutput
from sam2_cog.outputs.manifest import head

STANDARD_OUTPUT = Path("-")
_FILE_NUMBER = 1


class JsonlOutput(LinesOutput):
    """See the module."""

    suffix = ".jsonl"

    def _head(self) -> bytes:
        return _line(head(self.spec))

    def _lines(self, frame: Frame, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> bytes:
        objects = [
            {
                "name": self.spec.names[one.index],
                **one.as_dict(),
                "segmentation": {"size": list(mask.size), "counts": compressed_rle(mask)},
            }
            for one, mask in zip(facts, masks.objects, strict=True)
        ]
        return _line({"frame": frame.index, "time_seconds": round(frame.time_seconds, 6), "objects": objects})


class JsonlStream(JsonlOutput):
    """The same to the standard output: raises ReaderGone when nobody reads it any more."""

    def open(self) -> None:
        """Write the header."""
        with self._writing():
            self._open(self.spec.path)

    def close(self) -> None:
        """Say that no more comes."""
        with self._writing():
            self.notes += self._hardly_found()
            self._finish()

    def discard(self) -> None:
        """Write no more; what is written is with its reader."""
        self._stop()

    def _stream(self, path: Path) -> IO[bytes]:
        return os.fdopen(os.dup(_FILE_NUMBER), "wb", buffering=0)

    def _write(self, lines: bytes) -> None:
        try:
            super()._write(lines)
        except BrokenPipeError:
            raise ReaderGone from None


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n"
