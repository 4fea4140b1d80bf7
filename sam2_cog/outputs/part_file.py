"""Unfinished files beside results, and what killed processes have left of them."""

import shutil
from contextlib import suppress
from pathlib import Path

from sam2_cog import held

PREFIX, SUFFIX, FOLDER_SUFFIX = ".sam2-cog-", ".part", ".parts"


def hold(part: Path) -> int:
    """Make the file, and lock it until the handle that is returned is closed or the process ends, however it does."""
    while True:
        part.touch()
        with suppress(FileNotFoundError):  # another process took it away before it was locked
            return held.hold(part)


def folder_of(part: Path) -> Path:
    """The folder for what is gathered into that file, which goes with it."""
    return part.with_suffix(FOLDER_SUFFIX)


def remove_dead_parts(folder: Path) -> None:
    """Remove from a folder what killed processes have left there half-written; what cannot be removed stays."""
    for part in folder.glob(f"{PREFIX}*{SUFFIX}"):
        with held.left_behind(part) as dead:
            if dead:
                shutil.rmtree(folder_of(part), ignore_errors=True)
                part.unlink(missing_ok=True)
