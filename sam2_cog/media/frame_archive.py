"""Still images as a clip: a zip of numbered JPEG, PNG or WebP frames, or one image file.

Nothing is ever extracted to disk: each image is read from the archive into memory, decoded and passed on, so that a
path inside an archive is only a label to sort by.
"""

import re
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from sam2_cog import limits
from sam2_cog.errors import UnreadableVideo

MAX_IMAGE_BYTES = 1 << 28  # more than an incompressible image of 67 megapixels takes

_FORMATS = ("JPEG", "PNG", "WEBP")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
_ORIENTATION_TAG = 0x0112
_TRANSPOSES = {  # EXIF 2.32, section 4.6.4, Orientation: what brings the stored pixels upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    RuntimeError,  # an encrypted archive
    zlib.error,
    zipfile.BadZipFile,
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class ImageClip:
    """What a zip of frames or a single image holds; sizes are upright pixels."""

    container: str  # "zip" or "image"
    codec: str  # format of the first image: "jpeg", "png" or "webp"
    width: int
    height: int
    count: int
    has_alpha: bool


def unreadable(path: Path, found: str) -> UnreadableVideo:
    """The error for a video input: `found` goes on after the file's base name, without a full stop."""
    message = f"video: {path.name} {found}"
    return UnreadableVideo("".join(letter if letter.isprintable() else "?" for letter in message))


def check_size(path: Path, width: int, height: int, most: limits.Limit = limits.PIXELS) -> None:
    """Refuse a picture that would not fit a sane amount of memory: of more than `most` pixels, or too long a side."""
    if width < 1 or height < 1:
        raise unreadable(path, f"is {width}x{height}, but a frame has at least one pixel")
    if excess := limits.SIDE.excess(max(width, height)) or most.excess(width * height):
        raise unreadable(path, f"is {width}x{height}: {excess}")


def probe_images(path: Path) -> ImageClip | None:
    """Describe a zip of frames or a single image, told by its first bytes; None when the file is neither.

    Every image's header is read; only a single image is decoded, to know that it can be.

    Raises:
        UnreadableVideo: no usable image in it, or images of different sizes or in several folders.
    """
    container = _container(path)
    if container is None:
        return None
    clip: ImageClip | None = None
    for label, stream in _streams(path, 0, None):
        with _decoding(path, label):
            image = Image.open(stream, formats=_FORMATS)
            animated = image.format != "JPEG" and getattr(image, "n_frames", 1) > 1
            width, height = image.size if _orientation(image) < 5 else image.size[::-1]
            if container == "image" and not animated:
                check_size(path, width, height)
                image.load()  # the only one: it may as well be decoded
        if animated and container == "image" and image.format == "PNG":
            return None  # an animated PNG is a clip, which ffmpeg reads
        if animated:
            raise unreadable(
                path, f"holds an animated {image.format} image{label}, but only still ones are allowed here"
            )
        check_size(path, width, height)
        if clip is None:
            has_alpha = "A" in image.getbands() or "transparency" in image.info
            clip = ImageClip(container, str(image.format).lower(), width, height, 0, has_alpha)
        if (width, height) != (clip.width, clip.height):
            size = f"{clip.width}x{clip.height}"
            raise unreadable(
                path, f"holds an image of {width}x{height}{label}, but its first is {size}; all must be equal"
            )
        clip = ImageClip(container, clip.codec, width, height, clip.count + 1, clip.has_alpha)
    return clip


def read_images(path: Path, start: int, stop: int) -> Generator[np.ndarray, None, None]:
    """The images [start, stop), decoded one at a time: (H, W, 3) uint8 RGB, upright, an alpha plane left out.

    Raises:
        UnreadableVideo: an image cannot be decoded.
    """
    for label, stream in _streams(path, start, stop):
        with _decoding(path, label):
            pixels = _pixels(Image.open(stream, formats=_FORMATS))
        yield pixels


def _container(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    webp = head.startswith(b"RIFF") and head.endswith(b"WEBP")
    return "image" if webp or head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) else None


def _streams(path: Path, start: int, stop: int | None) -> Iterator[tuple[str, IO[bytes]]]:
    """The encoded images [start, stop) in order, each with a label for messages, open for reading."""
    if _container(path) == "image":
        with path.open("rb") as file:
            yield "", file
        return
    with _decoding(path, ""):
        archive = zipfile.ZipFile(path)
    with archive:
        for entry in _numbered(path, archive.infolist())[start:stop]:
            label = f" ({PurePosixPath(entry.filename).name})"
            if entry.file_size > MAX_IMAGE_BYTES:
                raise unreadable(
                    path, f"holds an image of {entry.file_size} bytes{label}, but {MAX_IMAGE_BYTES} is the most"
                )
            with _decoding(path, label):
                stream = BytesIO(archive.read(entry))
            yield label, stream


def _numbered(path: Path, entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """The images of one folder of the archive, in the order of the numbers in their names."""
    images = [entry for entry in entries if _is_frame(entry.filename)]
    if not images:
        raise unreadable(path, "is a zip without a JPEG, PNG or WebP image")
    if excess := limits.FRAMES.excess(len(images)):
        raise unreadable(path, f"has {excess}")
    if len({PurePosixPath(entry.filename).parent for entry in images}) > 1:
        raise unreadable(path, "holds images in more than one folder, but the frames must lie in a single one")
    return sorted(images, key=lambda entry: (_natural_key(entry.filename), entry.filename))


def _is_frame(name: str) -> bool:
    parts = PurePosixPath(name).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return bool(parts) and not hidden and not name.endswith("/") and name.lower().endswith(_SUFFIXES)


def _natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key under which frame2 comes before frame10: every run of digits counts as one number."""
    return [(int(digits or 0), text.lower()) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


@contextmanager
def _decoding(path: Path, label: str) -> Iterator[None]:
    """Turn whatever a damaged archive or image raises into one sentence."""
    try:
        yield
    except UnreadableVideo:
        raise
    except _DECODE_ERRORS as error:
        what = f"holds an image that cannot be decoded{label}" if label else "cannot be decoded"
        reason = str(error).split("\n")[0].replace(str(path), path.name)
        raise unreadable(path, f"{what}: {reason or type(error).__name__}") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1 to 8, read from the header: 5 and up swap width and height."""
    exif = Image.Exif()
    exif.load(image.info.get("exif") or b"")
    value = exif.get(_ORIENTATION_TAG, 1)
    return value if value in _TRANSPOSES else 1


def _pixels(image: Image.Image) -> np.ndarray:
    transpose = _TRANSPOSES.get(_orientation(image))
    if transpose is not None:
        image = image.transpose(transpose)
    if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip and not scale
        grey = (np.asarray(image).astype(np.uint32) * 255 + 32767) // 65535
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))
