"""Finished masks of the backward pass, packed on disk until the forward pass has caught up."""

import tempfile
import zlib
from io import BytesIO
from math import prod
from types import TracebackType

import numpy as np

from sam2_cog.masks import FrameMasks, ObjectMask


class MaskStore:
    """Holds `FrameMasks` in an unnamed temporary file, a bit a pixel, deflated; it is gone with the process.

    In memory there is one file position per stored frame and nothing else.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="sam2-cog-")  # noqa: SIM115 - closed by __exit__
        self._where: dict[int, tuple[int, int, tuple[int, int], int, tuple[int, ...]]] = {}

    def __enter__(self) -> "MaskStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, masks: FrameMasks) -> None:
        """Store the masks of one frame; the objects are the same on every frame."""
        shape = () if masks.soft is None else masks.soft.shape
        boxes = np.array([mask.tight or (0, 0, 0, 0) for mask in masks.objects], np.int32)
        head = b"".join(part.tobytes() for part in (masks.scores, masks.presence, boxes))
        soft = b"" if masks.soft is None else masks.soft.astype(np.float16).tobytes()
        record = zlib.compress(b"".join((head, soft, *(mask.bits for mask in masks.objects))), 1)
        sizes = tuple(mask.size for mask in masks.objects)
        self._where[masks.frame_index] = (self._file.seek(0, 2), len(record), sizes[0], len(sizes), shape)
        self._file.write(record)

    def take(self, frame_index: int) -> FrameMasks:
        """Read back the masks of one frame; KeyError if it was never stored."""
        position, length, size, count, shape = self._where.pop(frame_index)
        self._file.seek(position)
        record = BytesIO(zlib.decompress(self._file.read(length)))
        scores, presence = (np.frombuffer(record.read(4 * count), np.float32).copy() for _ in range(2))
        boxes = np.frombuffer(record.read(16 * count), np.int32).reshape(count, 4)
        soft = np.frombuffer(record.read(2 * prod(shape)), np.float16).reshape(shape) if shape else None
        objects = []
        for x0, y0, x1, y1 in boxes.tolist():
            pixels = (x1 - x0) * (y1 - y0)
            tight = (x0, y0, x1, y1) if pixels else None
            objects.append(ObjectMask(size, tight, record.read(-(-pixels // 8))))
        return FrameMasks(frame_index, tuple(objects), scores, presence, soft)
