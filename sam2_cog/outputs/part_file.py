"""Unfinished files beside results: locked while they are written, which tells those of killed processes apart."""

import fcntl
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

PREFIX, SUFFIX, FOLDER_SUFFIX = ".sam2-cog-", ".part", ".parts"
_UNLOCKED_SECONDS = 5
"""A younger file may not have been locked yet."""


def hold(part: Path) -> BinaryIO:
    """Make the file, and lock it until what is returned is closed or the process ends, however it does."""
    file = part.open("ab")
    with suppress(OSError):  # a file system without locks: then `remove_dead_parts` finds none there either
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def folder_of(part: Path) -> Path:
    """The folder for what is gathered into that file, which goes with it."""
    return part.with_suffix(FOLDER_SUFFIX)


def remove_dead_parts(folder: Path) -> None:
    """Remove from a folder what killed processes have left there half-written; what cannot be removed stays."""
    for part in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with suppress(OSError), part.open("ab") as file:
            if time.time() - part.stat().st_mtime < _UNLOCKED_SECONDS:
                continue
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its process lives
            shutil.rmtree(folder_of(part), ignore_errors=True)
            part.unlink()
