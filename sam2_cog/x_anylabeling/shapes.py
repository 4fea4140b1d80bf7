"""X-AnyLabeling's prompts and shapes <-> ours."""

import math
from typing import Any

from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.answers import Json
from sam2_cog.masks import SPECK_PERCENT, FrameMasks, polygons
from sam2_cog.media.video import VideoInfo
from sam2_cog.prompts import FramePrompt, ObjectPrompts

LABEL = "AUTOLABEL_OBJECT"
"""The client's placeholder: what it renames when the object is finished."""
FINENESS = 0.001
"""The client's default of `epsilon_factor`, a polygon's tolerance as a share of its length."""


def read_prompt(body: Json, info: VideoInfo) -> tuple[ObjectPrompts, ...]:
    """The one object that a prompt describes; its points are shares (0 to 1) of the frame's width and height."""
    if body.get("text_prompt"):
        raise InvalidRequest("text_prompt: this server finds objects by points, not by text")
    frame = body.get("frame_index")
    if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame < info.frame_count:
        raise InvalidRequest(f"frame_index: {frame!r} is not allowed, it must be from 0 to {info.frame_count - 1}")
    shares, labels = body.get("points"), body.get("point_labels")
    if not isinstance(shares, list) or not isinstance(labels, list) or len(shares) != len(labels):
        raise InvalidRequest("points: there must be as many points as point_labels")
    if any(label not in (0, 1) for label in labels):
        raise InvalidRequest("point_labels: a label is 1 (on the object) or 0 (not on it)")
    if 1 not in labels:
        raise InvalidRequest("point_labels: every point is negative, but at least one must be on the object")
    points = tuple(_point(share, info) for share in shares)
    prompt = FramePrompt(frame, points, tuple(int(label) for label in labels), None)
    return (ObjectPrompts("object", 0, (prompt,), ()),)


def tolerance(body: Json) -> float:
    """The polygons' tolerance that a prompt asks for."""
    value = (body.get("params") or {}).get("epsilon_factor", FINENESS)
    return min(max(float(value), 0.0), 0.1) if isinstance(value, int | float) and math.isfinite(value) else FINENESS


def shapes(masks: FrameMasks, number: int, fineness: float) -> list[Json]:
    """A polygon for each part of the object but specks; the format knows no holes. `number` is the track's."""
    mask = masks.objects[0].without_parts_below(SPECK_PERCENT)
    left, top, *_ = mask.tight or (0, 0)
    return [
        {
            "label": LABEL,
            "shape_type": "polygon",
            "points": [[left + x, top + y] for x, y in polygon.closed_outline],
            "score": round(float(masks.scores[0]), 4),
            "group_id": number,
        }
        for polygon in polygons(mask.crop(), fineness)
    ]


def _point(share: Any, info: VideoInfo) -> tuple[float, float]:
    try:
        x, y = (float(number) for number in share)
    except (TypeError, ValueError):
        raise InvalidRequest(f"points: {share!r} is not [x, y]") from None
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise InvalidRequest(f"points: {share!r} is not in the picture, x and y must be from 0 to 1")
    return min(x * info.width, info.width - 1), min(y * info.height, info.height - 1)
