"""What is too much for memory, in an unnamed temporary file that is gone with the process."""

import tempfile
from collections import defaultdict
from threading import Lock
from types import TracebackType

STEP = 512
"""Room is given in multiples of this many bytes, so that what is given back fits the next record of about its size."""


class ScratchFile:
    """Bytes on disk, each `put` as a `Place`; the room of a place that nobody refers to any more is used again.

    Safe in several threads. Raises OSError with one sentence when the disk is full, and ValueError after `close`.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="sam2-cog-")  # noqa: SIM115 - closed by close
        self._lock = Lock()
        self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)

    @property
    def size(self) -> int:
        """Bytes in use."""
        return self._end - sum(room * len(offsets) for room, offsets in list(self._free.items()))

    def put(self, data: bytes) -> "Place":
        """Write these bytes somewhere."""
        room = _room(len(data))
        with self._lock:
            if self._free[room]:
                offset = self._free[room].pop()
            else:
                offset, self._end = self._end, self._end + room
            place = Place(self, offset, len(data))
            try:
                self._file.seek(offset)
                self._file.write(data)
                self._file.flush()
            except OSError as error:
                raise OSError(f"a temporary file cannot be written: {error.strerror or error}") from error
        return place

    def read(self, offset: int, length: int) -> bytes:
        """The bytes of a place."""
        with self._lock:
            self._file.seek(offset)
            return self._file.read(length)

    def free(self, offset: int, length: int) -> None:
        """Give room back. Without the lock: a place may go away while this thread holds it, and a list is safe."""
        self._free[_room(length)].append(offset)

    def close(self) -> None:
        """Give everything back to the disk."""
        with self._lock:
            self._file.close()

    def __enter__(self) -> "ScratchFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Place:
    """Where some bytes are; they stay for as long as this object does."""

    __slots__ = ("_file", "_length", "_offset")

    def __init__(self, file: ScratchFile, offset: int, length: int) -> None:
        self._file, self._offset, self._length = file, offset, length

    def read(self) -> bytes:
        """The bytes as they were put."""
        return self._file.read(self._offset, self._length)

    def __del__(self) -> None:
        self._file.free(self._offset, self._length)


def _room(length: int) -> int:
    return -(-length // STEP) * STEP
