"""Several videos, or a zip or a folder of them, as one clip of shots: one after the other, each with its own size and
times.

Those of a zip are copied into a temporary folder first, because ffmpeg reads files; their names there are their own.
"""

import re
import zipfile
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path, PurePosixPath

from sam2_cog import limits
from sam2_cog.errors import UnreadableVideo
from sam2_cog.held import HeldFolder
from sam2_cog.media.frame_archive import (
    IMAGE_CONTAINERS,
    HoldsVideos,
    UnlikeImages,
    decoding,
    files_of,
    is_video,
    natural_key,
    open_entry,
)
from sam2_cog.media.refusals import unreadable
from sam2_cog.media.scan import excess_of_clip
from sam2_cog.media.video import Frame, VideoInfo, pick_frames, probe, read_frames

_PIECE = 1 << 20
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Shots:
    """Videos in their order. Frames are numbered through; a frame has its own shot's size."""

    path: Path
    """The zip or the folder; of single files the first."""
    videos: tuple[VideoInfo, ...]

    @property
    def name(self) -> str:
        """What to call them in a sentence."""
        further = len(self.videos) - 1 if self.path == self.videos[0].path else 0
        return f"{self.path.name} with {further} more" if further else self.path.name

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The number of each shot's first frame."""
        return tuple(accumulate((info.frame_count for info in self.videos[:-1]), initial=0))

    @property
    def frame_count(self) -> int:
        """Of all shots together."""
        return sum(info.frame_count for info in self.videos)

    @property
    def largest(self) -> VideoInfo:
        """The shot with the largest frames."""
        return max(self.videos, key=lambda info: info.width * info.height)

    def place(self, index: int) -> tuple[int, int]:
        """The shot of a frame, from 0, and the frame's number in it."""
        shot = bisect_right(self.starts, index) - 1
        return shot, index - self.starts[shot]

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """The frames [start, stop), numbered through, each with its own shot's time."""
        stop = self.frame_count if stop is None else stop
        for first, info in zip(self.starts, self.videos, strict=True):
            begin, end = max(start - first, 0), min(stop - first, info.frame_count)
            if begin < end:
                yield from _numbered_through(first, read_frames(info, begin, end))

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        """The frames with these ascending numbers."""
        for first, info in zip(self.starts, self.videos, strict=True):
            wanted = [index - first for index in indices if 0 <= index - first < info.frame_count]
            yield from _numbered_through(first, pick_frames(info, wanted))


def _numbered_through(first: int, frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
    with closing(frames):
        for frame in frames:
            yield Frame(first + frame.index, frame.time_seconds, frame.image)


@contextmanager
def opened_shots(path: Path, *further: Path) -> Iterator[Shots]:
    """The videos of a zip or a folder in the natural order of their names, or single files in the order given; probed.

    What was copied out of a zip is gone afterwards.

    Raises:
        UnreadableVideo: one of them cannot be read, or there is more of them than is allowed.
    """
    with HeldFolder() as folder:
        if further:
            videos = _single_files(path, *further)
        else:
            files = _in_folder(path) if path.is_dir() else _unpacked(path, folder)
            videos = tuple(_probed(path, file) for file in files)
        shots = Shots(path.absolute(), videos)
        seconds = sum(info.duration_seconds for info in videos)
        pixels = shots.largest.width * shots.largest.height
        if excess := excess_of_clip(shots.frame_count, pixels, seconds):
            raise unreadable(Path(shots.name), f"has {excess}")
        yield shots


def _probed(path: Path, file: Path) -> VideoInfo:
    info = probe(file, certain=True)  # frames are named by it
    if info.container in IMAGE_CONTAINERS:
        raise unreadable(path, f"holds {file.name}, which is no video in spite of its name")
    return info


def _single_files(path: Path, *further: Path) -> tuple[VideoInfo, ...]:
    first = _single_file(path)  # who names many frames one by one is told that, not how many videos there may be
    if excess := limits.SHOTS.excess(1 + len(further)):
        raise UnreadableVideo(f"video: there are {excess}")
    return (first, *map(_single_file, further))


def _single_file(path: Path) -> VideoInfo:
    with suppress(UnlikeImages, HoldsVideos):
        info = probe(path, certain=True)  # as in `_probed`
        if info.container not in IMAGE_CONTAINERS:
            return info
    needed = "each of several paths is a shot, a video; frames are one path, their folder or a .zip of them"
    raise unreadable(path, f"is no video, but {needed}")


def _in_folder(path: Path) -> list[Path]:
    found = [file for file in files_of(path) if is_video(file.name)]
    if excess := limits.SHOTS.excess(len(found)):
        raise unreadable(path, f"holds {excess}")
    return sorted(found, key=lambda entry: (natural_key(entry.name), entry.name))


def _unpacked(path: Path, folder: Path) -> list[Path]:
    """The videos of a zip as files, each in a folder of its own."""
    with decoding(path, ""):
        archive = zipfile.ZipFile(path)
    with archive:
        packed = [entry for entry in archive.infolist() if not entry.is_dir()]
        found = [entry for entry in packed if is_video(entry.filename)]
        if excess := limits.SHOTS.excess(len(found)) or limits.SHOT_BYTES.excess(sum(one.file_size for one in found)):
            raise unreadable(path, f"holds {excess}")
        found.sort(key=lambda entry: (natural_key(PurePosixPath(entry.filename).name), entry.filename))
        return [_copied(path, archive, entry, folder / str(place)) for place, entry in enumerate(found)]


def _copied(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> Path:
    """One video as a file; no more is unpacked than it claims."""
    folder.mkdir()
    name = re.sub(r"[^\w.\- ]", "_", PurePosixPath(entry.filename).name)[-_LONGEST_NAME:].lstrip(". ")
    target = folder / (name or "shot")
    with decoding(path, f" ({target.name})", "a video"), target.open("wb") as file:
        left = entry.file_size
        with open_entry(archive, entry) as source:
            while left and (piece := source.read(min(_PIECE, left))):
                file.write(piece)
                left -= len(piece)
    return target
