"""A folder for the temporary files of this process, with nothing left of those that died.

Cog's downloads, ours and the results all lie in it. A lock on the folder, which ends with the process however that
ends, tells the folders of the living from those of the dead.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sam2_cog import limits

PREFIX = "sam2-cog-server-"  # others of this project have temporary folders too, and do not lock them
COG_FOLDERS = Path("/tmp/coglet/predictions")
"""Where Cog's server makes two folders for each prediction and leaves them; see `_remove_cog_folders`."""
_UNLOCKED_SECONDS = 5
"""A younger folder may not have been locked yet."""
_COG_UNUSED_SECONDS = 60
"""A younger one of Cog may still be read or written."""


class Scratch:
    """The folder. All that asks `tempfile` for a place gets one in there."""

    def __init__(self) -> None:
        self._parent = Path(tempfile.gettempdir())
        self._path, self._lock = self._parent, -1
        self._guard = threading.Lock()
        self._make()
        atexit.register(lambda: _remove(self._path))

    def folder(self) -> Path:
        """Where it is; made anew if somebody took it away."""
        with self._guard:
            if not self._path.is_dir():
                self._make()
            return self._path

    def clear(self, keep: Collection[Path] = ()) -> None:
        """Remove all that is in the folder but `keep`, and what dead processes have left behind."""
        own = self.folder()
        for path in own.iterdir():
            if path not in keep:
                _remove(path)
        for path in self._parent.glob(f"{PREFIX}*"):
            if path != own and _is_dead(path):
                _remove(path)
        _remove_cog_folders()

    def _make(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        self._parent.mkdir(parents=True, exist_ok=True)
        self._path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self._parent))
        self._lock = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tempfile.tempdir = str(self._path)


def _is_dead(folder: Path) -> bool:
    """Whether no living process holds the folder."""
    try:
        if time.time() - folder.stat().st_mtime < _UNLOCKED_SECONDS:
            return False
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:  # gone meanwhile, no folder, or not ours
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True


def _remove_cog_folders() -> None:
    """Empty folders of earlier predictions go; one with content stays as long as a prediction may take."""
    now = time.time()
    with suppress(OSError):
        for folder in COG_FOLDERS.iterdir():
            with suppress(OSError):
                age = now - folder.stat().st_mtime
                if age > limits.SECONDS.value:
                    shutil.rmtree(folder)
                elif age > _COG_UNUSED_SECONDS:
                    for part in folder.iterdir():
                        part.rmdir()
                    folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
