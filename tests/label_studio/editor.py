"""What Label Studio's editor sends, as release 1.23.2 was seen to, and clips that need no file."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog.label_studio.regions import STAMP
from sam2_cog.media.video import VideoInfo

Json = dict[str, Any]

CONFIG = """
<View>
  <Labels name="kinds" toName="clip"><Label value="Player"/><Label value="Ball"/></Labels>
  <Video name="clip" value="$video" framerate="{rate}"/>
  <VideoRectangle name="boxes" toName="clip" smart="true"/>
</View>
"""


def clip_info(count: int, rate: Fraction | int, size: tuple[int, int] = (100, 50)) -> VideoInfo:
    """A clip of (width, height) `size` with evenly spaced frames, the first of them after 3 seconds."""
    rate = Fraction(rate)
    return VideoInfo(
        path=Path("clip.mp4"),
        container="mov",
        codec="h264",
        width=size[0],
        height=size[1],
        frame_rate=rate,
        frame_count=count,
        duration_seconds=float(count / rate),
        rotation=0,
        has_audio=False,
        has_alpha=False,
        time_base=1 / rate,
        pts=np.arange(count) + round(3 * rate),
        seek_points=np.array([0]),
    )


def key(frame: int, box: Sequence[float], enabled: bool = True, stamp: Any = None, rate: float = 24) -> Json:
    """One item of a sequence; `box` is x, y, width, height in percent."""
    x, y, width, height = box
    item = {"frame": frame, "enabled": enabled, "rotation": 0, "x": x, "y": y, "width": width, "height": height}
    return {**item, "time": frame / rate, **({STAMP: stamp} if stamp is not None else {})}


def region(*keys: Json, name: str = "r1", frames: int = 60, label: str | None = "Player") -> Json:
    """A region as the editor sends it; without a label the list of labels is absent."""
    value: Json = {"framesCount": frames, "duration": frames / 24, "sequence": list(keys)}
    return {
        "id": name,
        "from_name": "boxes",
        "to_name": "clip",
        "type": "videorectangle",
        "origin": "manual",
        "value": value | ({"labels": [label]} if label else {}),
    }


def predict_body(
    address: str, regions: list[Json] | None = None, annotations: Sequence[list[Json]] = (), rate: float = 24
) -> Json:
    """The body of /predict: interactive with these regions, or a batch of one task with these annotations."""
    saved = [
        {"id": number, "result": result, "was_cancelled": False, "updated_at": f"2026-01-0{number}T00:00:00Z"}
        for number, result in enumerate(annotations, 1)
    ]
    return {
        "tasks": [{"id": 4, "data": {"video": address}, "annotations": saved, "predictions": []}],
        "project": "1.1795640603",
        "label_config": CONFIG.format(rate=rate),
        "params": {"login": None, "password": None, "context": None if regions is None else {"result": regions}},
    }
