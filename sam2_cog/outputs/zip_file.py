"""A zip written in constant memory: its index waits on disk. Its entries carry no time of day."""

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest
from sam2_cog.overlap import OrderedPool

_IN_MEMORY = 1 << 16
_PIECE = 1 << 20
_KEPT = ("compress_type", "flag_bits", "header_offset", "CRC", "compress_size", "file_size")


class ZipFileWriter:
    """The same entries give the same bytes. Names are unique, which the caller sees to.

    An entry with which the archive has grown beyond the limit raises InvalidRequest.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        """threads: how many entries are made at a time, where they are handed over as what makes them."""
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)
        self._entries = _Entries()
        self._zip.filelist = self._entries  # type: ignore[assignment]  # ZipFile only appends, counts and reads it
        self._made = OrderedPool[tuple[str, bytes]](self._store, threads)

    def store(self, name: str, content: bytes | Callable[[], bytes]) -> None:
        """Add a file as it is: pictures are compressed already. What makes one is called in another thread, soon."""
        if callable(content):
            self._made.submit(lambda: (name, content()))
        else:
            self._made.put((name, content))

    def deflate(self, name: str, pieces: Iterable[bytes]) -> None:
        """Add a file that comes bit by bit, compressed."""
        self._write(_entry(name, zipfile.ZIP_DEFLATED), pieces)

    def copy(self, name: str, path: Path) -> None:
        """Add a file from disk as it is."""
        with path.open("rb") as source:
            self._write(_entry(name, zipfile.ZIP_STORED), iter(lambda: source.read(_PIECE), b""))

    def _store(self, made: tuple[str, bytes]) -> None:
        name, content = made
        self._zip.writestr(_entry(name, zipfile.ZIP_STORED), content)
        self._stored()

    def _write(self, entry: zipfile.ZipInfo, pieces: Iterable[bytes]) -> None:
        self._made.finish()
        with self._zip.open(entry, "w", force_zip64=True) as target:
            for piece in pieces:
                target.write(piece)
        self._stored()

    def _stored(self) -> None:
        """After each entry."""
        self._zip.NameToInfo.clear()  # it would grow with every entry, and serves only those who read
        assert self._zip.fp is not None
        if excess := limits.ARCHIVE_BYTES.excess(self._zip.fp.tell(), so_far=True):
            raise InvalidRequest(f"output_format: the archive would have {excess}")

    def finish(self) -> None:
        """Write what is still being made, and the index."""
        self._made.finish()
        self._zip.close()

    def stop(self) -> None:
        """Let go of everything; what the zip still writes goes with the file."""
        self._made.stop()
        with suppress(OSError, ValueError):
            self._zip.close()
        self._entries.close()


class _Entries:
    """Stands in for `ZipFile.filelist`, in a temporary file: of each entry there is one line."""

    def __init__(self) -> None:
        self._lines = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed by close()
        self._count = 0

    def append(self, entry: zipfile.ZipInfo) -> None:
        facts = {name: getattr(entry, name) for name in _KEPT}
        self._lines.write(json.dumps({"name": entry.filename, **facts}).encode() + b"\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[zipfile.ZipInfo]:
        self._lines.seek(0)
        for line in self._lines:
            facts: dict[str, Any] = json.loads(line)
            entry = _entry(facts.pop("name"), zipfile.ZIP_STORED)
            for name, value in facts.items():
                setattr(entry, name, value)
            yield entry

    def close(self) -> None:
        self._lines.close()


def _entry(name: str, compression: int) -> zipfile.ZipInfo:
    """An entry of 1 January 1980, the earliest that a zip can say."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = compression
    entry.external_attr = 0o644 << 16
    return entry
