"""A copy of a stream that decoding can begin in the middle of, for files without an index: MPEG-TS, AVI, FLV and such.

Its packets are copied, not decoded, into a NUT file, which holds what ffmpeg reads, keeps time stamps to the tick and
ends in an index. The file has no name: it is gone with the object, whatever happens.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO

import ffmpeg
import numpy as np

from sam2_cog import limits
from sam2_cog.media.clip_info import VideoInfo
from sam2_cog.media.ffmpeg_run import COMPACT, SOURCE, compact_entries, ffprobe, input_options, running, start
from sam2_cog.media.stored_order import StoredOrder


@dataclass(frozen=True)
class IndexedCopy:
    """A copied stream, which is the only one of its file."""

    file: IO[bytes]
    time_base: Fraction  # seconds a tick
    stamps: np.ndarray  # (frames,) int64 ticks of every frame in display order, strictly increasing
    key_frames: np.ndarray  # indices of the frames where decoding may start
    counted: bool  # the packets have no times of display: the stamps are in their order, and those of key frames right

    @property
    def path(self) -> Path:
        """By this the file can be opened as long as the object lives."""
        return _path(self.file)


def copy_stream(info: VideoInfo) -> IndexedCopy | None:
    """Copy the stream of a clip all of which was decoded; None where that gains nothing or cannot be done.

    It cannot where a packet is not a frame, where packets have no times of display and the order of the frames is not
    known either, or where the disk is full.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115  closed with the object
    if _copied(info.path, info.stream_index, file):
        time_base, packets, held_back = _packets(file)
        counted = held_back > 0 and bool((np.diff(packets[:, 0]) > 0).all())  # AVI has none, ffmpeg counts the packets
        stamps, marked = packets[np.argsort(packets[:, 0], kind="stable")].T
        key_frames = np.flatnonzero(marked)
        if counted:
            key_frames = _fresh_starts(key_frames, info.order, held_back)
        key_frames = np.intersect1d(key_frames, info.key_frames)  # only its packet may call a frame so
        if len(key_frames) > 1 and _same_times(stamps, float(time_base), info.frame_times):
            return IndexedCopy(file, time_base, stamps, key_frames, counted)
    file.close()
    return None


def _fresh_starts(key_packets: np.ndarray, order: StoredOrder | None, held_back: int) -> np.ndarray:
    """The frames whose packet has the same number, where a decoder that holds so many back can begin to count."""
    if order is None or order.held_back > held_back:
        return key_packets[:0]
    return np.intersect1d(key_packets[:-1], order.fresh_starts)  # ffmpeg's seek to a NUT's last one lands before it


def _same_times(stamps: np.ndarray, tick: float, seconds: np.ndarray) -> bool:
    """Whether the packets are at the frames' times, but for a constant and for rounding."""
    if len(stamps) != len(seconds) or not (np.diff(stamps) > 0).all():
        return False
    late = (stamps - stamps[0]) * tick - (seconds - seconds[0])
    return bool(np.abs(late).max() <= np.diff(seconds).min(initial=np.inf) / 4)


def _copied(path: Path, stream_index: int, file: IO[bytes]) -> bool:
    """Whether ffmpeg has written the whole copy."""
    stream = ffmpeg.input(SOURCE, nostdin=None, fflags="+genpts", **input_options())[str(stream_index)]
    times = {"copyts": None, "avoid_negative_ts": "disabled"}
    command = ffmpeg.output(stream, "file:/dev/stdout", format="nut", codec="copy", y=None, **times).compile()
    with path.open("rb") as source:
        process = start(command, stdin=source, stdout=file, stderr=subprocess.DEVNULL)
        try:
            return process.wait(10 * limits.STALL_SECONDS.value) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            process.kill()
            process.wait()


def _packets(file: IO[bytes]) -> tuple[Fraction, np.ndarray, int]:
    """The stream's seconds a tick; (packets, 2) int64: each packet's time, and 1 where it is a key frame's; and how
    many frames a decoder will hold back, because they may be stored in another order than they are shown in.
    """
    time_base, found, held_back = Fraction(1), [], 0
    entries = "packet=pts,flags:stream=time_base,has_b_frames"
    with running(ffprobe("-show_entries", entries, *COMPACT), _path(file)) as (process, _):
        for line in process.stdout:
            entry = compact_entries(line)
            if "flags" in entry and entry["pts"].lstrip("-").isdigit():
                found.append((int(entry["pts"]), int("K" in entry["flags"])))
            elif "time_base" in entry:
                time_base, held_back = Fraction(entry["time_base"]), int(entry.get("has_b_frames", "0"))
    return time_base, np.array(found, np.int64).reshape(-1, 2), held_back


def _path(file: IO[bytes]) -> Path:
    return Path(f"/proc/self/fd/{file.fileno()}")
