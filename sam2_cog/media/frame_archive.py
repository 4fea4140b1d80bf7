"""Still images as a clip: a zip or a folder of numbered frames, or one image file, which may hold many pictures.

Nothing is ever extracted to disk: each image is read into memory, decoded and passed on, so that a path inside an
archive is only a label to sort by.
"""

import errno
import os
import re
import zipfile
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from sam2_cog import limits
from sam2_cog.errors import UnreadableVideo
from sam2_cog.media.colour_profile import converted_from
from sam2_cog.media.image_file import (
    HEAD_BYTES,
    kind_by_content,
    kind_by_name,
    picture_count,
    pixels,
    readable_kinds,
    require_usable,
    upright_size,
)
from sam2_cog.media.refusals import check_size, sentence, unreadable

MAX_IMAGE_BYTES = 1 << 28  # more than an incompressible image of 67 megapixels takes
IMAGE_CONTAINERS = ("zip", "folder", "image")

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_NOT_THE_FILE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOENT)
_LABEL_LENGTH = 60  # the end of a longer name says enough
_VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"),
    *(".ts", ".mts", ".m2ts", ".mpg", ".mpeg", ".wmv", ".flv"),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_NAME_PARTS = re.compile(r"([^0-9]*?)((?:(?<![^_])-)?[0-9]+|\Z)")
_DEFAULT_DURATION_MS = 100  # of a frame of an animation that gives none, as browsers do


@dataclass(frozen=True)
class ImageClip:
    """What a zip or a folder of frames or an image file holds; sizes are upright pixels."""

    container: str  # one of IMAGE_CONTAINERS
    codec: str  # format of the first image: "jpeg", "png", "webp", "bmp", "tiff" or "avif"
    width: int
    height: int
    has_alpha: bool
    count: int = 0
    durations_ms: tuple[int, ...] = ()
    """Of each picture of an animation, at least 1; empty for what has no times of its own."""
    notes: tuple[str, ...] = ()
    """What was passed over, as sentences."""


class UnlikeImages(UnreadableVideo):
    """A zip or a folder whose images are of different sizes: no clip, see `image_set`."""


class HoldsVideos(UnreadableVideo):
    """A zip or a folder of videos and no images, see `shots`."""


@dataclass(frozen=True)
class PackedFile:
    """A file of a zip or a folder: its path in there, its size in bytes, and what reads it."""

    name: str
    size: int
    read: Callable[[], bytes]


def probe_images(path: Path, *, headers_only: bool = False, used: slice = slice(None)) -> ImageClip | None:
    """Describe a zip or a folder of frames or an image file, told by its first bytes; None when it is none of these.

    Every picture is looked through, so that a damaged one is found before any work is done; of a zip or a folder those
    that are `used`, while the others are only counted. With `headers_only` nothing is decoded: damage, and the times of
    an animation, stay unknown.

    Raises:
        UnlikeImages: images of different sizes.
        UnreadableVideo: no usable image in it, a damaged one, or images in several folders.
    """
    container = _container(path)
    if container is None:
        return None
    first: ImageClip | None = None
    seen, durations, deadline = 0, [], limits.Deadline()
    count, looked_at = _extent(path, container, used)
    with closing(_pictures(path, container, looked_at)) as pictures:
        for label, image in pictures:
            if container == "image" and image.format == "PNG" and picture_count(image) > 1:
                return None  # an animated PNG is a clip, which ffmpeg reads
            with decoding(path, label):
                width, height = upright_size(image)
            check_size(path, width, height)
            first = first or replace(_described(container, image, width, height), notes=_colour_note(path, image))
            if (width, height) != (first.width, first.height):
                found = f"holds an image of {width}x{height}{label}, but its first is {first.width}x{first.height}"
                refusal = unreadable(path, f"{found}; all must be equal")
                raise refusal if container == "image" else UnlikeImages(str(refusal))
            if not headers_only:
                with decoding(path, label):
                    require_usable(image)
            deadline.check()
            seen += 1
            if picture_count(image) > 1 and "duration" in image.info:
                durations.append(max(1, round(image.info["duration"] or _DEFAULT_DURATION_MS)))
    assert first is not None
    notes = (*first.notes, *_passed_over(path, container))
    return replace(first, count=count or seen, durations_ms=tuple(durations), notes=notes)


def read_images(path: Path, wanted: range) -> Generator[np.ndarray, None, None]:
    """The pictures with these numbers, decoded one at a time: (H, W, 3) uint8 RGB, upright, an alpha plane left out.

    Raises:
        UnreadableVideo: an image cannot be decoded.
    """
    with closing(_pictures(path, str(_container(path)), slice(wanted.start, wanted.stop, wanted.step))) as pictures:
        for label, image in pictures:
            with decoding(path, label):
                decoded = pixels(image)
            yield decoded


