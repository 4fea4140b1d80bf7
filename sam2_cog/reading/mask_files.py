"""Masks that are there already -> entries for `parse_prompts`: a PNG, or an archive like our own."""

import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest, quoted
from sam2_cog.masks import Mask, ObjectMask
from sam2_cog.media.frame_archive import MAX_IMAGE_BYTES, unpacked
from sam2_cog.reading.click_lists import check_name, read_frame_list
from sam2_cog.reading.entry import Entry

MOST_GREY_LABELS = 32
"""A grey picture with more values is no map of labels, but a soft mask or a photograph."""
MAX_MANIFEST_BYTES = 1 << 26

_MASK = re.compile(r"(?:.*/)?(masks/([^/]+)/([0-9]{1,18})\.png)")


@dataclass(frozen=True)
class _Wanted:
    """What a file of masks must fit: the (width, height) and the number of frames of the video, the chosen frames."""

    file: str
    size: tuple[int, int]
    frame_count: int
    chosen: tuple[int, ...]


@dataclass(frozen=True)
class _Stored:
    """One mask of an archive, not yet read."""

    packed: zipfile.ZipInfo
    called: str
    name: str
    frame: int


def read_masks(path: Path, mask_frames: str, *, width: int, height: int, frame_count: int) -> tuple[Entry, ...]:
    """The masks of a file, at least one, as prompts in a video of `width` x `height` pixels and `frame_count` frames.

    path: a zip with `masks/<object>/<frame>.png`, one object each, soft ones cut at half; a `manifest.json` in it, as
        our own archives have, says names and frames. Or a PNG, where each value above 0 is an object, `object_<value>`.
        Pictures have the size of the video; masks without a pixel are left out.
    mask_frames: which frames of a zip are used, all if it is empty; the frame that a PNG is on, 0 if it is empty.

    Raises:
        InvalidRequest: the file cannot be read, or does not fit the video.
    """
    chosen = read_frame_list("mask_frames", mask_frames, frame_count)
    wanted = _Wanted(path.name, (width, height), frame_count, tuple(chosen))
    with _reading(path.name):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                entries = [_entry(wanted, archive, mask) for mask in _listed(wanted, archive)]
        else:
            entries = _of_picture(wanted, path)
    for name in dict.fromkeys(entry.name for entry in entries):
        if not any(entry.mask and entry.mask.tight for entry in entries if entry.name == name):
            raise InvalidRequest(f"masks: {quoted(name)} has no pixel in {path.name} on {_frames_of(wanted)}")
    return tuple(entry for entry in entries if entry.mask and entry.mask.tight)


def _frames_of(wanted: _Wanted) -> str:
    return f"frame {', '.join(map(str, wanted.chosen))} (mask_frames)" if wanted.chosen else "any frame"


# An archive: masks/<object>/<frame>.png


def _listed(wanted: _Wanted, archive: zipfile.ZipFile) -> list[_Stored]:
    """The masks on the chosen frames, each for a frame of the video, no two for the same object and frame."""
    found = [(packed, match) for packed in archive.infolist() if (match := _MASK.fullmatch(packed.filename))]
    if not found:
        raise InvalidRequest(f"masks: {wanted.file} is a zip without masks/<object>/<frame>.png")
    names, frames = _manifest(wanted, archive)
    masks = [
        _Stored(packed, match[1], names.get(match[2], match[2]), _frame(wanted, match[1], int(match[3]), frames))
        for packed, match in found
    ]
    masks = [mask for mask in masks if not wanted.chosen or mask.frame in wanted.chosen]
    if not masks:
        raise InvalidRequest(f"masks: {wanted.file} has no mask on {_frames_of(wanted)}")
    seen: dict[tuple[str, int], str] = {}
    for mask in masks:
        check_name(mask.name, f"masks: {quoted(mask.called)} is of an object named {quoted(mask.name)}")
        other = seen.setdefault((mask.name, mask.frame), mask.called)
        if other != mask.called:
            raise InvalidRequest(f"masks: {quoted(other)} and {quoted(mask.called)} are of one object on one frame")
    _check_amount(wanted, masks)
    return masks


def _check_amount(wanted: _Wanted, masks: list[_Stored]) -> None:
    """Before any of them is read."""
    width, height = wanted.size
    for limit, value in (
        (limits.CLICKED_FRAMES, len({mask.frame for mask in masks})),
        (limits.OBJECTS, len({mask.name for mask in masks})),
        (limits.MASK_PIXELS, len(masks) * width * height),
    ):
        if excess := limit.excess(value):
            raise InvalidRequest(f"masks: {wanted.file} has {excess}; mask_frames chooses fewer")


def _frame(wanted: _Wanted, called: str, number: int, frames: list[int]) -> int:
    """The frame in the video of the picture with this number."""
    if frames and number >= len(frames):
        raise InvalidRequest(f"masks: {quoted(called)} is not in the manifest.json of {wanted.file}")
    frame = frames[number] if frames else number
    if not 0 <= frame < wanted.frame_count:
        raise InvalidRequest(
            f"masks: {quoted(called)} is on frame {frame}, but the video has frames 0 to {wanted.frame_count - 1}"
        )
    return frame


