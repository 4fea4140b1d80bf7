"""Every bound that an operator can set: its environment variable, its default, and how a refusal says it; and switches.

A bound is read from the environment each time that it is used. What a request asks for is compared with it when that is
known, from the strings, the header or the frames that were counted, and before the network runs.
"""

import os
import time
from dataclasses import dataclass

from sam2_cog.errors import InvalidRequest


@dataclass(frozen=True)
class Limit:
    """A highest allowed number; `meaning` is what the table of all limits says of it, `unit` is how it is counted."""

    variable: str
    default: int
    unit: str
    meaning: str

    @property
    def value(self) -> int:
        """The environment's number, or the default; raises InvalidRequest if it is no whole number from 1."""
        text = os.environ.get(self.variable, "").strip()
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
            raise InvalidRequest(f"{self.variable}: {text[:40]!r} is not a whole number from 1")
        return int(text)

    def excess(self, value: float, *, so_far: bool = False) -> str:
        """How a sentence about a larger value ends: `9 objects, but at most 8 are allowed (SAM2_MAX_OBJECTS)`.

        Empty when the value is allowed. so_far: nobody counts further, so that the whole number is not known.
        """
        most = self.value
        if value <= most:
            return ""
        if so_far:
            return f"more than {most} {self.unit}, the most that are allowed ({self.variable})"
        return f"{value:.0f} {self.unit}, but at most {most} are allowed ({self.variable})"


@dataclass(frozen=True)
class Switch:
    """What an environment variable turns on or off; `meaning` is what the table of switches says of it."""

    variable: str
    meaning: str
    default: bool = False

    @property
    def on(self) -> bool:
        """Raises InvalidRequest if the environment's value is neither 0 nor 1."""
        text = os.environ.get(self.variable, "").strip()
        if text not in ("", "0", "1"):
            raise InvalidRequest(f"{self.variable}: {text[:40]!r} is neither 0 nor 1")
        return text == "1" if text else self.default


OBJECTS = Limit("SAM2_MAX_OBJECTS", 500, "objects", "objects of a request")
CLICKS = Limit(
    "SAM2_MAX_CLICKS", 10_000, "clicks", "clicks of a request; one that counts for all objects counts for each of them"
)
CLICKED_FRAMES = Limit("SAM2_MAX_CLICKED_FRAMES", 1_000, "clicked frames", "frames that a request has clicks on")
OBJECT_PIXELS = Limit(
    "SAM2_MAX_OBJECT_PIXELS", 4_500_000_000, "pixels in all masks of a frame", "pixels of a frame x objects"
)
MASK_PIXELS = Limit(
    "SAM2_MAX_MASK_PIXELS", 8_000_000_000, "pixels in all masks", "pixels of a frame x masks that a request brings"
)
FRAMES = Limit("SAM2_MAX_FRAMES", 200_000, "frames", "frames of a clip")
SECONDS_OF_VIDEO = Limit("SAM2_MAX_VIDEO_SECONDS", 4 * 3600, "seconds of video", "length of a clip in seconds")
SIDE = Limit("SAM2_MAX_SIDE", 16_384, "pixels on a side", "width or height of a frame")
PIXELS = Limit("SAM2_MAX_PIXELS", 1 << 26, "pixels a frame", "pixels of an image (8192 x 8192)")
VIDEO_PIXELS = Limit("SAM2_MAX_VIDEO_PIXELS", 8192 * 4320, "pixels a frame", "pixels of a frame of a video (8K)")
PIXELS_OF_ALL_FRAMES = Limit("SAM2_MAX_CLIP_PIXELS", 10**12, "pixels in all frames", "pixels of a frame x frames")
SEPARATE_VIDEOS = Limit(
    "SAM2_MAX_SEPARATE_VIDEOS", 16, "videos", "videos that are encoded at a time (`separate_objects`)"
)
SHOTS = Limit("SAM2_MAX_SHOTS", 200, "videos", "videos in a `.zip` or a folder of shots")
SHOT_BYTES = Limit("SAM2_MAX_SHOT_BYTES", 1 << 34, "bytes of videos", "bytes of the videos in a `.zip` of shots")
SOUND_TRACKS = Limit("SAM2_MAX_SOUND_TRACKS", 32, "sound tracks", "sound tracks of a video")
ARCHIVE_BYTES = Limit("SAM2_MAX_ARCHIVE_BYTES", 1 << 35, "bytes", "bytes of an archive that is written")
JOURNAL_BYTES = Limit(
    "SAM2_MAX_JOURNAL_BYTES", 1 << 33, "bytes", "bytes on disk from which an open session goes on after an edit"
)
DECODED_BYTES = Limit(
    "SAM2_MAX_DECODED_BYTES",
    1 << 34,
    "bytes",
    "bytes on disk of a clip's decoded frames, where decoding can begin only far before them",
)
SECONDS = Limit("SAM2_MAX_SECONDS", 24 * 3600, "seconds", "seconds that a whole prediction may take")
STALL_SECONDS = Limit("SAM2_MAX_STALL_SECONDS", 120, "seconds", "seconds that ffmpeg may take for its next bytes")
FFMPEG_BYTES = Limit("SAM2_MAX_FFMPEG_BYTES", 1 << 34, "bytes", "address space of each ffmpeg process")
UPLOAD_BYTES = Limit("SAM2_MAX_UPLOAD_BYTES", 1 << 33, "bytes", "bytes of a clip that is uploaded to the page")
PROMPT_FILE_BYTES = Limit(
    "SAM2_MAX_PROMPT_FILE_BYTES",
    1 << 30,
    "bytes",
    "bytes of masks and boxes in files that the page keeps for a clip",
)
IDLE_SECONDS = Limit("SAM2_MAX_IDLE_SECONDS", 1800, "seconds", "seconds that a clip stays open which nobody uses")
FETCHED_BYTES = Limit(
    "SAM2_MAX_FETCHED_BYTES", 1 << 34, "bytes", "bytes of the videos that Label Studio's backend keeps"
)
FRAME_UPLOAD_BYTES = Limit(
    "SAM2_MAX_FRAME_UPLOAD_BYTES", 1 << 30, "bytes", "bytes of a clip's frames that X-AnyLabeling sends"
)