def probe_each(path: Path, *, headers_only: bool = False) -> tuple[tuple[str, ...], list[ImageClip]]:
    """The names of the images of a zip or a folder in their order, and what each one is, whatever its size.

    headers_only: as of `probe_images`.

    Raises:
        UnreadableVideo: as `probe_images`, but for their sizes.
    """
    container, deadline, found = str(_container(path)), limits.Deadline(), []
    with listing(path, container) as files:
        names = tuple(PurePosixPath(file.name).name for file in _numbered(path, container, files))
    notes = _passed_over(path, container)
    with closing(_pictures(path, container)) as pictures:
        for label, image in pictures:
            with decoding(path, label):
                width, height = upright_size(image)
            check_size(path, width, height)
            described = replace(_described(container, image, width, height), count=1, notes=notes)
            if not headers_only:
                with decoding(path, label):
                    require_usable(image)
            deadline.check()
            found.append(described)
    return names, found


def read_chosen(path: Path, chosen: Collection[int]) -> Generator[tuple[int, np.ndarray], None, None]:
    """Those of the images of a zip or a folder, each with its place: (H, W, 3) uint8 RGB; one is held at a time.

    Raises:
        UnreadableVideo: an image cannot be decoded.
    """
    first, last = min(chosen), max(chosen)
    with closing(_pictures(path, str(_container(path)), slice(first, last + 1))) as pictures:
        for place, (label, image) in enumerate(pictures, first):
            if place in chosen:
                with decoding(path, label):
                    decoded = pixels(image)
                yield place, decoded


def _container(path: Path) -> str | None:
    if path.is_dir():
        return "folder"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_ZIP):
        return "zip"
    kind = kind_by_content(head)
    if kind is not None and kind not in readable_kinds():
        raise unreadable(path, f"is {_cannot_read(kind)}")
    return "image" if kind else None


def _extent(path: Path, container: str, used: slice) -> tuple[int, slice]:
    """How many frames a zip or a folder holds, and which of them to look at, one at least.

    Of one file it shows while it is read how many it holds: 0, and all of them.
    """
    if container == "image":
        return 0, slice(None)
    with listing(path, container) as files:
        count = len(_numbered(path, container, files))
    return count, used if range(count)[used] else slice(1)


def _pictures(
    path: Path, container: str, chosen: slice = slice(None)
) -> Generator[tuple[str, Image.Image], None, None]:
    """The chosen ones of the pictures in order, not yet decoded, each with a label for messages."""
    if container == "image":
        yield from _pictures_of_one_file(path, chosen)
        return
    with listing(path, container) as files:
        for file in _numbered(path, container, files)[chosen]:
            label = f" ({PurePosixPath(file.name).name[-_LABEL_LENGTH:]})"
            if file.size > MAX_IMAGE_BYTES:
                raise unreadable(path, f"holds an image of {file.size} bytes{label}, but {MAX_IMAGE_BYTES} is the most")
            with decoding(path, label):
                image = Image.open(BytesIO(file.read()), formats=readable_kinds())
                animated = picture_count(image) > 1
            if animated:
                raise unreadable(
                    path, f"holds an animated {image.format} image{label}, but only still ones are allowed here"
                )
            yield label, image


def _pictures_of_one_file(path: Path, chosen: slice) -> Generator[tuple[str, Image.Image], None, None]:
    with path.open("rb") as file:
        with decoding(path, ""):
            image = Image.open(file, formats=readable_kinds())
            count = picture_count(image)
        if excess := limits.FRAMES.excess(count):
            raise unreadable(path, f"has {excess}")
        for index in range(count)[chosen]:
            label = f" (picture {index + 1} of {count})" if count > 1 else ""
            with decoding(path, label):
                image.seek(index)
            yield label, image


@contextmanager
def listing(path: Path, container: str) -> Iterator[list[PackedFile]]:
    """The files of a zip or a folder; they can be read inside this."""
    if container == "folder":
        found = files_of(path)
        yield [PackedFile(str(file.relative_to(path)), file.stat().st_size, file.read_bytes) for file in found]
        return
    with decoding(path, ""):
        archive = zipfile.ZipFile(path)
    with archive:
        packed = [entry for entry in archive.infolist() if not entry.is_dir()]
        yield [PackedFile(entry.filename, entry.file_size, partial(unpacked, archive, entry)) for entry in packed]


