"""A folder for the temporary files of this process, with nothing left of those that died.

Cog's downloads, ours and the results all lie in it.
"""

import atexit
import shutil
import tempfile
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from sam2_cog import limits
from sam2_cog.held import HeldFolder, remove_dead_folders

COG_FOLDERS = Path("/tmp/coglet/predictions")
"""Where Cog's server makes two folders for each prediction and leaves them; see `_remove_cog_folders`."""
_COG_UNUSED_SECONDS = 60
"""A younger one of Cog may still be read or written."""


class Scratch:
    """The folder. All that asks `tempfile` for a place gets one in there."""

    def __init__(self) -> None:
        self._parent = Path(tempfile.gettempdir())
        self._guard = threading.Lock()
        self._held = self._make()
        atexit.register(lambda: self._held.close())

    def folder(self) -> Path:
        """Where it is; made anew if somebody took it away."""
        with self._guard:
            if not self._held.path.is_dir():
                self._held.close()
                self._held = self._make()
            return self._held.path

    def clear(self, keep: Collection[Path] = ()) -> None:
        """Remove all that is in the folder but `keep`, and what dead processes have left behind."""
        for path in self.folder().iterdir():
            if path not in keep:
                _remove(path)
        remove_dead_folders(self._parent)
        _remove_cog_folders()

    def _make(self) -> HeldFolder:
        self._parent.mkdir(parents=True, exist_ok=True)
        held = HeldFolder(self._parent)
        tempfile.tempdir = str(held.path)
        return held


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
