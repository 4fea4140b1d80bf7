"""A picture of the test card before and after HDR and wide gamut: `python -m tools.colour_card docs/colours.png`.

A row for each kind of clip. Left the card, in the middle what the numbers in the file look like when they are taken for
BT.709, right what the project makes of them.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sam2_cog.media.video import probe, read_frames
from tests.clips import CARD
from tests.wide_colours import KINDS, PHONE, write_wide_clip

_SQUARE, _GAP = 40, 12


def main() -> None:
    """Write the picture to the file that is named."""
    greys = np.linspace(0, 255, len(CARD)).round().astype(np.uint8)[:, None].repeat(3, axis=1)
    card = np.stack([CARD, CARD // 2, greys]).repeat(_SQUARE, axis=0).repeat(_SQUARE, axis=1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            info = probe(write_wide_clip(Path(folder) / "card.mp4", card[None], kind, PHONE))
            (before,), (after,) = read_frames(replace(info, colours=None)), read_frames(info)
            images = np.stack([card, before.image, after.image])
            margin = [(0, 0), (_GAP // 2,) * 2, (_GAP // 2,) * 2, (0, 0)]
            row = np.concatenate(list(np.pad(images, margin, constant_values=255)), axis=1)
            title = f"{kind.transfer}, {kind.primaries}: the card, its numbers as BT.709, and as they are read"
            band = np.full((26, row.shape[1], 3), 255, np.uint8)
            cv2.putText(band, title, (_GAP // 2, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
            rows += [band, row]
    cv2.imwrite(sys.argv[1], cv2.cvtColor(np.concatenate(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
