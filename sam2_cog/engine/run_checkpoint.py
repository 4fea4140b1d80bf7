"""A run on disk, from which another process goes on: the masks found so far, and what the tracker remembered last.

Two files in a folder. To `masks` each step's masks are appended. `state` is written anew every so many seconds, under
another name that it then gives up, so that a process that dies meanwhile leaves the one before. A state tells how many
bytes of `masks` belong to it, and their check sum; what was appended later is cut off by who goes on.
"""

import hashlib
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import torch

from sam2_cog.engine.mask_store import pack, unpack
from sam2_cog.engine.object_memory import Conditioning, ObjectMemory, RunState
from sam2_cog.errors import InvalidRequest
from sam2_cog.held import lock_alone
from sam2_cog.masks import FrameMasks

logger = logging.getLogger(__name__)

SUFFIX = ".checkpoint"
MASKS, STATE = "masks", "state"
_PART = f"{STATE}.part"
_RECORD = struct.Struct("<II")  # number of the frame, bytes of its packed masks
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class _Mark:
    """A run between two steps: its state, and the bytes of `masks` up to there with their CRC-32."""

    state: RunState
    length: int
    crc: int


class RunCheckpoint:
    """One run of one output: `with RunCheckpoint(...) as checkpoint: Tracker(model).track(..., checkpoint=checkpoint)`.

    When the `with` ends well the folder is removed. When it ends in an error, an interrupt among them, the last step is
    saved and the folder stays. Only one process may hold it.
    """

    def __init__(self, folder: Path, seconds: float, belongs_to: Mapping[str, str], device: torch.device) -> None:
        """seconds: between two saved states. device: where the state's tensors go.

        belongs_to: what the run depends on, by kind; a state that was saved with anything else is not gone on with.
        """
        self._folder, self._name = folder, folder.name.removeprefix(".").removesuffix(SUFFIX)
        self._seconds = seconds
        self._belongs_to = dict(belongs_to)
        self._device = device
        self._unsaved: _Mark | None = None
        self.state: RunState | None = None
        """Where the run was left; None if it begins."""

    def __enter__(self) -> "RunCheckpoint":
        """Raises InvalidRequest if another process holds it, and OSError with one sentence if it cannot be written."""
        with self._writing():
            self._masks = _lock(self._folder, self._name)
        mark = self._load()
        self._length, self._crc = (mark.length, mark.crc) if mark else (0, 0)
        self.state = mark.state if mark else None
        self._steps = mark.state.step if mark else 0
        with self._writing():
            if not mark:
                (self._folder / STATE).unlink(missing_ok=True)
            self._masks.truncate(self._length)
            self._masks.seek(self._length)
        if mark:
            logger.info("%s: goes on from its checkpoint, with %d frames tracked", self._name, self._steps)
        self._due = time.monotonic() + self._seconds
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._unsaved:
            with suppress(OSError):  # the state before this one is still there, and this is not what went wrong
                self._save(self._unsaved)
        is_kept = error is not None and self._steps > 0
        if is_kept:
            logger.info("%s: the same command goes on after %d tracked frames", self._name, self._steps)
        else:
            self._remove()
        with suppress(OSError):
            self._masks.close()
            if not is_kept:
                self._folder.rmdir()  # which fails where another process has begun meanwhile

    def found(self) -> Iterator[FrameMasks]:
        """The masks of all steps up to `state`, in order; to be read to the end before anything is added."""
        self._masks.seek(0)
        left = self._length
        while left > 0:
            frame, size = _RECORD.unpack(self._masks.read(_RECORD.size))
            yield unpack(frame, self._masks.read(size))
            left -= _RECORD.size + size

    def add(self, masks: FrameMasks, state: RunState | None) -> None:
        """Note a step's masks, and where a run may go on from there the state after it, which must not change later."""
        packed = pack(masks)
        record = _RECORD.pack(masks.frame_index, len(packed)) + packed
        with self._writing():
            self._masks.write(record)
        self._length, self._crc = self._length + len(record), zlib.crc32(record, self._crc)
        if state:
            self._unsaved = _Mark(state, self._length, self._crc)
            if time.monotonic() >= self._due:
                self._save(self._unsaved)
                self._due = time.monotonic() + self._seconds

    def _save(self, mark: _Mark) -> None:
        """Write the masks out, then the state; it counts from the moment at which it has its name."""
        part, data = self._folder / _PART, BytesIO()
        memories = [_plain(memory) for memory in mark.state.memories]
        saved = {"step": mark.state.step, "memories": memories, "length": mark.length, "crc": mark.crc}
        torch.save(saved | {"belongs_to": self._belongs_to}, data)
        with self._writing():
            self._masks.flush()
            os.fsync(self._masks.fileno())
            with part.open("wb") as file:
                file.write(hashlib.sha256(data.getbuffer()).digest() + data.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self._folder / STATE)
            _settle(self._folder)
        self._unsaved, self._steps = None, mark.state.step

    def _load(self) -> _Mark | None:
        """What was saved last, if it is whole and belongs to this run; otherwise why not is said."""
        try:
            saved = _read(self._folder / STATE, self._device)
            others = [kind for kind, value in self._belongs_to.items() if saved["belongs_to"].get(kind) != value]
            if not others and _crc(self._masks, saved["length"]) != saved["crc"]:
                raise ValueError("check sum")
            state = RunState(saved["step"], tuple(map(_memory, saved["memories"])))
        except FileNotFoundError:
            return None
        except Exception:  # torch.load raises almost anything on a damaged file
            logger.warning("%s: its checkpoint is damaged and is not used, the clip begins anew", self._name)
            return None
        if others:
            other = f"another {' and another '.join(others)}"
            logger.warning("%s: its checkpoint is of %s and is not used, the clip begins anew", self._name, other)
            return None
        return _Mark(state, saved["length"], saved["crc"])

    def _remove(self) -> None:
        for name in (STATE, _PART, MASKS):
            with suppress(OSError):
                (self._folder / name).unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OSError(f"the checkpoint {self._folder.name} cannot be written: {reason}") from error


