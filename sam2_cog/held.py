"""Files and folders that are locked by who uses them: that keeps others away from what is one's own alone, and tells
temporary ones in use from what killed processes have left.

The lock ends with the process however that ends, and works between users, containers and, for files, machines that
share a disc. Several may hold one thing. Who removes it locks it alone, so nothing is ever taken from the living; only
what is one's own user's is removed. On a volume without locks, as some network file systems are, nothing is ever taken
for left behind.
"""

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO

logger = logging.getLogger(__name__)

PREFIX = "sam2-cog-tmp-"
_RANDOM = "[a-z0-9_]" * 8  # how tempfile ends its names: nobody calls a folder of results so


class HeldFolder:
    """A new, empty folder: `with HeldFolder() as path`. It goes when it is closed, or is left to the next process."""

    def __init__(self, parent: Path | None = None) -> None:
        """parent: where to make it, else among the temporary files; what dead processes have left there goes."""
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        _remove_dead_once(parent)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
            with suppress(FileNotFoundError):  # another process took it away before it was locked
                self._lock = hold(self.path)
                break

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Path:
        return self.path

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path) -> int:
    """Lock a file or folder until the handle that is returned is closed or this process ends.

    Raises FileNotFoundError where it is gone, or another process is removing it.
    """
    handle = _open(path)
    try:
        if _taken(handle) or not os.path.samestat(os.fstat(handle), os.lstat(path)):
            raise FileNotFoundError(path)
    except BaseException:
        os.close(handle)
        raise
    return handle


def lock_alone(file: IO[bytes], path: Path, *, wait: bool = False) -> None:
    """Lock the open file `path` for this process alone, until it is closed or the process ends.

    Without `wait`, BlockingIOError is raised while another process has it. Where its volume has no locks this goes on
    and says so, once for each volume: then it is for the user to see that nobody else works there.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError as error:
        _say_without_locks(os.fstat(file.fileno()).st_dev, path, error)


_said_of: set[int] = set()


def _say_without_locks(volume: int, path: Path, error: OSError) -> None:
    if volume not in _said_of:
        _said_of.add(volume)
        logger.warning(
            "%s: there are no file locks on this volume (%s), so see to it that no second run works in this folder "
            "at the same time",
            path,
            error.strerror or error,
        )


@contextmanager
def left_behind(path: Path) -> Iterator[bool]:
    """Whether nobody holds a file or folder of this user, nor can while this is open."""
    try:
        handle = _open(path)
    except OSError:  # gone meanwhile, or another user's
        yield False
        return
    try:
        yield os.fstat(handle).st_uid == os.geteuid() and _locked_alone(handle)
    finally:
        os.close(handle)


def remove_dead_folders(parent: Path) -> None:
    """Remove the folders that dead processes have left there; what cannot be removed stays."""
    for folder in parent.glob(PREFIX + _RANDOM):
        with left_behind(folder) as dead:
            if dead:
                shutil.rmtree(folder, ignore_errors=True)


_remove_dead_once = cache(remove_dead_folders)


def _open(path: Path) -> int:
    how = os.O_RDONLY | os.O_DIRECTORY if path.is_dir() else os.O_RDWR  # NFS locks only what may be written
    return os.open(path, how | os.O_NOFOLLOW)


def _taken(handle: int) -> bool:
    """Lock it with others; whether somebody holds it alone. Where there are no locks, nobody ever does."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _locked_alone(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
