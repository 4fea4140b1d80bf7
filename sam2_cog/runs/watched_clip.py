"""A clip as a run reads it: decoded ahead, counted, timed, and given up at the deadline."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing

from sam2_cog.engine.passes import Passes
from sam2_cog.limits import Deadline
from sam2_cog.media.shots import Shots
from sam2_cog.media.video import Frame, VideoInfo, pick_frames, read_frames
from sam2_cog.overlap import read_ahead
from sam2_cog.progress import Progress
from sam2_cog.prompts import ObjectPrompts, prompt_frames
from sam2_cog.request import Request

MOST_FRAMES_WAITING = 8
MOST_BYTES_WAITING = 1 << 26
"""What may wait between reading and tracking, and between tracking and writing: 8 frames of 1080p, 2 of 4K."""


class WatchedClip:
    """The clip as the tracker reads it; counts frames, and seconds of waiting for them; ends at the deadline."""

    def __init__(self, info: VideoInfo, total: int, progress: Progress, deadline: Deadline) -> None:
        self.width, self.height, self.frame_count = info.width, info.height, info.frame_count
        self.seconds = 0.0
        self._info = info
        self._done, self._total = 0, total
        self._progress = progress
        self._deadline = deadline

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """Yield the frames [start, stop)."""
        with closing(self.watch(self._frames(start, stop))) as frames:
            for frame in frames:
                if stop is not None:  # a frame of the last pass, which reads to the end, counts when it is written
                    self.count_frame()
                yield frame

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        """Yield the frames with these ascending indices."""
        with closing(self.watch(self._picked(indices))) as frames:
            for frame in frames:
                self.count_frame()
                yield frame

    def watch(self, frames: Generator[Frame, None, None]) -> Generator[Frame, None, None]:
        """Yield frames from elsewhere, and count the seconds of waiting for them."""
        with closing(frames):
            while True:
                begin = time.perf_counter()
                frame = next(frames, None)
                self.seconds += time.perf_counter() - begin
                if frame is None:
                    return
                yield frame

    def _frames(self, start: int, stop: int | None) -> Generator[Frame, None, None]:
        """Decoded in a thread of its own, unless they are too large to wait."""
        begin = time.perf_counter()
        frames, depth = self._source(start, stop), frames_between_stages(self._info)
        self.seconds += time.perf_counter() - begin  # of copying what lies before them
        return read_ahead(frames, depth) if depth else frames

    def _source(self, start: int, stop: int | None) -> Generator[Frame, None, None]:
        return read_frames(self._info, start, stop)

    def _picked(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        return pick_frames(self._info, indices)

    def count_frame(self) -> None:
        """One frame more is done."""
        self._deadline.check()
        self._done += 1
        self._progress(self._done, self._total)


class WatchedShots(WatchedClip):
    """The same of several shots."""

    def __init__(self, shots: Shots, total: int, progress: Progress, deadline: Deadline) -> None:
        super().__init__(shots.largest, total, progress, deadline)
        self.frame_count = shots.frame_count
        self._shots = shots

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of a frame."""
        info = self._shots.videos[self._shots.place(index)[0]]
        return info.height, info.width

    def _source(self, start: int, stop: int | None) -> Generator[Frame, None, None]:
        return self._shots.read(start, stop)

    def _picked(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        return self._shots.pick(indices)


def frames_between_stages(info: VideoInfo) -> int:
    """How many frames may wait between two stages; 0: so large that the stages take turns instead."""
    return min(MOST_FRAMES_WAITING, MOST_BYTES_WAITING // (info.width * info.height * 3))


def frames_to_read(request: Request, count: int, objects: tuple[ObjectPrompts, ...], step: int = 0) -> int:
    """Prompt frames are read ahead, and the frames up to the first of them once more for the backward pass.

    step: how many steps of the passes are done; then there is no prompt frame to read.
    """
    passes = Passes.of(objects, count, request.propagation)
    return (0 if step else len(prompt_frames(objects))) + max(0, passes.turn - step) + count
