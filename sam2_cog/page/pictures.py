"""Frames as JPEG files for the browser, made when they are asked for and kept within a budget of memory."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

import cv2
import numpy as np

QUALITY = 90
BUDGET_BYTES = 128 << 20
REACH = 16
"""How far ahead of the last one a frame is read by way of those between, which the browser then wants as well."""


class Pictures:
    """The JPEG files of one clip. Any thread may ask; frames are read one after the other."""

    def __init__(self, read: Callable[[int], np.ndarray], budget_bytes: int = BUDGET_BYTES) -> None:
        """read: gives the (H, W, 3) uint8 RGB image of a frame."""
        self._read = read
        self._budget = budget_bytes
        self._kept: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._next = 0
        self._lock = Lock()

    def jpeg(self, frame: int) -> bytes:
        """A frame as a JPEG file. The browser asks for several at once, which come in any order."""
        with self._lock:
            if frame not in self._kept:
                first = self._next if self._next <= frame < self._next + REACH else frame
                for index in range(first, frame + 1):
                    self._keep(index, jpeg(self._read(index)))
                self._next = frame + 1
            self._kept.move_to_end(frame)
            return self._kept[frame]

    def _keep(self, frame: int, data: bytes) -> None:
        self._bytes += len(data) - len(self._kept.pop(frame, b""))
        self._kept[frame] = data
        while self._bytes > self._budget and len(self._kept) > 1:
            self._bytes -= len(self._kept.popitem(last=False)[1])


def jpeg(image: np.ndarray) -> bytes:
    """The (H, W, 3) uint8 RGB image as a JPEG file."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return data.tobytes()
