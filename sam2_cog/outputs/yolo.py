"""YOLO segmentation, as Ultralytics trains from it: `images/`, `labels/` with the same stems, and `data.yaml`.

A line is `class x1 y1 x2 y2 ...` in shares of the frame's size, one line per object. A line has neither holes nor
parts, so that an object's outlines are joined to one (see `rings.one_polygon`). Vertices are pixel numbers plus a
quarter: loaders that cut decimals off and loaders that round both give the pixel back. A frame without objects has an
empty file.
"""

import json
from collections.abc import Sequence

from sam2_cog.masks import FrameMasks
from sam2_cog.media.video import Frame
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.rings import one_polygon

_INTO_THE_PIXEL = 0.25


class YoloOutput(Dataset):
    """See the module."""

    def _image_name(self, frame: Frame) -> str:
        return f"images/{self.clip}_{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        lines = []
        for index, mask in enumerate(masks.objects):
            ring = one_polygon(mask)
            if ring is not None:
                shares = (ring + _INTO_THE_PIXEL) / (mask.size[1], mask.size[0])
                numbers = " ".join(["%.6f"] * shares.size) % tuple(shares.ravel().tolist())
                lines.append(f"{self.category_of[index]} {numbers}\n")
        self._zip.store(f"labels/{self.clip}_{frame.index:05d}.txt", "".join(lines).encode("ascii"))

    def _complete(self) -> None:
        # no "path": Ultralytics then takes the folder of this file; names as JSON texts, which YAML reads too
        texts = (json.dumps(name, ensure_ascii=False) for name in self.categories)
        names = "".join(f"  {number}: {text}\n" for number, text in enumerate(texts))
        self._zip.store("data.yaml", f"train: images\nval: images\nnames:\n{names}".encode())