def _lock(folder: Path, name: str) -> BinaryIO:
    """The file `masks` of the folder, both made where they are missing, held by this process alone."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            file = os.fdopen(os.open(folder / MASKS, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
            lock_alone(file, folder / MASKS)
            if os.path.samestat(os.fstat(file.fileno()), (folder / MASKS).stat()):
                return file
        except FileNotFoundError:
            continue  # another process has just finished and removed it
        except BlockingIOError:
            raise InvalidRequest(f"output: {name[:80]} is in work by another run, wait for it or stop it") from None


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    data = path.read_bytes()
    if hashlib.sha256(data[32:]).digest() != data[:32]:
        raise ValueError("check sum")
    saved: dict[str, Any] = torch.load(BytesIO(data[32:]), map_location=device, weights_only=True)
    return saved


def _settle(folder: Path) -> None:
    """Make a new name in a folder outlast a loss of power."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _crc(file: BinaryIO, length: int) -> int:
    """The CRC-32 of the first `length` bytes; of fewer if there are fewer."""
    file.seek(0)
    crc = 0
    while block := file.read(min(_BLOCK_BYTES, length)):
        crc, length = zlib.crc32(block, crc), length - len(block)
    return crc


def _plain(memory: ObjectMemory) -> dict[str, Any]:
    """A memory as dictionaries and tensors, all that `torch.load(weights_only=True)` reads."""
    return vars(memory) | {"conditioned": {frame: vars(output) for frame, output in memory.conditioned.items()}}


def _memory(plain: dict[str, Any]) -> ObjectMemory:
    conditioned = {frame: Conditioning(**output) for frame, output in plain["conditioned"].items()}
    return ObjectMemory(**plain | {"conditioned": conditioned})
