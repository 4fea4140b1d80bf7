"""X-AnyLabeling (and labelme): a folder of frames, each with a JSON file of the same name beside it.

A shape is a polygon, one for each part of a mask, its holes joined to its outline; `group_id` is the object's number,
from 1, which X-AnyLabeling takes for the track. Source: the files that X-AnyLabeling 4.2 writes and reads.
"""

import json
from collections.abc import Sequence
from typing import Any

from sam2_cog.masks import FrameMasks, ObjectMask, polygons
from sam2_cog.media.video import Frame
from sam2_cog.outputs.dataset import Dataset
from sam2_cog.outputs.facts import ObjectFacts
from sam2_cog.outputs.rings import join_rings

FORMAT_VERSION = "4.2.1"
TOLERANCE = 0.001
"""Of a simplified outline, as a share of its length."""


class XAnyLabelingOutput(Dataset):
    """See the module."""

    def _image_name(self, frame: Frame) -> str:
        return f"{self.clip}/{self.clip}_{frame.index:05d}"

    def _label(self, frame: Frame, image: str, masks: FrameMasks, facts: Sequence[ObjectFacts]) -> None:
        shapes = [
            self._shape(index, points, facts[index].score)
            for index, mask in enumerate(masks.objects)
            for points in _outlines(mask)
        ]
        content: dict[str, Any] = {
            "version": FORMAT_VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": image.rpartition("/")[2],
            "imageData": None,
            "imageHeight": self.spec.video.height,
            "imageWidth": self.spec.video.width,
            "description": "",
        }
        text = json.dumps(content, ensure_ascii=False, indent=1)
        self._zip.store(f"{self._image_name(frame)}.json", text.encode("utf-8"))

    def _shape(self, index: int, points: list[list[float]], score: float) -> dict[str, Any]:
        return {
            "label": self.categories[self.category_of[index]],
            "score": score,
            "points": points,
            "group_id": index + 1,
            "description": self.spec.names[index],
            "difficult": False,
            "shape_type": "polygon",
            "flags": {},
            "attributes": {},
            "kie_linking": [],
        }


def _outlines(mask: ObjectMask) -> list[list[list[float]]]:
    """Each part as [[x, y], ...] pixels of the frame."""
    if mask.tight is None:
        return []
    parts = polygons(mask.crop(), TOLERANCE)
    return [(join_rings([part.outline, *part.holes]) + mask.tight[:2]).tolist() for part in parts]