def _manifest(wanted: _Wanted, archive: zipfile.ZipFile) -> tuple[dict[str, str], list[int]]:
    """The name of the object in each folder, and the frame of each number; empty where the archive does not say."""
    if "manifest.json" not in archive.namelist():
        return {}, []
    packed = archive.getinfo("manifest.json")
    try:
        said: Any = json.loads(unpacked(archive, packed)) if packed.file_size <= MAX_MANIFEST_BYTES else None
        names = {str(one["folder"]).rpartition("/")[2]: str(one["name"]) for one in said["objects"]}
        return names, [int(one["frame"]) for one in said["frames"]]
    except (ValueError, TypeError, KeyError):
        raise InvalidRequest(f"masks: {wanted.file} has a manifest.json that is not one of this project") from None


def _entry(wanted: _Wanted, archive: zipfile.ZipFile, mask: _Stored) -> Entry:
    if mask.packed.file_size > MAX_IMAGE_BYTES:
        raise InvalidRequest(f"masks: {quoted(mask.called)} has more than {MAX_IMAGE_BYTES} bytes")
    with _reading(mask.called):
        picture = _picture(wanted, mask.called, unpacked(archive, mask.packed))
    # masks are also saved with 0 and 1, where half of the range would find nothing
    binary = picture.indexed or picture.values.max() <= 1
    cut = picture.values > (0 if binary else picture.highest / 2)
    return Entry("masks", f"{quoted(mask.called)} of masks", mask.frame, mask.name, mask=ObjectMask.of(cut))


# A picture whose values are objects


def _of_picture(wanted: _Wanted, path: Path) -> list[Entry]:
    if len(wanted.chosen) > 1:
        raise InvalidRequest(f"mask_frames: {wanted.file} is one picture, which is on one frame, not on more")
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise InvalidRequest(f"masks: {wanted.file} has more than {MAX_IMAGE_BYTES} bytes")
    picture = _picture(wanted, wanted.file, path.read_bytes())
    labels = [int(label) for label in np.unique(picture.values) if label]
    if not labels:
        raise InvalidRequest(f"masks: {wanted.file} has no pixel above 0, so there is nothing to follow")
    if not picture.indexed and len(labels) > 1 and (labels[-1] == picture.highest or len(labels) > MOST_GREY_LABELS):
        raise InvalidRequest(
            f"masks: {wanted.file} is grey with {len(labels)} values above 0, which may be one soft mask or several "
            "objects: save objects as an indexed PNG, or a soft mask as masks/<object>/<frame>.png in a zip"
        )
    if labels == [picture.highest]:
        return [_labelled(wanted, 1, picture.values > 0)]
    return [_labelled(wanted, label, picture.values == label) for label in labels]


def _labelled(wanted: _Wanted, label: int, mask: Mask) -> Entry:
    frame = wanted.chosen[0] if wanted.chosen else 0
    return Entry("masks", f"{quoted(wanted.file)} of masks", frame, f"object_{label}", mask=ObjectMask.of(mask))


# Reading


@dataclass(frozen=True)
class _Picture:
    """(H, W) values: indices of a palette, or grey from 0 to `highest`."""

    values: NDArray[Any]
    highest: int
    indexed: bool


def _picture(wanted: _Wanted, called: str, content: bytes) -> _Picture:
    """Decode a PNG; its size is checked before."""
    with Image.open(BytesIO(content), formats=["PNG"]) as image:
        if image.size != wanted.size:
            found, needed = ("x".join(map(str, size)) for size in (image.size, wanted.size))
            raise InvalidRequest(
                f"masks: {quoted(called)} is {found}, but the video is {needed}, and a mask must be too"
            )
        if image.mode in ("P", "1"):
            return _Picture(np.asarray(image).astype(np.uint8), 1, indexed=True)
        if image.mode.startswith("I"):
            return _Picture(np.asarray(image), 65535, indexed=False)
        channels = np.asarray(image.convert("RGBA"))
    red, green, blue, alpha = np.moveaxis(channels, 2, 0)
    if (alpha < 255).any() or (red != green).any() or (green != blue).any():
        raise InvalidRequest(f"masks: {quoted(called)} has colours or transparency, but a mask is grey or indexed")
    return _Picture(red, 255, indexed=False)


@contextmanager
def _reading(called: str) -> Iterator[None]:
    """Turn whatever a missing or damaged file raises into one sentence."""
    try:
        yield
    except InvalidRequest:
        raise
    except FileNotFoundError:
        raise InvalidRequest(f"masks: {called} does not exist") from None
    except Exception as error:  # Pillow and zipfile raise almost anything on a damaged file
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is damaged, or no PNG or zip"
        raise InvalidRequest(f"masks: {quoted(called)} cannot be read: {reason}") from error
