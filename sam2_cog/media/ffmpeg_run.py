"""How ffmpeg and ffprobe are run on a file that nobody vouches for.

The file is their standard input, opened by name once more as `file:/dev/stdin`: so they can seek in it, and no file
name, however odd, is ever read as an option, a protocol or a pattern. They may use no other protocol, and no demuxer
outside `_DEMUXERS`: none of those follows a reference to another file.
"""

import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from sam2_cog.media.frame_archive import unreadable

SOURCE = "file:/dev/stdin"
_DEMUXERS = (
    "mov,matroska,avi,gif,apng,mpegts,mpeg,mpegvideo,m4v,h264,hevc,obu,ivf,flv,asf,ogg,nut,mxf,rm,dv,yuv4mpegpipe,"
    "aac,ac3,aiff,flac,mp3,wav"  # sound only: to say so, instead of "not supported"
)
LIMITS = {"v": "error", "protocol_whitelist": "file", "format_whitelist": _DEMUXERS}


def ffprobe(*options: str) -> list[str]:
    """The command to ask ffprobe about its standard input."""
    limits = [word for name, value in LIMITS.items() for word in (f"-{name}", value)]
    return ["ffprobe", *limits, *options, SOURCE]


@lru_cache(maxsize=1)
def passthrough() -> dict[str, str]:
    """The output option that neither drops nor doubles a frame: `fps_mode` since ffmpeg 5.1, `vsync` until ffmpeg 8."""
    text = subprocess.run(["ffmpeg", "-h", "long"], capture_output=True, stdin=subprocess.DEVNULL).stdout
    return {"fps_mode" if b"-fps_mode" in text else "vsync": "passthrough"}


@contextmanager
def running(command: list[str], path: Path) -> Iterator[tuple[Any, IO[bytes]]]:
    """A process with `path` as its standard input, and a file of its error messages; killed and reaped on the way out.

    Raises:
        UnreadableVideo: the program is not installed.
    """
    with path.open("rb") as source, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=errors)
        except FileNotFoundError:
            raise unreadable(path, f"cannot be read, because the program {command[0]} is not installed") from None
        with process:
            try:
                yield process, errors
            finally:
                process.kill()


def reason(errors: IO[bytes]) -> str:
    """The first of a process's messages, without the names of ffmpeg's parts, to end a sentence; empty without any."""
    errors.seek(0)
    for line in errors.read(4000).decode("utf-8", "replace").splitlines():
        message = re.sub(r"^(\[[^\]]*\] *)+", "", line).replace(f"{SOURCE}: ", "").strip(" .")
        if "whitelist" in message:
            return ": files of this kind are not supported"
        if message:
            return f": {message[:120]}"
    return ""
