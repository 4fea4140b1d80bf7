"""Finished masks on disk: as bytes, and a store of those that wait until the forward pass has caught up."""

import zlib
from io import BytesIO
from types import TracebackType

import numpy as np

from sam2_cog.engine.scratch_file import Place, ScratchFile
from sam2_cog.masks import FrameMasks, ObjectMask


def pack(masks: FrameMasks) -> bytes:
    """The masks of one frame, of one object at least, as few bytes: a bit a pixel of each tight box, deflated.

    Logits follow as they are: to deflate them takes 3 ms an object for a third of their bytes.
    """
    soft = np.zeros((0, 0, 0), np.float16) if masks.soft is None else masks.soft.astype(np.float16)
    head = np.array([len(masks.objects), *masks.objects[0].size, *soft.shape[1:]], np.int32)
    boxes = np.array([mask.tight or (0, 0, 0, 0) for mask in masks.objects], np.int32)
    estimates = (masks.scores.astype(np.float32), masks.presence.astype(np.float32))
    arrays = (part.tobytes() for part in (head, *estimates, boxes))
    return zlib.compress(b"".join((*arrays, *(mask.bits for mask in masks.objects))), 1) + soft.tobytes()


def unpack(frame_index: int, packed: bytes) -> FrameMasks:
    """What `pack` made bytes of."""
    inflate = zlib.decompressobj()
    record = BytesIO(inflate.decompress(packed))
    count, height, width, *soft_size = np.frombuffer(record.read(20), np.int32).tolist()
    scores, presence = (np.frombuffer(record.read(4 * count), np.float32).copy() for _ in range(2))
    boxes = np.frombuffer(record.read(16 * count), np.int32).reshape(count, 4)
    soft = None
    if soft_size[0]:
        soft = np.frombuffer(inflate.unused_data, np.float16).reshape(count, *soft_size)
    objects = []
    for x0, y0, x1, y1 in boxes.tolist():
        pixels = (x1 - x0) * (y1 - y0)
        tight = (x0, y0, x1, y1) if pixels else None
        objects.append(ObjectMask((height, width), tight, record.read(-(-pixels // 8))))
    return FrameMasks(frame_index, tuple(objects), scores, presence, soft)


class MaskStore:
    """Holds `FrameMasks` until they are taken; in memory there is one place in a file per stored frame."""

    def __init__(self) -> None:
        self._file = ScratchFile()
        self._places: dict[int, Place] = {}

    def __enter__(self) -> "MaskStore":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def put(self, masks: FrameMasks) -> None:
        """Store the masks of one frame."""
        self._places[masks.frame_index] = self._file.put(pack(masks))

    def take(self, frame_index: int) -> FrameMasks:
        """Read back the masks of one frame; KeyError if it was never stored."""
        return unpack(frame_index, self._places.pop(frame_index).read())
