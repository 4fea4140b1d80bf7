"""The objects on transparency: straight (not premultiplied) alpha, with an edge as fine as the network drew it.

Alpha is 255 inside a mask and 0 outside. Only on the pixels on either side of its edge it is the share of the pixel
that the object covers, from the distance to the line where the logits are zero: logit / slope, in pixels. There it is
above 127 exactly where the mask is set. The frame's colours are kept where alpha is not 0 and in a band around it,
because codecs share colours between neighbouring pixels; farther out the picture is black, which costs next to nothing.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_cog.masks import ObjectMask
from sam2_cog.painting.captions import Picture

BAND = 16
"""Width in pixels of what is kept around the objects: a block of the codecs."""
_NEIGHBOURS = np.ones((3, 3), np.uint8)
_AROUND = np.ones((2 * BAND + 1, 2 * BAND + 1), np.uint8)


def cut_out(image: Picture, masks: Sequence[ObjectMask], soft: NDArray[np.float16] | None) -> Picture:
    """The (H, W, 3) RGB frame with the objects' alpha as (H, W, 4) RGBA uint8.

    soft: (objects, h, w) logits of the masks; without them an edge is smoothed by the mask's own neighbouring pixels.
    """
    alpha = np.zeros(image.shape[:2], np.uint8)
    for index, mask in enumerate(masks):
        if mask.tight is not None:
            _lay(alpha, mask, None if soft is None else soft[index])
    kept = cv2.copyTo(image, cv2.dilate(alpha, _AROUND))
    return cv2.merge((*cv2.split(kept), alpha)).astype(np.uint8, copy=False)


def _lay(alpha: NDArray[np.uint8], mask: ObjectMask, logits: NDArray[np.float16] | None) -> None:
    """Lay one object's alpha, where it is more, over that of the objects before it, in place."""
    assert mask.tight is not None
    (height, width), (x0, y0, x1, y1) = mask.size, mask.tight
    rows, columns = slice(max(0, y0 - 2), min(height, y1 + 2)), slice(max(0, x0 - 2), min(width, x1 + 2))
    inside = mask.full()[rows, columns].view(np.uint8) * np.uint8(255)
    if logits is None:
        share = cv2.blur(inside, (3, 3)).astype(np.float32)
    else:
        share = _covered(np.asarray(cv2.resize(logits.astype(np.float32), (width, height)), np.float32)[rows, columns])
    share = np.where(inside, np.maximum(share, 128), np.minimum(share, 127)).astype(np.uint8)
    rim = cv2.dilate(inside, _NEIGHBOURS) != cv2.erode(inside, _NEIGHBOURS)
    part = alpha[rows, columns]
    np.maximum(part, np.where(rim, share, inside), out=part)


def _covered(logits: NDArray[np.floating]) -> NDArray[np.floating]:
    """How much of each pixel, 0 to 255, lies where the (h, w) logits are positive, if their zero line is straight."""
    across, down = (cv2.Sobel(logits, cv2.CV_32F, dx, 1 - dx, ksize=1) / 2 for dx in (1, 0))
    distance = logits / np.maximum(np.hypot(across, down), 1e-6)  # flat: no edge is near
    covered: NDArray[np.floating] = np.rint(np.clip(distance + 0.5, 0, 1) * 255)
    return covered
