"""The frames of a stream and their time stamps.

Either its packets promise them, which is known in a moment and costs no decoding, or all of it is decoded once, without
colour conversion: that counts the frames for certain.
"""

from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog import limits
from sam2_cog.media.ffmpeg_run import COMPACT, compact_entries, ffprobe, reason, running
from sam2_cog.media.refusals import sentence, unreadable
from sam2_cog.media.stored_order import StoredOrder, stored_order

_TELLING = ("mov", "matroska")  # containers whose packets have times, and are marked where decoding may start
_TELLING_CODECS = (  # whose decoders find a key frame where the packets mark one, whatever ffmpeg's age; qtrle's do not
    *("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "mpeg2video"),
    *("prores", "dnxhd", "mjpeg", "ffv1", "png", "rawvideo"),
)
_PACKETS_TO_FIRST_FRAME = 16  # B-frames come before the frame that they follow
_LOOK = ("width", "height", "pix_fmt", "color_space", "color_range")


@dataclass(frozen=True)
class Scan:
    """What was found; a frame is known by its index in display order."""

    stamps: np.ndarray  # (frames,) int64 ticks as the file has them, in order or not
    key_frames: np.ndarray  # indices of the frames that need no earlier one
    last_duration: int  # ticks; 0: unknown
    uniform: bool  # size and colours never change
    sound: bool  # decoded without a complaint
    notes: tuple[str, ...] = ()  # what is lost, as sentences
    order: StoredOrder | None = None  # known where all was decoded, in most containers


def scan_packets(path: Path, stream: dict[str, Any], container: str) -> Scan | None:
    """What the packets of a stream promise of its frames; None where they do not tell enough.

    They do in a container whose packets have times and mark where decoding may start. That each of them decodes to one
    picture, all of one size, is not known.

    Raises:
        UnreadableVideo: there are more than is allowed.
    """
    if container not in _TELLING or stream.get("codec_name") not in _TELLING_CODECS:
        return None
    stamps, keys, durations = array("q"), array("b"), array("q")
    pixels, deadline = int(stream["width"]) * int(stream["height"]), limits.Deadline()
    with running(_packets_command(stream), path) as (process, errors):
        for line in process.stdout:
            entry = compact_entries(line)
            flags = entry.get("flags", "D")  # a line of side data has none
            if "D" in flags:
                continue  # an edit list says: to be decoded, not to be shown
            time = _ticks(entry, "pts")
            if time is None or "C" in flags:
                return None
            stamps.append(time)
            keys.append("K" in flags)
            durations.append(_ticks(entry, "duration") or 0)
            deadline.check()
            if excess := excess_of_clip(len(stamps), pixels, 0, so_far=True):
                raise unreadable(path, f"has {excess}")
        if process.wait() != 0 or reason(errors):
            return None
    order = np.argsort(stamps, kind="stable")
    times = np.array(stamps, np.int64)[order]
    if not any(keys) or not (np.diff(times) > 0).all():
        return None
    return Scan(times, np.flatnonzero(np.array(keys)[order]), durations[order[-1]], uniform=True, sound=True)


def scan_frames(path: Path, stream: dict[str, Any], first_only: bool = False) -> Scan:
    """Decode a stream of ffprobe's description, or only its first frame: 24 bytes a frame are kept.

    Raises:
        UnreadableVideo: no frame can be decoded, or there are more than is allowed.
    """
    key_frames, looks, duration = array("q"), set[tuple[str | None, ...]](), 0
    positions = array("q")
    own, guessed = array("q"), array("q")  # where a frame has no stamp of its own, ffmpeg guesses one
    pixels, deadline = int(stream["width"]) * int(stream["height"]), limits.Deadline()
    with running(_command(stream, first_only), path) as (process, errors):
        for line in process.stdout:
            entry = compact_entries(line)
            if "key_frame" not in entry:
                continue  # a line of side data
            if entry["key_frame"] == "1":
                key_frames.append(len(own))
            time = _ticks(entry, "best_effort_timestamp")
            guessed.append(time if time is not None else guessed[-1] + duration if guessed else 0)
            time = _ticks(entry, "pts", "pkt_pts")
            own.append(time if time is not None else guessed[-1])
            duration = _ticks(entry, "duration", "pkt_duration") or 0
            position = _ticks(entry, "pkt_pos")
            positions.append(-1 if position is None else position)
            looks.add(tuple(entry.get(name) for name in _LOOK))
            deadline.check()
            if excess := excess_of_clip(len(own), pixels, 0, so_far=True):
                raise unreadable(path, f"has {excess}")
        process.wait()
        complaint = reason(errors)
    if not own:
        raise unreadable(path, f"has no frame that can be decoded{complaint}")
    if first_only:
        return Scan(np.array(guessed[:1]), np.array(key_frames[:1]), duration, True, True)
    stamps = min(np.array(guessed), np.array(own), key=lambda times: int((np.diff(times) <= 0).sum()))
    announced = f" of {stream['nb_frames']}" if "nb_frames" in stream else ""
    damage = sentence(path, f"is damaged, {len(own)}{announced} frames could be decoded{complaint}")
    notes = (damage,) if complaint else ()
    keys = np.array(key_frames, np.int64)
    order = stored_order(np.array(positions), keys)
    return Scan(stamps, keys, duration, len(looks) == 1, not complaint, notes, order)


def excess_of_clip(frames: int, pixels: int, seconds: float, *, so_far: bool = False) -> str:
    """What is too much about a clip of so many frames, pixels a frame and seconds; empty if nothing is.

    so_far: as of `Limit.excess`.
    """
    return (
        limits.FRAMES.excess(frames, so_far=so_far)
        or limits.PIXELS_OF_ALL_FRAMES.excess(frames * pixels, so_far=so_far)
        or limits.SECONDS_OF_VIDEO.excess(seconds, so_far=so_far)
    )


def _command(stream: dict[str, Any], first_only: bool) -> list[str]:
    # what was renamed from version to version is asked for by both names
    names = ("key_frame", "pts", "pkt_pts", "best_effort_timestamp", "pkt_duration", "duration", "pkt_pos", *_LOOK)
    extent = ("-read_intervals", f"%+#{_PACKETS_TO_FIRST_FRAME}") if first_only else ("-threads", "auto")
    chosen = ("-select_streams", str(stream["index"]), "-show_entries", f"frame={','.join(names)}")
    return ffprobe(*chosen, *COMPACT, *extent)


def _packets_command(stream: dict[str, Any]) -> list[str]:
    chosen = ("-select_streams", str(stream["index"]), "-show_entries", "packet=pts,duration,flags")
    return ffprobe(*chosen, *COMPACT)


def _ticks(entry: dict[str, str], *names: str) -> int | None:
    """The first of these entries that is a number."""
    values = (entry.get(name, "") for name in names)
    return next((int(value) for value in values if value.lstrip("-").isdigit()), None)
