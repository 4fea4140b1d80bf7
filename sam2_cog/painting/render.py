"""Paints masks: a frame and its masks become the picture that `mask_type` and `annotation_type` ask for."""

from collections.abc import Sequence
from typing import get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from sam2_cog.masks import Box, Mask, ObjectMask, mask_union
from sam2_cog.painting.captions import Colour, Picture, draw_labels, place_label
from sam2_cog.painting.cutout import cut_out
from sam2_cog.request import CHROMA_GREEN, AnnotationType, MaskType

FILL_OPACITY = 0.45
"""The colour is plain to see, and so is what lies under it."""
LINE_SHARE = 1 / 320
"""Width of outlines and boxes as a share of the frame's shorter side: 1 pixel at 240p, 2 at 720p, 7 at 2160p."""

# Eight clear colours by hand, then sixteen found by always taking the sRGB colour of middling lightness and chroma that
# is farthest, in CIELAB, from all before it. Any two are at least 32 apart (CIE76), where 2.3 is just noticeable.
_PALETTE = bytes.fromhex(
    "ff9a1f 2f8fff f0468c 2fc76a 9b5de5 ffd93d e63b2e 22c7d6 675e2d efc4ea cedca8 714d80"
    "e99578 6c8e03 0f825e 036884 fd95f5 993845 aaec58 981e87 9f4b0b 80bdfb 41f4cf bfa14c"
)
PALETTE_SIZE = len(_PALETTE) // 3
_SUBPIXEL_BITS = 4


def object_colour(index: int) -> Colour:
    """The (red, green, blue) of the object with this 0-based index: 24 colours, then lighter, then darker ones."""
    turn, position = divmod(index, PALETTE_SIZE)
    red, green, blue = _PALETTE[3 * position : 3 * position + 3]
    towards, share = ((0, 0.0), (255, 0.5), (0, 0.45))[turn % 3]
    mixed = (round(channel + (towards - channel) * share) for channel in (red, green, blue))
    return next(mixed), next(mixed), next(mixed)


class Painter:
    """Paints the frames of one video. Object i has the i-th name and `object_colour(i)` on every frame."""

    def __init__(
        self,
        names: Sequence[str],
        width: int,
        height: int,
        mask_type: MaskType,
        annotation_type: AnnotationType,
        background: Colour = CHROMA_GREEN,
    ) -> None:
        """The sizes are the frames', in pixels; only `highlighted` asks for `annotation_type`.

        background: (red, green, blue) behind the objects of `greenscreen`.
        """
        assert mask_type in get_args(MaskType) and annotation_type in get_args(AnnotationType)
        self._mask_type = mask_type
        self._fills = annotation_type != "box"
        self._boxes = annotation_type != "mask"
        self._colours = tuple(object_colour(index) for index in range(len(names)))
        self._background = np.full((height, width, 3), background, np.uint8)  # a copy is quicker than to fill anew
        self._line = max(1, round(min(width, height) * LINE_SHARE))
        labelled = self._boxes and mask_type == "highlighted"
        self._labels = draw_labels(names, self._colours, width, height) if labelled else ()

    def paint(self, image: Picture, masks: Sequence[ObjectMask], soft: NDArray[np.float16] | None = None) -> Picture:
        """A new picture of the (H, W, 3) uint8 RGB frame, which is left as it is, and the masks of all objects.

        soft: the masks' logits as in `FrameMasks.soft`; only `cutout` reads them, for its edges.
        Returns (H, W, 3) RGB; (H, W, 4) RGBA for `cutout`.
        """
        size = image.shape[0], image.shape[1]
        if self._mask_type == "binary":
            return cv2.cvtColor(mask_union(masks, size), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)
        if self._mask_type == "greenscreen":
            return cv2.copyTo(image, mask_union(masks, size), self._background.copy()).astype(np.uint8, copy=False)
        if self._mask_type == "cutout":
            return cut_out(image, masks, soft)
        return self._highlight(image.copy(), masks)

    def _highlight(self, canvas: Picture, masks: Sequence[ObjectMask]) -> Picture:
        """All fills, then all outlines, boxes and names, so that no object covers what belongs to another."""
        if self._fills:
            shown = [(index, mask.tight) for index, mask in enumerate(masks) if mask.tight]
            for index, tight in shown:
                _fill(canvas, masks[index].crop(), tight, self._colours[index])
            for index, tight in shown:
                _outline(canvas, masks[index].crop(), tight, self._colours[index], self._line)
        if self._boxes:
            boxes = [(index, mask.box) for index, mask in enumerate(masks) if mask.box]
            for index, (x0, y0, x1, y1) in boxes:
                cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), self._colours[index], self._line)
            self._write_names(canvas, boxes)
        return canvas

    def _write_names(self, canvas: Picture, shown: Sequence[tuple[int, Box]]) -> None:
        height, width = canvas.shape[:2]
        taken: list[Box] = []
        for index, box in shown:
            label = self._labels[index]
            place = place_label(label.size, box, (width, height), taken)
            label.paste(canvas, place[0], place[1])
            taken.append(place)


def _fill(canvas: Picture, crop: Mask, tight: Box, colour: Colour) -> None:
    """Lay the translucent colour over the mask, in place; `crop` is what of it is in its box `tight`."""
    x0, y0, x1, y1 = tight
    part = canvas[y0:y1, x0:x1]
    tinted = cv2.convertScaleAbs(part, alpha=1 - FILL_OPACITY)
    cv2.add(tinted, np.array([*colour, 0]) * FILL_OPACITY, dst=tinted)
    cv2.copyTo(tinted, crop.view(np.uint8), part)


def _outline(canvas: Picture, crop: Mask, tight: Box, colour: Colour, line: int) -> None:
    """Draw the mask's rims, holes too, in place, as smooth anti-aliased lines `line` pixels wide."""
    rims, _ = cv2.findContours(crop.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=tight[:2])
    curves = [_smooth(np.asarray(rim, dtype=np.float32), line + 1) for rim in rims]
    cv2.polylines(canvas, curves, True, colour, line, cv2.LINE_AA, _SUBPIXEL_BITS)


def _smooth(rim: NDArray[np.float32], reach: int) -> NDArray[np.int32]:
    """A closed rim, (N, 1, 2) pixels, without its stairs, in fixed point: the mean over `reach` pixels each way.

    Of such a curve every few points are enough; the time to draw it goes with their number.
    """
    if len(rim) > 2 * reach:
        ring = np.concatenate((rim[-reach:], rim, rim[:reach]))
        rim = cv2.blur(ring, (1, 2 * reach + 1))[reach : -reach : reach + reach // 2].astype(np.float32)
    return np.rint(rim.reshape(-1, 1, 2) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
