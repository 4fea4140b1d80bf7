"""In which order the frames of a stream are stored, for containers such as AVI, whose packets do not say when theirs is
shown: H.264 and HEVC store a frame before those that are predicted from it, of which some are shown earlier.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StoredOrder:
    """What of the order matters to whoever begins to decode in the middle, and counts the frames from there."""

    fresh_starts: np.ndarray  # indices of the key frames that all others are before, or behind, as stored and as shown
    held_back: int  # frames that a decoder must hold back at least, so that it hands all of them on in order


def stored_order(positions: np.ndarray, key_frames: np.ndarray) -> StoredOrder | None:
    """The order of a stream; None where it is not known.

    Args:
        positions: (frames,) int64 byte at which the packet of each frame, in display order, begins; negative: unknown.
        key_frames: indices of the frames that the decoder called key frames.
    """
    if positions.min() < 0 or len(np.unique(positions)) < len(positions):
        return None
    places = np.argsort(np.argsort(positions))
    # where no frame up to this one is stored behind it, they are all that is stored before it
    parts = (places == np.arange(len(places))) & (places == np.maximum.accumulate(places))
    return StoredOrder(key_frames[parts[key_frames]], int((places - np.arange(len(places))).max()))
