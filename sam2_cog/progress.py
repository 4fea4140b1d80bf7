"""Says how far the work is, in log lines: Cog's server passes on whole lines only, so there is no bar."""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called after each frame with (frames done, frames to do); frames that are tracked in both directions count twice."""


def quiet(done: int, total: int) -> None:
    """Say nothing, where a line for each clip is enough."""


class LogProgress:
    """A log line at most once a second: frame, share, frames per second, seconds left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begin = self._last = clock()

    def __call__(self, done: int, total: int) -> None:
        """Log if a second has gone by since the last line, and when all is done."""
        now = self._clock()
        if now - self._last < 1 and done < total:
            return
        self._last = now
        rate = done / max(now - self._begin, 1e-9)
        left = (total - done) / rate
        logger.info("frame %d of %d (%.0f %%), %.1f frames/s, %.0f s left", done, total, 100 * done / total, rate, left)
