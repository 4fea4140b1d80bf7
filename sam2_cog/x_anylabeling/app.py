"""The routes that X-AnyLabeling's remote client calls for video, as version 4.2.1 does.

The client shows nothing of a refusal but its status line, and never looks at `success`: so refusals are HTTP errors.
"""

import json
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.http_base.answers import Json, json_route, read_json, stream
from sam2_cog.http_base.application import application, owning
from sam2_cog.x_anylabeling.clips import Clips, OpenClip
from sam2_cog.x_anylabeling.shapes import read_prompt, shapes, tolerance

MODEL_ID = "sam2_cog_video"
WIDGETS: list[Json] = [
    {"name": "button_add_point", "value": None},
    {"name": "button_remove_point", "value": None},
    {"name": "button_clear", "value": None},
    {"name": "button_finish_object", "value": None},
    {"name": "mask_fineness_slider", "value": 10},
    {"name": "mask_fineness_value_label", "value": None},
    {"name": "toggle_preserve_existing_annotations", "value": False},
]
"""What the client shows for this model; no rectangles, which it does not send for videos."""


class RemoteServer:
    """Answers any number of clients; holds their clips until the application ends."""

    def __init__(self, model: LoadedModel, upload_bytes: int) -> None:
        self._model_name = model.name
        self._upload_bytes = upload_bytes
        self._clips = Clips(model)

    def application(self, token: str | None = None) -> Starlette:
        """The routes, behind the guard; the token is the client's API key."""
        return application(
            [
                Route("/health", self._health),
                Route("/v1/models", self._models),
                json_route("/v1/video/init", _successful(self.init), self._upload_bytes),
                json_route("/v1/video/prompt", _successful(self.prompt)),
                Route("/v1/video/propagate/stream", self._propagate, methods=["POST"]),
                Route("/v1/video/cleanup/{name}", self._cleanup, methods=["POST"]),
                json_route("/v1/predict", _successful(self.predict), self._upload_bytes),
            ],
            token,
            owning(self._clips.close, self._clips.tend),
        )

    def init(self, body: Json) -> Json:
        """Take all frames of a clip in."""
        _check_model(body)
        name = self._clips.open(body.get("frames") or [])
        count = self._clips.get(name).session.info.frame_count
        return {"session_id": name, "num_frames": count, "start_frame_index": 0}

    def prompt(self, body: Json) -> Json:
        """Take the clicks on one object, and show its polygons on their frame."""
        _check_model(body)
        clip = self._clips.get(body.get("session_id"))
        clip.prompt(read_prompt(body, clip.session.info), tolerance(body))
        frame = clip.objects[0].prompts[0].frame_index
        found = shapes(clip.session.preview(clip.objects, frame), clip.number, clip.tolerance)
        return {"frame_index": frame, "masks": found, "num_objects": 1}

    def predict(self, body: Json) -> Json:
        """A single image, which the client asks for when it has no clicks yet: nothing to say."""
        _check_model(body)
        return {"shapes": [], "description": ""}

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "healthy", "models_loaded": 1})

    async def _models(self, request: Request) -> Response:
        model = {
            "display_name": f"sam2-cog video ({self._model_name})",
            "batch_processing_mode": "video",
            "params": {},
            "capabilities": {},
            "widgets": WIDGETS,
        }
        return JSONResponse({"success": True, "data": {MODEL_ID: model}})

    async def _cleanup(self, request: Request) -> Response:
        await run_in_threadpool(self._clips.cleanup, request.path_params["name"])
        return JSONResponse({"success": True, "data": {}})

    async def _propagate(self, request: Request) -> Response:
        body = await read_json(request)
        _check_model(body)
        clip = await run_in_threadpool(self._clips.get, body.get("session_id"))
        if not clip.objects:
            raise InvalidRequest("points: there are none yet, click on the object first")
        start, stop = _range(body, clip.session.info.frame_count)
        return await stream(_events(clip, start, stop), "text/event-stream")


def _events(clip: OpenClip, start: int, stop: int) -> Generator[str, None, None]:
    """Track what is not known yet of the frames [start, stop), then tell all."""
    if not clip.busy.acquire(blocking=False):
        raise HTTPException(409, "this video is being tracked already: wait, or cancel that first")
    first, count, done = clip.objects[0].prompts[0].frame_index, stop - start, 0
    try:
        yield _event("started", total_frames=clip.session.info.frame_count, start_frame_index=start)
        with closing(clip.session.track(clip.objects, "both" if start < first else "forward")) as frames:
            for frame in (masks.frame_index for masks in frames):
                if frame >= max(stop, first + 1):
                    break
                if start <= frame < stop:
                    done += 1
                    yield _event("progress", current_frame=frame, total_frames=count, progress=round(done / count, 3))
        clip.finished = True
        yield _event("completed", results=_results(clip, start, stop))
    except (InvalidRequest, UnreadableVideo, OSError) as error:
        yield _event("error", message=str(error))
    finally:
        clip.busy.release()


def _results(clip: OpenClip, start: int, stop: int) -> dict[str, Json]:
    """The polygons of each frame, by its number as text."""
    found = {frame: clip.session.masks(frame) for frame in range(start, stop)}
    return {
        str(frame): {"masks": shapes(masks, clip.number, clip.tolerance)} for frame, masks in found.items() if masks
    }


def _event(kind: str, **fields: Any) -> str:
    """One server-sent event."""
    return f"data: {json.dumps({'type': kind, **fields})}\n\n"


def _range(body: Json, count: int) -> tuple[int, int]:
    """The frames [start, stop) to track; the client's `end_frame` is the last one itself."""
    start, end = body.get("start_frame"), body.get("end_frame")
    start, end = 0 if start is None else start, count - 1 if end is None else end
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start <= end < count):
        raise InvalidRequest(f"start_frame: {start!r} to {end!r} is not allowed, frames are from 0 to {count - 1}")
    return start, end + 1


def _check_model(body: Json) -> None:
    if body.get("model") != MODEL_ID:
        raise InvalidRequest(f"model: {str(body.get('model'))[:40]!r} is not allowed, it must be {MODEL_ID}")


def _successful(answer: Callable[[Json], Json]) -> Callable[[Json], Json]:
    return lambda body: {"success": True, "data": answer(body)}
