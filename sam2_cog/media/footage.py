"""What somebody has open to look around in: one clip, several shots, or images of different sizes; frames by number."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from sam2_cog.media.frame_archive import HoldsVideos, UnlikeImages
from sam2_cog.media.image_set import ImageSet, probe_image_set
from sam2_cog.media.shots import Shots, opened_shots
from sam2_cog.media.video import Frame, VideoInfo, pick_frames, probe, read_frames


@dataclass(frozen=True)
class Footage:
    """A clip whose frames need not be of one size. Shots are numbered through; an image's number is its place."""

    info: VideoInfo
    """Of shots and image sets as if they were one clip: the largest sides, the frames of all, at a nominal rate."""
    parts: Shots | ImageSet | None = None
    """What it is made of, if it is no clip by itself."""

    @classmethod
    def of(cls, parts: Shots | ImageSet) -> "Footage":
        """Shots or images as footage."""
        infos = parts.videos if isinstance(parts, Shots) else parts.images
        return cls(_as_one(parts.path, infos), parts)

    @property
    def width(self) -> int:
        """Of the widest frame, in pixels."""
        return self.info.width

    @property
    def height(self) -> int:
        """Of the highest frame, in pixels."""
        return self.info.height

    @property
    def frame_count(self) -> int:
        """Of all parts together."""
        return self.info.frame_count

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of a frame."""
        own = self.info
        if isinstance(self.parts, ImageSet):
            own = self.parts.images[index]
        elif isinstance(self.parts, Shots):
            own = self.parts.videos[self.parts.place(index)[0]]
        return own.height, own.width

    def label(self, index: int) -> str:
        """What people know a frame by: the name of its image, or its shot and its number there; empty in a clip."""
        if isinstance(self.parts, ImageSet):
            return self.parts.names[index]
        if isinstance(self.parts, Shots):
            shot, number = self.parts.place(index)
            return f"{shot}:{number} {self.parts.videos[shot].path.name}"
        return ""

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """Stream the frames [start, stop), as `read_frames` does."""
        if isinstance(self.parts, ImageSet):
            return self.parts.read(range(self.frame_count)[start:stop])
        return self.parts.read(start, stop) if self.parts else read_frames(self.info, start, stop)

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        """Stream the frames with these numbers, ascending, as `pick_frames` does."""
        if isinstance(self.parts, ImageSet):
            return self.parts.read(indices)
        return self.parts.pick(indices) if self.parts else pick_frames(self.info, indices)


@contextmanager
def opened_footage(path: Path | str, frame_rate: Fraction | None = None) -> Iterator[Footage]:
    """Open what `Request.video` may be; shots of a zip lie in a temporary folder meanwhile.

    Raises:
        UnreadableVideo: it cannot be read.
    """
    path = Path(path).absolute()
    with ExitStack() as held:
        try:
            footage = Footage(probe(path, frame_rate))
        except UnlikeImages:
            footage = Footage.of(probe_image_set(path))
        except HoldsVideos:
            footage = Footage.of(held.enter_context(opened_shots(path)))
        yield footage


def _as_one(path: Path, parts: Sequence[VideoInfo]) -> VideoInfo:
    largest = max(parts, key=lambda info: info.width * info.height)
    count = sum(info.frame_count for info in parts)
    return replace(
        largest,
        path=path,
        width=max(info.width for info in parts),
        height=max(info.height for info in parts),
        frame_count=count,
        duration_seconds=sum(info.duration_seconds for info in parts),
        time_base=1 / largest.frame_rate,
        pts=np.arange(count),
        seek_points=np.arange(0),
    )
