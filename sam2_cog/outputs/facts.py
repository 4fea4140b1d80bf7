"""What is told of each object on each frame, and which frames a person should look at first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from sam2_cog.masks import Box, FrameMasks, ObjectMask, mask_iou

MOST_NAMED = 5
"""So many frames are named at most."""
APART = 12
"""Frames nearer than this to a named one are the same trouble."""
DOUBTFUL = 0.5
"""A frame whose doubt (see `Watch`) is below is not named."""


@dataclass(frozen=True)
class ObjectFacts:
    """One object on one frame. The last two show drift against the frame before; None where it has nothing to say."""

    index: int
    mask: ObjectMask
    score: float
    """The network's own estimate of the mask's IoU with the true one, 0 to 1."""
    presence: float
    """The network's logit of the object being on the frame."""
    area_change: float | None
    """Area by the area before, less 1: 0 is the same, -0.5 half of it."""
    iou_before: float | None
    """Intersection over union of the two masks; low means fast or gone astray."""

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return self.mask.area

    @property
    def visible(self) -> bool:
        """Whether the mask has any pixel."""
        return self.mask.tight is not None

    @property
    def box(self) -> Box | None:
        """(x0, y0, x1, y1), half-open, without specks."""
        return self.mask.box

    @property
    def centroid(self) -> tuple[float, float] | None:
        """Mean (x, y) of the mask's pixels, (0, 0) being the centre of the first one."""
        if self.mask.tight is None:
            return None
        moments = cv2.moments(self.mask.crop().view(np.uint8), True)
        left, top = self.mask.tight[:2]
        return round(moments["m10"] / moments["m00"] + left, 2), round(moments["m01"] / moments["m00"] + top, 2)

    @property
    def doubt(self) -> float:
        """0 to 1: 1 for an object that comes or goes, else what is missing from score and steadiness to 1."""
        if self.iou_before is None:
            return 1 - self.score if self.visible else 0.0
        if not self.visible or self.area_change is None:
            return 1.0
        return 1 - self.score * self.iou_before**0.5

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        shape = {"visible": self.visible, "area": self.area, "box": self.box, "centroid": self.centroid}
        drift = {"area_change": self.area_change, "iou_before": self.iou_before}
        return {"index": self.index, **shape, "score": self.score, "presence": self.presence, **drift}


@dataclass(frozen=True)
class Doubt:
    """A frame to look at."""

    frame_index: int
    name: str
    reason: str
    doubt: float


class Watch:
    """Sees every frame of a clip in order; keeps only the masks of the last one and the few worst frames."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._before: tuple[ObjectMask, ...] | None = None
        self._worst: list[Doubt] = []

    @property
    def worst(self) -> tuple[Doubt, ...]:
        """The frames to look at first, the worst first."""
        return tuple(sorted(self._worst, key=lambda one: -one.doubt))

    def see(self, masks: FrameMasks) -> tuple[ObjectFacts, ...]:
        """The facts of a frame, in the order of its objects."""
        found = tuple(self._facts(index, masks) for index in range(len(masks.objects)))
        self._before = masks.objects
        for facts in found:
            if facts.doubt > DOUBTFUL:
                self._note(Doubt(masks.frame_index, self._names[facts.index], _reason(facts), facts.doubt))
        return found

    def _facts(self, index: int, masks: FrameMasks) -> ObjectFacts:
        mask = masks.objects[index]
        before = self._before[index] if self._before else None
        compared = before is not None and bool(before.area or mask.area)
        return ObjectFacts(
            index,
            mask,
            round(float(masks.scores[index]), 4),
            round(float(masks.presence[index]), 3),
            round(mask.area / before.area - 1, 4) if before is not None and before.area else None,
            round(mask_iou(before, mask), 4) if before is not None and compared else None,
        )

    def _note(self, new: Doubt) -> None:
        """Keep the new one if it is among the worst; of neighbours only the worst stays."""
        near = [one for one in self._worst if abs(one.frame_index - new.frame_index) < APART]
        if any(one.doubt >= new.doubt for one in near):
            return
        kept = [one for one in self._worst if one not in near]
        self._worst = sorted([*kept, new], key=lambda one: -one.doubt)[:MOST_NAMED]


def look_first(worst: Sequence[Doubt]) -> str:
    """The frames to look at as a sentence; empty where there are none."""
    places = [f"{one.frame_index} ({one.name}: {one.reason})" for one in worst]
    return f"Look first at frame {', '.join(places)}." if places else ""


def _reason(facts: ObjectFacts) -> str:
    if not facts.visible:
        return "gone"
    if facts.iou_before is not None and facts.area_change is None:
        return "there again"
    if facts.iou_before is not None and facts.iou_before < facts.score:
        return f"IoU {facts.iou_before:.2f} with the frame before"
    return f"score {facts.score:.2f}"