def files_of(folder: Path) -> list[Path]:
    """The files of a folder; where no image and no video is among them, those of the folders in it as well.

    A zip that was made of a folder holds that folder, and so does what it is unpacked to.
    """
    entries = list(os.scandir(folder))
    files = [Path(entry.path) for entry in entries if entry.is_file()]
    if any(_is_image(file.name) or is_video(file.name) for file in files):
        return files
    within = [entry.path for entry in entries if entry.is_dir() and is_visible(entry.name)]
    return files + [Path(entry.path) for inner in within for entry in os.scandir(inner) if entry.is_file()]


def open_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    """An entry to be read; raises BadZipFile for one whose packing has no bound on what comes out of a few bytes."""
    if entry.compress_type not in _COMPRESSIONS:
        raise zipfile.BadZipFile("it is neither stored nor deflated, as it must be")
    return archive.open(entry)


def unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """The content of an entry, one byte more than it claims at most."""
    with open_entry(archive, entry) as packed:
        return packed.read(entry.file_size + 1)


def _numbered(path: Path, container: str, files: list[PackedFile]) -> list[PackedFile]:
    """The frames, in the order of the numbers in their names."""
    frames = [file for file in files if _is_image(file.name)]
    if not frames:
        refusal = unreadable(path, f"is a {container} without a video or a JPEG, PNG, WebP, BMP, TIFF or AVIF image")
        raise HoldsVideos(str(refusal)) if any(is_video(file.name) for file in files) else refusal
    if excess := limits.FRAMES.excess(len(frames)):
        raise unreadable(path, f"has {excess}")
    if len({PurePosixPath(file.name).parent for file in frames}) > 1:
        raise unreadable(path, "holds images in more than one folder, but the frames must lie in a single one")
    readable = readable_kinds()
    for file in frames:
        kind = str(kind_by_name(file.name))
        if kind not in readable:
            raise unreadable(path, f"holds {_cannot_read(kind)} ({PurePosixPath(file.name).name})")
    return sorted(frames, key=lambda file: (natural_key(PurePosixPath(file.name).name), file.name))


def _is_image(name: str) -> bool:
    return is_visible(name) and kind_by_name(name) is not None


def is_video(name: str) -> bool:
    """Whether a file's name says that it is a video."""
    return is_visible(name) and PurePosixPath(name).suffix.lower() in _VIDEO_SUFFIXES


def _colour_note(path: Path, image: Image.Image) -> tuple[str, ...]:
    name = converted_from(image.info.get("icc_profile"))
    return () if name is None else (sentence(path, f"has the colours of {name}, and was converted to sRGB"),)


def _passed_over(path: Path, container: str) -> tuple[str, ...]:
    """A sentence that says how many files are no frames; hidden ones, which systems leave behind, do not count."""
    if container == "image":
        return ()
    with listing(path, container) as files:
        others = [file.name for file in files if is_visible(file.name) and not kind_by_name(file.name)]
    if not others:
        return ()
    name = PurePosixPath(min(others)).name
    if len(others) == 1:
        return (sentence(path, f"holds 1 other file, which was ignored ({name})"),)
    return (sentence(path, f"holds {len(others)} other files, which were ignored ({name}, ...)"),)


def is_visible(name: str) -> bool:
    """Whether a path in an archive is none of those that systems hide: `.DS_Store`, `__MACOSX/...`."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def natural_key(name: str) -> list[tuple[Decimal, str]]:
    """A sort key under which frame2 comes before frame10: every run of digits counts as one number, of any length.

    A hyphen is a minus at the beginning of the name and after an underscore, elsewhere it separates.
    """
    return [(Decimal(digits or 0), text.lower()) for text, digits in _NAME_PARTS.findall(name)]


def _described(container: str, image: Image.Image, width: int, height: int) -> ImageClip:
    """The clip as its first picture tells it, still without any."""
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    return ImageClip(container, str(image.format).lower(), width, height, has_alpha)


def _cannot_read(kind: str) -> str:
    name = {"HEIF": "HEIC", "JXL": "JPEG XL"}.get(kind, kind)
    return f"{'an' if kind == 'AVIF' else 'a'} {name} image, which cannot be read here; save it as JPEG or PNG"


@contextmanager
def decoding(path: Path, label: str, kind: str = "an image") -> Iterator[None]:
    """Turn whatever a damaged archive or image raises into one sentence; what the system refuses stays an `OSError`."""
    try:
        yield
    except Exception as error:  # Pillow and zipfile raise almost anything on a damaged file
        if isinstance(error, OSError) and error.errno in _NOT_THE_FILE:
            raise
        what = f"holds {kind} that cannot be decoded{label}" if label else "cannot be decoded"
        reason = re.sub(r" ?<[^<>]*>", "", str(error).split("\n")[0].replace(str(path), path.name))
        raise unreadable(path, f"{what}: {reason[:120] or type(error).__name__}") from error
