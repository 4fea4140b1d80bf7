"""What X-AnyLabeling's remote client sends, as release 4.2.1 was seen to."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sam2_cog.x_anylabeling.app import MODEL_ID
from tests.clips import encode_image
from tests.http_server import Address

Json = dict[str, Any]


def data_url(content: bytes, kind: str = "image/jpeg") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def init_body(frames: np.ndarray) -> Json:
    """All frames of a clip, (n, H, W, 3) uint8, as JPEG data URLs."""
    urls = [data_url(encode_image(frame, "JPEG", quality=95)) for frame in frames]
    return {"model": MODEL_ID, "frames": urls, "start_frame_index": 0}


def prompt_body(session: Any, frame: int, points: Sequence[Sequence[float]], labels: Sequence[int] = (1,)) -> Json:
    """Clicks on one object; points are shares of the frame."""
    params = {"conf_threshold": 0.0, "epsilon_factor": 0.001}
    return {
        "session_id": session,
        "model": MODEL_ID,
        "frame_index": frame,
        "points": [list(point) for point in points],
        "point_labels": list(labels),
        "obj_id": 10000,
        "params": params,
    }


def opened(address: Address, frames: np.ndarray) -> str:
    """Upload a clip; its session."""
    answer = address.post("/v1/video/init", init_body(frames)).json
    assert answer["success"] and answer["data"]["num_frames"] == len(frames)
    return str(answer["data"]["session_id"])


def events(address: Address, session: Any, **span: Any) -> list[Json]:
    """Propagate to the end; the events of the stream."""
    body = {"session_id": session, "model": MODEL_ID, **span}
    answer = address.post("/v1/video/propagate/stream", body)
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.body.decode().split("\n\n")
    assert lines.pop() == "" and all(line.startswith("data: ") for line in lines)
    return [json.loads(line.removeprefix("data: ")) for line in lines]
