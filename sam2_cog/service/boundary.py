"""What comes in and goes out of the server: which files a request may name, and what an error says to a stranger."""

import errno
import os
import traceback
from contextlib import suppress
from pathlib import Path

from sam2_cog.errors import InvalidRequest, UnreadableVideo

LOCAL_FILES = "SAM2_LOCAL_FILES"
"""The environment variable that names the folder whose files a request may name."""

_REASONS = {
    errno.ENOSPC: "its disk is full",
    errno.EDQUOT: "its disk is full",
    errno.EROFS: "its folder for temporary files cannot be written",
    errno.EACCES: "its folder for temporary files cannot be written",
    errno.ENOENT: "its folder for temporary files is missing",
    errno.ENOTDIR: "its folder for temporary files is missing",
    errno.EEXIST: "its folder for temporary files is missing",
    errno.EMFILE: "it can open no more files",
    errno.ENFILE: "it can open no more files",
    errno.ENOMEM: "its memory is not enough; fewer objects or smaller frames need less",
    errno.EAGAIN: "it can start no more processes",
}


class ServiceError(RuntimeError):
    """The request may be right, but the service could not carry it out; the message says why."""


def allowed_file(name: str, given: object) -> Path:
    """The file of an input: what Cog fetched or decoded is a path already, and any other text names a local file.

    Raises:
        InvalidRequest: the file does not lie in the folder that SAM2_LOCAL_FILES names, links resolved, whether or not
            there is such a file.
    """
    if isinstance(given, Path):
        return given
    folder = os.environ.get(LOCAL_FILES)
    if folder and given and isinstance(given, str):
        with suppress(OSError, ValueError):  # a name that is none: too long, or with a zero byte
            path = Path(given).resolve()
            if path.is_relative_to(Path(folder).resolve()) and path.exists():
                return path
    raise InvalidRequest(
        f"{name}: it must be an address (https://...) or a data URL, because this server shares no such file"
    )


def for_strangers(error: Exception) -> Exception:
    """What may be said of an error: our refusals as they are, all else in one sentence, and the log has the rest."""
    if isinstance(error, InvalidRequest | UnreadableVideo):
        return error
    text = "".join(traceback.format_exception(error))
    os.write(2, text.encode("utf-8", "replace"))  # where logging does not go: what is logged is part of the answer
    if isinstance(error, OSError) and error.errno is None:  # one of our own sentences
        return ServiceError(str(error))
    return ServiceError(f"the service failed: {_reason(error)}")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _REASONS:
        return _REASONS[error.errno]
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # the latter is torch's RuntimeError
        return _REASONS[errno.ENOMEM]
    if type(error).__name__ == "OutOfMemoryError":  # torch's
        return "the memory of its device is not enough; fewer objects at a time need less"
    return "its log says why"
