"""When the frames of a clip are shown: what their time stamps say, put right where they cannot be true.

Stamps are ticks of the stream's time base, those of all frames in display order.

Joins: a transport or program stream that was made of several by `cat` has a clock that jumps. Its parts are put one
    after another, each with its own times.
Wrong stamps: those that do not fit an increasing order are left out, as few as can be, and replaced by even spacing
    between their neighbours. Where more than half are wrong, none is believed: all frames are spaced evenly.
"""

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

JUMP_BACK_SECONDS, JUMP_AHEAD_SECONDS = Fraction(1, 10), 10
"""A clock that may jump does so between stamps that go back or ahead by more than this: ffmpeg's own bounds."""

_FINEST = 100_000  # the largest denominator of a measured rate, or of a measured frame's duration


@dataclass(frozen=True)
class FrameTimes:
    """The frames' times, and what had to be done to the stamps."""

    pts: np.ndarray  # (frames,) int64 ticks, strictly increasing
    rate: Fraction  # frames a second: nominal where the frames keep to it, else their average
    shifts: tuple[int, ...]  # ticks by which the stamps were moved from the k-th jump of the clock on
    wrong: int  # stamps that were replaced


def put_right(stamps: np.ndarray, time_base: Fraction, nominal: Fraction, *, may_jump: bool) -> FrameTimes:
    """Times that increase from frame to frame, with as many of the given stamps as can be kept.

    Args:
        stamps: (frames,) int64 ticks of `time_base` seconds; at least one.
        nominal: the frame rate that the header names.
        may_jump: whether the container's clock may jump within a file.
    """
    shifts: tuple[int, ...] = ()
    frame = max(1, round(1 / nominal / time_base))
    if may_jump:
        stamps, shifts = _joined(stamps, time_base, frame)
    kept = _increasing(stamps)
    wrong = len(stamps) - len(kept)
    if 2 * wrong > len(stamps):
        even = stamps[0] + np.round(np.arange(len(stamps)) * float(1 / nominal / time_base)).astype(np.int64)
        return FrameTimes(even, nominal, (), len(stamps))
    pts = _mended(stamps, kept, frame) if wrong else stamps
    return FrameTimes(pts, _measured_rate(pts, time_base, nominal), shifts, wrong)


def _joined(stamps: np.ndarray, time_base: Fraction, frame: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The parts of a clock that jumps, one after another, each `frame` ticks behind the one before."""
    steps = np.diff(stamps)
    jumps = np.flatnonzero((steps < -float(JUMP_BACK_SECONDS / time_base)) | (steps > JUMP_AHEAD_SECONDS / time_base))
    moved, shifts = stamps.copy(), []
    for jump in jumps:
        shifts.append(int(moved[jump] + frame - stamps[jump + 1]))
        moved[jump + 1 :] = stamps[jump + 1 :] + shifts[-1]
    return moved, tuple(shifts)


def _increasing(stamps: np.ndarray) -> np.ndarray:
    """Indices of the most stamps that increase and leave a tick for each frame between them.

    The longest non-decreasing subsequence of stamps[k] - k, by patience sorting. It goes from the last frame to the
    first, so that of a stamp and its repetition the first is kept.
    """
    room = stamps - np.arange(len(stamps))
    if (np.diff(room) >= 0).all():
        return np.arange(len(stamps))
    lowest: list[int] = []  # of the chains of length 1, 2, ...: the smallest negated value that one can end with
    ends: list[int] = []  # and where that value is
    after = np.full(len(room), -1)
    for index in range(len(room) - 1, -1, -1):
        length = bisect_right(lowest, -room[index])
        lowest[length : length + 1] = [-room[index]]
        ends[length : length + 1] = [index]
        after[index] = ends[length - 1] if length else -1
    chain = [ends[-1]]
    while after[chain[-1]] >= 0:
        chain.append(int(after[chain[-1]]))
    return np.array(chain)


def _mended(stamps: np.ndarray, kept: np.ndarray, frame: int) -> np.ndarray:
    """The kept stamps, evenly spaced ones between them, and ones `frame` ticks apart before and after them."""
    index = np.arange(len(stamps))
    pts: np.ndarray = np.floor(np.interp(index, kept, stamps[kept] - kept)).astype(np.int64) + index
    pts[kept] = stamps[kept]
    first, last = int(kept[0]), int(kept[-1])
    pts[:first] = stamps[first] - frame * (first - index[:first])
    pts[last + 1 :] = stamps[last] + frame * (index[last + 1 :] - last)
    return pts


def _measured_rate(pts: np.ndarray, time_base: Fraction, nominal: Fraction) -> Fraction:
    """The nominal rate if the frames keep to it over the whole clip to within a tick, else their average."""
    span, steps = int(pts[-1] - pts[0]) * time_base, len(pts) - 1
    if steps == 0 or abs(span - steps / nominal) <= time_base:
        return nominal
    if steps > span:
        return (steps / span).limit_denominator(_FINEST)
    return 1 / (span / steps).limit_denominator(_FINEST)