ALL = tuple(limit for limit in list(globals().values()) if isinstance(limit, Limit))
"""In the order of the table in docs/limits.md."""

COMPILE = Switch(
    "SAM2_COMPILE",
    "compiles the image encoder and, from the 17th frame on, the tracking step: a minute or more before the first mask "
    "and once more at that frame, and a C++ compiler is needed",
)
CUDA_GRAPHS = Switch(
    "SAM2_CUDA_GRAPHS",
    "0: the image encoder and the tracking step are no longer launched as one CUDA graph each, which saves the host "
    "the launches of some 600 kernels a frame",
    default=True,
)
NVENC = Switch("SAM2_NVENC", "lets a GPU encode MP4, see [results](outputs.md#for-editors)")
SWITCHES = (COMPILE, CUDA_GRAPHS, NVENC)


def check_environment() -> None:
    """Read every limit and switch once; raises InvalidRequest for a variable that holds anything else."""
    for limit in ALL:
        _ = limit.value
    for switch in SWITCHES:
        _ = switch.on


def check_clicks(count: int) -> None:
    """Refuse too many entries of a request, before any of them is read."""
    if excess := CLICKS.excess(count):
        raise InvalidRequest(f"click_coordinates: there are {excess}")


def check_objects(objects: int, clicked_frames: int, clicks: int, pixels: int) -> None:
    """Refuse what would take too much memory or time: `clicks` of all objects together, `pixels` of one frame."""
    for name, limit, value in (
        ("click_object_ids", OBJECTS, objects),
        ("click_frames", CLICKED_FRAMES, clicked_frames),
        ("click_object_ids", CLICKS, clicks),
        ("click_object_ids", OBJECT_PIXELS, objects * pixels),
    ):
        if excess := limit.excess(value):
            raise InvalidRequest(f"{name}: there are {excess}")


class Deadline:
    """The moment at which work that begins now has taken as long as any may."""

    def __init__(self) -> None:
        self._end = time.monotonic() + SECONDS.value

    def check(self) -> None:
        """Raises InvalidRequest once the time is over."""
        if time.monotonic() > self._end:
            raise InvalidRequest(
                f"video: the work took more than {SECONDS.value} seconds, the most that is allowed "
                f"({SECONDS.variable}), and was stopped: fewer frames or objects take less"
            )
