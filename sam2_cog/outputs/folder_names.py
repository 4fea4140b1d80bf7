"""Users' names as names of folders, safe to unpack on any system."""

import re
import unicodedata
from collections.abc import Sequence

LONGEST_BYTES = 200
"""File systems allow 255 bytes a name; this leaves room for a number that makes names distinct."""

_FORBIDDEN = re.compile(r'[/\\:*?"<>|]')
_WINDOWS_DEVICES = re.compile(
    r"(con|prn|aux|nul|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(\..*)?", re.IGNORECASE
)


def safe_names(names: Sequence[str]) -> tuple[str, ...]:
    """A folder name for each name: distinct even where case does not count, with letters of any script kept.

    Separators, wild cards and control characters become "_", dots and spaces at either end go, a name that is nothing
    then becomes "object_<position>", and a name that was taken gets "_2", "_3" and so on.
    """
    taken: set[str] = set()
    safe = []
    for position, name in enumerate(names, 1):
        stem = _safe(name) or f"object_{position}"
        candidate, number = stem, 1
        while _key(candidate) in taken:
            number += 1
            candidate = f"{stem}_{number}"
        taken.add(_key(candidate))
        safe.append(candidate)
    return tuple(safe)


def _safe(name: str) -> str:
    kept = "".join("_" if unicodedata.category(c)[0] == "C" else c for c in unicodedata.normalize("NFC", name))
    short = _FORBIDDEN.sub("_", kept).encode("utf-8")[:LONGEST_BYTES].decode("utf-8", "ignore").strip(". ")
    return f"{short}_" if _WINDOWS_DEVICES.fullmatch(short) else short


def _key(name: str) -> str:
    """What two names share if some file system takes them for the same."""
    return unicodedata.normalize("NFKC", name.casefold())
