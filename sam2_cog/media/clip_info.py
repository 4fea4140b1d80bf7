"""What a clip is, and one of its frames."""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog.media.stored_order import StoredOrder
from sam2_cog.media.to_bt709 import Colours


@dataclass(frozen=True)
class VideoInfo:
    """What a clip is. Sizes are pixels of the frame as it is displayed: after rotation, pixel aspect left as it is.

    Frame k is displayed `pts[k] * time_base` seconds after the clip begins, which it does when the earlier of picture
    and sound does: `clock_start` is the time of that on the file's own clock, which may begin anywhere.
    """

    path: Path
    container: str  # ffmpeg's name of the format, "zip", "folder" or "image"
    codec: str  # ffmpeg's name of the picture's codec; of images "jpeg", "png", "webp", "bmp", "tiff" or "avif"
    width: int
    height: int
    frame_rate: Fraction  # frames a second: nominal where the frames keep to it, else their average
    frame_count: int  # frames that really decode
    duration_seconds: float  # from the first frame's start to the last one's end
    rotation: int  # degrees clockwise by which the stored picture was turned: 0, 90, 180 or 270
    has_audio: bool
    has_alpha: bool  # the file has an alpha plane, which the RGB leaves out
    time_base: Fraction  # seconds a tick
    pts: np.ndarray = field(repr=False, compare=False)  # (frame_count,) int64 ticks >= 0, strictly increasing
    seek_points: np.ndarray = field(repr=False, compare=False)  # indices of the frames where decoding may start
    stream_index: int = 0
    yuv_matrix: str = ""  # swscale's name of the matrix; empty: the picture is RGB or grey
    full_range: bool = False
    colours: Colours | None = None  # what the file's RGB means, where that is not BT.709; that of a `Frame` is
    pixel_aspect: Fraction = Fraction(1)  # width to height of a pixel when displayed
    uniform: bool = True  # size and colours never change within the stream
    orderly: bool = True  # it decoded without a complaint, and its time stamps are in order as they are
    promised: bool = False  # by its packets, not decoded yet: `read_frames` holds each frame against it
    key_frames: np.ndarray = field(default_factory=lambda: frozen(()), repr=False, compare=False)  # indices
    order: StoredOrder | None = field(default=None, repr=False, compare=False)  # where it was found out
    counted: bool = False  # `pts` holds for `seek_points` only; frames after such a one are known by their number
    clock_start: int = 0  # ticks
    clock_shifts: tuple[int, ...] = ()  # ticks to add to the file's clock from its k-th jump on, see frame_times.py
    notes: tuple[str, ...] = ()  # what of the file does not come through as it is, as sentences
    part: range | None = None  # of a part of a clip: its frames' numbers in the whole one
    part_of: "VideoInfo | None" = field(default=None, repr=False)  # which is this

    @property
    def numbers(self) -> range:
        """The frames' numbers in the whole clip."""
        return range(self.frame_count) if self.part is None else self.part

    def place_of(self, number: int) -> int:
        """Where the frame of this number stands among the frames."""
        return number if self.part is None else self.part.index(number)

    @property
    def whole(self) -> "VideoInfo":
        """The clip that this is a part of, or is."""
        return self.part_of or self

    @property
    def frame_times(self) -> np.ndarray:
        """(frame_count,) float64 seconds from the clip's beginning."""
        return self.pts * self.time_base.numerator / self.time_base.denominator


@dataclass(frozen=True)
class Frame:
    """One decoded frame: its index from 0, its time from the clip's beginning, and (H, W, 3) uint8 RGB."""

    index: int
    time_seconds: float
    image: np.ndarray


def part_of(info: VideoInfo, numbers: range) -> VideoInfo:
    """A part of a clip as a clip: the frames with these numbers, at least one, ascending, counted anew from 0.

    It begins with its first frame, and a part of all frames is the clip itself.
    """
    if numbers == info.numbers:
        return info
    pts, step = info.pts[numbers.start : numbers.stop : numbers.step], numbers.step
    begin = int(pts[0]) if numbers.start else 0
    after = numbers[-1] + step  # the frame that would come next
    seconds = float(int(pts[-1] - pts[0]) * info.time_base)
    if after < info.frame_count:
        seconds = float(int(info.pts[after] - pts[0]) * info.time_base)
    elif step == 1:
        seconds = info.duration_seconds - float(int(pts[0] - info.pts[0]) * info.time_base)
    else:
        seconds += float(step / info.frame_rate)
    return replace(
        info,
        frame_rate=info.frame_rate / step,
        frame_count=len(numbers),
        duration_seconds=seconds,
        pts=frozen(pts - begin),
        seek_points=frozen(()),
        clock_start=info.clock_start + begin,
        part=numbers,
        part_of=info,
    )


def frozen(values: Any) -> np.ndarray:
    """Whole numbers as int64 that nobody can change."""
    numbers = np.array(values, dtype=np.int64)
    numbers.setflags(write=False)
    return numbers
