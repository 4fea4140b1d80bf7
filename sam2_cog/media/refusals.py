"""What is said of a video input, and how one is refused."""

from pathlib import Path

from sam2_cog import limits
from sam2_cog.errors import UnreadableVideo


def sentence(path: Path, found: str) -> str:
    """What is to be said of a video input: `found` goes on after the file's base name, without a full stop."""
    return "".join(letter if letter.isprintable() else "?" for letter in f"video: {path.name} {found}")


def unreadable(path: Path, found: str) -> UnreadableVideo:
    """The error for a video input, see `sentence`."""
    return UnreadableVideo(sentence(path, found))


def check_size(path: Path, width: int, height: int, most: limits.Limit = limits.PIXELS) -> None:
    """Refuse a picture that would not fit a sane amount of memory: of more than `most` pixels, or too long a side."""
    if width < 1 or height < 1:
        raise unreadable(path, f"is {width}x{height}, but a frame has at least one pixel")
    if excess := limits.SIDE.excess(max(width, height)) or most.excess(width * height):
        raise unreadable(path, f"is {width}x{height}: {excess}")
