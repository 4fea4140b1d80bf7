"""Time stamps of every kind of disorder, put right."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.media.frame_times import FrameTimes, put_right

MILLISECOND = Fraction(1, 1000)


def right(stamps: list[int], rate: Fraction | int = 25, *, may_jump: bool = False) -> FrameTimes:
    return put_right(np.array(stamps, np.int64), MILLISECOND, Fraction(rate), may_jump=may_jump)


@given(st.lists(st.integers(1, 5000), max_size=40), st.integers(-(10**9), 10**9))
def test_stamps_that_increase_are_kept(steps: list[int], first: int) -> None:
    stamps = (first + np.cumsum([0, *steps])).tolist()
    times = right(stamps)
    assert times.pts.tolist() == stamps
    assert (times.shifts, times.wrong) == ((), 0)


@given(st.integers(20, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(-3000, 5000)), max_size=5))
def test_a_few_wrong_stamps_are_mended_and_the_others_kept(count: int, wrong: list[tuple[int, int]]) -> None:
    """Whatever the wrong ones say: all increases, and at most as many are replaced as were wrong."""
    stamps = [40 * index for index in range(count)]
    for index, value in wrong:
        stamps[index % count] = value
    times = right(stamps)
    assert (np.diff(times.pts) > 0).all() and len(times.pts) == count
    assert (times.pts != stamps).sum() <= times.wrong <= len(wrong)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=30), st.booleans())
def test_any_stamps_give_times_that_increase(stamps: list[int], may_jump: bool) -> None:
    times = right(stamps, may_jump=may_jump)
    assert (np.diff(times.pts) > 0).all() and len(times.pts) == len(stamps)
    assert times.rate > 0


def test_a_repeated_stamp_is_mended_alone() -> None:
    stamps = [40 * index for index in range(40)]
    stamps[20] = stamps[19]
    times = right(stamps)
    assert times.pts.tolist() == [40 * index for index in range(40)]
    assert (times.wrong, times.rate) == (1, 25)


def test_wrong_stamps_at_the_ends_are_mended_by_the_frame_rate() -> None:
    assert right([900, 40, 80, 120]).pts.tolist() == [0, 40, 80, 120]
    assert right([0, 40, 80, 7]).pts.tolist() == [0, 40, 80, 120]


def test_where_most_stamps_are_wrong_frames_are_spaced_evenly() -> None:
    times = right([500] * 10)
    assert times.pts.tolist() == [500 + 40 * index for index in range(10)]
    assert (times.wrong, times.rate) == (10, 25)


def test_a_clock_that_jumps_goes_on_where_it_was() -> None:
    """Back to its beginning, an hour ahead, and back by an hour and a second."""
    part = np.arange(5) * 40
    stamps = np.concatenate([part + 1400, part + 1400, part + 3_600_000, part + 400]).tolist()
    times = right(stamps, may_jump=True)
    assert times.pts.tolist() == [1400 + 40 * index for index in range(20)]
    assert times.shifts == (200, 1800 - 3_600_000, 2000 - 400)
    assert (times.wrong, times.rate) == (0, 25)


def test_only_a_clock_that_may_jump_is_taken_to_jump() -> None:
    stamps = [0, 40, 80, 20_000, 20_040]
    assert right(stamps).pts.tolist() == stamps
    assert right(stamps, may_jump=True).pts.tolist() == [0, 40, 80, 120, 160]


@pytest.mark.parametrize("days", [1, 10, 3650])
def test_frames_far_apart_have_a_rate(days: int) -> None:
    """The average of three frames is one in so many days, which no denominator of a hundred thousand can say."""
    times = right([0, days * 86_400_000, 2 * days * 86_400_000])
    assert times.rate == Fraction(1, days * 86_400)


def test_rounded_stamps_have_the_nominal_rate() -> None:
    stamps = [round(index * 1001 / 30) for index in range(300)]
    assert right(stamps, Fraction(30000, 1001)).rate == Fraction(30000, 1001)
