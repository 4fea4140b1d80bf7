"""Finished masks of the backward pass, packed on disk until the forward pass has caught up."""

import tempfile
import zlib
from types import TracebackType

import numpy as np

from sam2_cog.masks import FrameMasks


class MaskStore:
    """Holds `FrameMasks` in an unnamed temporary file, a bit a pixel, deflated; it is gone with the process.

    In memory there is one file position per stored frame and nothing else.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="sam2-cog-")  # noqa: SIM115 - closed by __exit__
        self._where: dict[int, tuple[int, int, tuple[int, ...]]] = {}

    def __enter__(self) -> "MaskStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, masks: FrameMasks) -> None:
        """Store the masks of one frame."""
        record = masks.scores.astype(np.float32).tobytes() + zlib.compress(np.packbits(masks.masks).tobytes(), 1)
        self._where[masks.frame_index] = (self._file.seek(0, 2), len(record), masks.masks.shape)
        self._file.write(record)

    def take(self, frame_index: int) -> FrameMasks:
        """Read back the masks of one frame; KeyError if it was never stored."""
        position, size, shape = self._where.pop(frame_index)
        self._file.seek(position)
        record = self._file.read(size)
        scores = np.frombuffer(record, np.float32, count=shape[0]).copy()
        bits = np.frombuffer(zlib.decompress(record[scores.nbytes :]), np.uint8)
        masks = np.unpackbits(bits, count=int(np.prod(shape))).view(bool).reshape(shape)
        return FrameMasks(frame_index, masks, scores)
