"""Labelled clips on disk, in either of two layouts.

**Clips and zips.** `NAME/clip.mp4` with `NAME/masks.zip`, or `NAME.mp4` with `NAME_masks.zip` (any video the product
reads). The zip holds one image of all objects a frame, `00000.png`, or one folder of masks per object,
`masks/<object>/00000.png`, which is how the product writes them.

**DAVIS, MOSE, SA-V as published.** `JPEGImages*/[480p/]NAME/00000.jpg` with `Annotations*/[480p/]NAME/00000.png`
(all objects in one) or `Annotations*/NAME/<object>/00000.png` (a folder per object). Not every frame need be labelled.

In an image of all objects a pixel's value is the object's number, 0 is the background; 255 is the object where it is
the only value (DAVIS 2016), else a pixel that belongs to none.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import Mask

Folder = Path | zipfile.Path
"""A folder on disk or in a zip; the same methods read both."""

_RESOLUTIONS = ("480p", "1080p", "Full-Resolution")
_NOBODY = 255


@dataclass(frozen=True)
class Annotation:
    """One object on one labelled frame, read only when it is asked for."""

    frame_index: int
    image: Folder
    value: int | None
    """Which pixels of the image are the object's; None: all that are not 0."""

    def read(self) -> Mask:
        """(H, W) bool."""
        labels = _labels(self.image)
        return labels != 0 if self.value is None else labels == self.value


@dataclass(frozen=True)
class LabelledObject:
    """One object: `annotations` are all its labelled frames, ascending; it is first seen on `annotations[first]`."""

    name: str
    value: int
    """Its number in an image of all objects."""
    annotations: tuple[Annotation, ...]
    first: int


@dataclass(frozen=True)
class LabelledClip:
    """A clip with the true masks of the objects that are ever seen in it."""

    name: str
    images: Path
    """A video, or a folder of numbered JPEG frames."""
    objects: tuple[LabelledObject, ...]

    def frame_name(self, frame_index: int) -> str:
        """What the data set calls a frame: the name of its JPEG, or its number with five digits."""
        return _frame_files(self.images)[frame_index].stem if self.images.is_dir() else f"{frame_index:05d}"

    def as_video(self, folder: Path) -> Path:
        """One file that the product takes: the video itself, or a zip of the frames, written into `folder`."""
        if not self.images.is_dir():
            return self.images
        path = folder / "frames.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for frame in _frame_files(self.images):
                archive.write(frame, frame.name)
        return path


def labelled_clips(dataset: Path, names: Sequence[str] = ()) -> Iterator[LabelledClip]:
    """Yield the named clips of a data set, or all of them, by name.

    Raises:
        InvalidRequest: there are no labelled clips, or not the named ones, or a mask that cannot be used.
    """
    places = _published(dataset) or _clips_and_zips(dataset)
    if not places:
        raise InvalidRequest(
            f"dataset: {dataset} holds no labelled clips, neither NAME/clip.mp4 with NAME/masks.zip "
            "nor JPEGImages/NAME with Annotations/NAME"
        )
    for name in names:
        if name not in places:
            raise InvalidRequest(f"clips: {name!r} is not in {dataset}, which has {', '.join(sorted(places))}")
    for name in names or sorted(places):
        images, masks = places[name]
        yield LabelledClip(name, images, _read_objects(name, images, masks))


def _published(dataset: Path) -> dict[str, tuple[Path, Folder]]:
    """The clips of a data set in the layout of DAVIS, each with its frames and its masks."""
    images, masks = (_resolution(dataset, pattern) for pattern in ("JPEGImages*", "Annotations*"))
    if images is None or masks is None:
        return {}
    return {folder.name: (images / folder.name, folder) for folder in masks.iterdir() if folder.is_dir()}


def _resolution(dataset: Path, pattern: str) -> Path | None:
    """The first folder of that name, or what it holds for one resolution."""
    root = min((path for path in dataset.glob(pattern) if path.is_dir()), default=None)
    inner = [root / name for name in _RESOLUTIONS if (root / name).is_dir()] if root else []
    return inner[0] if inner else root


def _clips_and_zips(dataset: Path) -> dict[str, tuple[Path, Folder]]:
    """The clips of a folder in the layout of videos with a zip of masks, each with its video and its masks."""
    places: dict[str, tuple[Path, Folder]] = {}
    for masks in [*dataset.glob("*/masks.zip"), *dataset.glob("*_masks.zip")]:
        inside = masks.name == "masks.zip"
        name = masks.parent.name if inside else masks.name.removesuffix("_masks.zip")
        videos = sorted(masks.parent.glob("clip.*" if inside else f"{name}.*"))
        videos = [path for path in videos if path.suffix not in (".json", ".csv", ".png", ".md")]
        if len(videos) != 1:
            raise InvalidRequest(f"dataset: {masks} needs one video beside it, but there are {len(videos)}")
        places[name] = videos[0], zipfile.Path(masks)
    return places


def _frame_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg"))


def _read_objects(name: str, images: Path, masks: Folder) -> tuple[LabelledObject, ...]:
    numbers = {path.stem: i for i, path in enumerate(_frame_files(images))} if images.is_dir() else None
    root = masks / "masks" if (masks / "masks").is_dir() else masks
    folders = sorted((folder for folder in root.iterdir() if folder.is_dir()), key=lambda folder: folder.name)
    if folders:
        objects = [
            _object(folder.name, number, [Annotation(i, image, None) for i, image in _numbered(name, folder, numbers)])
            for number, folder in enumerate(folders, start=1)
        ]
    else:
        labelled = _numbered(name, root, numbers)
        objects = [
            _object(f"object_{value}", value, [Annotation(i, image, value) for i, image in labelled])
            for value in _values(image for _, image in labelled)
        ]
    return tuple(one for one in objects if one is not None)


def _numbered(name: str, folder: Folder, numbers: Mapping[str, int] | None) -> list[tuple[int, Folder]]:
    """The PNG images of a folder with the number of the frame that each labels, ascending."""
    images = []
    for image in folder.iterdir():
        stem, _, suffix = image.name.rpartition(".")
        if suffix.lower() == "png":
            number = numbers.get(stem) if numbers is not None else int(stem) if stem.isdecimal() else None
            if number is None:
                raise InvalidRequest(f"dataset: clip {name} has a mask {image.name}, but no frame of that name")
            images.append((number, image))
    return sorted(images, key=lambda entry: entry[0])


def _object(name: str, value: int, annotations: list[Annotation]) -> LabelledObject | None:
    """The object, or None when it is never seen."""
    first = next((i for i, annotation in enumerate(annotations) if annotation.read().any()), None)
    return None if first is None else LabelledObject(name, value, tuple(annotations), first)


def _values(images: Iterator[Folder]) -> list[int]:
    """The numbers of the objects in images of all objects."""
    seen: set[int] = set()
    for image in images:
        seen.update(np.unique(_labels(image)).tolist())
    seen.discard(0)
    return sorted(seen - {_NOBODY}) or sorted(seen)


@lru_cache(maxsize=4)  # several objects are read from one image in turn
def _labels(image: Folder) -> NDArray[np.uint8]:
    """(H, W) uint8: the values of an indexed, grey or two-colour image."""
    with Image.open(BytesIO(image.read_bytes())) as picture:
        if picture.mode not in ("P", "L", "1"):
            raise InvalidRequest(f"dataset: mask {image} has colours ({picture.mode}), but must be indexed or grey")
        labels = np.asarray(picture)
    return labels.astype(np.uint8)
