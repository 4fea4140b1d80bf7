"""The log lines of the progress, by a clock that the test turns."""

import logging

import pytest

from sam2_cog.progress import LogProgress


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def lines(caplog: pytest.LogCaptureFixture, steps: list[tuple[float, int]], total: int) -> list[str]:
    """What is logged when so many frames are done at these seconds after the start."""
    clock = Clock()
    progress = LogProgress(clock)
    with caplog.at_level(logging.INFO, "sam2_cog"):
        for seconds, done in steps:
            clock.now = 100.0 + seconds
            progress(done, total)
    return caplog.messages


def test_a_line_says_frame_share_speed_and_seconds_left(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, [(2.0, 10)], 40) == ["frame 10 of 40 (25 %), 5.0 frames/s, 6 s left"]


def test_lines_come_at_most_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    steps = [(0.1 * number, number) for number in range(1, 36)]
    assert [line.split()[1] for line in lines(caplog, steps, 100)] == ["10", "20", "30"]


def test_the_last_frame_is_always_told(caplog: pytest.LogCaptureFixture) -> None:
    assert lines(caplog, [(0.4, 1), (0.5, 2)], 2) == ["frame 2 of 2 (100 %), 4.0 frames/s, 0 s left"]


def test_no_time_at_all_is_no_division_by_zero(caplog: pytest.LogCaptureFixture) -> None:
    assert len(lines(caplog, [(0.0, 1)], 1)) == 1
