"""Single frames by number, for somebody who looks around in it."""

from collections import OrderedDict
from collections.abc import Generator
from threading import Lock

import numpy as np

from sam2_cog.errors import InvalidRequest
from sam2_cog.media.footage import Footage
from sam2_cog.media.video import Frame

KEPT_BYTES = 1 << 26
"""How much of what was read last is kept: 10 frames of 1080p; two frames at least and 16 at most."""

REACH = 16
"""How many frames ahead the decoder goes on rather than being started anew."""


class FrameReader:
    """Reads any frame; the next ones come from the decoder that is still running, the last ones out of memory.

    Safe in several threads. Close it, or ffmpeg waits on.
    """

    def __init__(self, footage: Footage) -> None:
        self._footage = footage
        self._lock = Lock()
        self._most = min(max(KEPT_BYTES // (footage.width * footage.height * 3), 2), 16)
        self._images: OrderedDict[int, np.ndarray] = OrderedDict()
        self._frames: Generator[Frame, None, None] | None = None
        self._next = 0
        self._closed = False

    def read(self, index: int) -> np.ndarray:
        """The (H, W, 3) uint8 RGB image of frame `index`, 0 to frame_count - 1; not to be changed.

        Raises:
            UnreadableVideo: the file changed or broke since it was probed.
            InvalidRequest: the reader is closed.
        """
        with self._lock:
            if self._closed:
                raise InvalidRequest(f"video: {self._footage.info.path.name} is closed, open it again")
            if index not in self._images:
                try:
                    self._advance(index)
                except BaseException:
                    self._stop()
                    raise
            self._images.move_to_end(index)
            return self._images[index]

    def close(self) -> None:
        """End the decoder."""
        with self._lock:
            self._closed = True
            self._stop()

    def _advance(self, index: int) -> None:
        """Decode up to a frame; somebody who steps back reads the frames before it next."""
        if self._frames is None or not self._next <= index < self._next + REACH:
            stepped_back = self._next - self._most <= index < self._next
            begin = max(0, index - self._most + 1) if stepped_back else index
            self._stop()
            self._frames, self._next = self._footage.read(begin), begin
        for frame in self._frames:
            self._next = frame.index + 1
            frame.image.setflags(write=False)
            self._images[frame.index] = frame.image
            if len(self._images) > self._most:
                self._images.popitem(last=False)
            if frame.index == index:
                return

    def _stop(self) -> None:
        if self._frames is not None:
            self._frames.close()
        self._frames = None
