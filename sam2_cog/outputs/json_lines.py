"""JSON values gathered in a temporary file, one a line: what a zip can only take when all of it is known."""

import json
import tempfile
from collections.abc import Iterator
from typing import Any

_IN_MEMORY = 1 << 18


class JsonLines:
    """Grows on disk, not in memory."""

    def __init__(self) -> None:
        self._lines = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  closed by close()
        self._count = 0

    def add(self, value: Any) -> None:
        """Append a value."""
        self._lines.write(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8") + b"\n")
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        """The values, read back in their order; nothing may be added meanwhile."""
        self._lines.seek(0)
        for line in self._lines:
            yield json.loads(line)

    def array(self) -> Iterator[bytes]:
        """All values as one JSON array, bit by bit, as UTF-8."""
        self._lines.seek(0)
        start = b"[\n "
        for line in self._lines:
            yield start + line.rstrip(b"\n")
            start = b",\n "
        yield b"\n]" if self._count else b"[]"

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()


def document(head: dict[str, Any], **arrays: JsonLines) -> Iterator[bytes]:
    """One JSON object with all keys of `head`, which is not empty, and the arrays, as UTF-8, bit by bit."""
    yield json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}").encode("utf-8")
    for name, values in arrays.items():
        yield f',\n "{name}": '.encode()
        yield from values.array()
    yield b"\n}\n"
