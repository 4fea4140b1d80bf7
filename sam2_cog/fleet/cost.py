"""What a manifest would cost, from the strings and the headers of the videos alone: no frame is decoded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.fleet.manifest import Job
from sam2_cog.fleet.storage import fetch
from sam2_cog.held import HeldFolder
from sam2_cog.limits import FRAMES
from sam2_cog.media.frame_archive import HoldsVideos, ImageClip, UnlikeImages, probe_images
from sam2_cog.media.image_set import probe_image_set
from sam2_cog.media.refusals import unreadable
from sam2_cog.media.stream_header import nominal_rate, picture_stream, rotation
from sam2_cog.media.video import VideoInfo, describe
from sam2_cog.runs.objects import objects_within

FURTHER_OBJECT = 0.25
"""What each object after the first adds to the time of a frame.

Of `large` at 1024 pixels a frame takes 1,823 GFLOP to encode and 621 for each object, counted from the network:
621 / (1,823 + 621).
"""


@dataclass(frozen=True)
class Estimate:
    """What a manifest would take on one machine; `unreadable` are the clips that are not counted, with the reason."""

    clips: int
    frames: int
    object_frames: int
    hours: float
    price: float
    unreadable: tuple[tuple[str, str], ...]


def estimate(jobs: Sequence[Job], frames_per_second: float, price_per_hour: float) -> Estimate:
    """Frames, frames x objects, hours and price; `frames_per_second` is the machine's with one object."""
    clips = frames = object_frames = 0
    seconds = 0.0
    unreadable: list[tuple[str, str]] = []
    for job in jobs:
        try:
            length, objects = _length_and_objects(job)
        except (InvalidRequest, UnreadableVideo) as error:
            unreadable.append((job.name, str(error)))
            continue
        clips, frames, object_frames = clips + 1, frames + length, object_frames + length * objects
        seconds += length * (1 + FURTHER_OBJECT * (objects - 1)) / frames_per_second
    hours = seconds / 3600
    return Estimate(clips, frames, object_frames, hours, hours * price_per_hour, tuple(unreadable))


def _length_and_objects(job: Job) -> tuple[int, int]:
    with HeldFolder() as folder:
        files: dict[str, Any] = {name: fetch(name, at, folder / name) for name, at in job.sources.items()}
        request = replace(job.request, **files)
        length, width, height = _header(request.video)
        objects = objects_within(request, width, height, FRAMES.value)
    return len(range(length)[request.part]), len(objects)


def _header(path: Path) -> tuple[int, int, int]:
    """Frames, width and height as displayed."""
    if not path.exists():
        raise unreadable(path, "does not exist")
    images = _images(path)
    if images is not None:
        return len(images), max(one.width for one in images), max(one.height for one in images)
    streams, _ = describe(path)
    stream = picture_stream(path, streams)
    sides = int(stream["width"]), int(stream["height"])
    width, height = reversed(sides) if rotation(stream) % 180 else sides
    return _header_frames(stream, streams), width, height


def _images(path: Path) -> Sequence[ImageClip | VideoInfo] | None:
    """What each image is, of one size or of several; None of a video."""
    try:
        clip = probe_images(path, headers_only=True)
    except UnlikeImages:
        return probe_image_set(path, headers_only=True).images
    except HoldsVideos:
        raise unreadable(path, "holds several shots, whose frames are not counted from headers") from None
    return [clip] * clip.count if clip else None


def _header_frames(stream: dict[str, Any], streams: list[dict[str, Any]]) -> int:
    """How many frames the header promises: its own count, else length times rate, else one."""
    if str(stream.get("nb_frames", "")).isdigit():
        return int(stream["nb_frames"])
    durations = [float(one["duration"]) for one in [stream, *streams] if "duration" in one]
    return max(1, round(durations[0] * float(nominal_rate(stream)))) if durations else 1
