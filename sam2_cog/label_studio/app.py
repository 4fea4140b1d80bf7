"""The routes that Label Studio calls, as its releases of 2026 do: health, setup, predict, webhook, versions."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sam2_cog import __version__
from sam2_cog.engine.model import LoadedModel
from sam2_cog.http_base.answers import Json, json_route, read_json
from sam2_cog.http_base.application import application, owning
from sam2_cog.label_studio.answers import Answer, read_tasks
from sam2_cog.label_studio.config import read_config
from sam2_cog.label_studio.tracks import Found, Tracks
from sam2_cog.label_studio.videos import LabelStudio, VideoCache

MAX_BODY_BYTES = 1 << 28
"""A region of an hour has some ten megabytes of key frames, and one request may hold many tasks."""
WAIT_SECONDS = 90.0
"""Label Studio waits for 100 (ML_TIMEOUT_PREDICT)."""


class Backend:
    """Answers for any number of projects; holds the videos and tracks until the application ends."""

    def __init__(self, model: LoadedModel, studio: LabelStudio, video_bytes: int, wait: float = WAIT_SECONDS) -> None:
        self.version = f"sam2-cog-{__version__}-{model.name}"
        self._studio = studio
        self._videos = VideoCache(studio, video_bytes)
        self._tracks = Tracks(model, self._videos)
        self._wait = wait

    def application(self, token: str | None = None) -> Starlette:
        """The routes, behind the guard; the token is the password of Label Studio's basic authentication."""
        return application(
            [
                Route("/", self._health),
                Route("/health", self._health),
                Route("/versions", self._versions),
                Route("/webhook", self._webhook, methods=["POST"]),
                Route("/predict", self._predict, methods=["POST"]),
                json_route("/setup", self._setup, MAX_BODY_BYTES),
            ],
            token,
            owning(self._close),
        )

    def _close(self) -> None:
        self._videos.stop()
        self._tracks.close()
        self._videos.close()

    def _setup(self, body: Json) -> Json:
        """Label Studio shows the model version; raises InvalidRequest for a config that this backend cannot serve."""
        read_config(str(body.get("schema") or ""))
        return {"model_version": self.version}

    async def _predict(self, request: Request) -> Response:
        """Track the regions that the editor sent (one task), or those of each task's newest annotation."""
        answers = await run_in_threadpool(self._begin, await read_json(request, MAX_BODY_BYTES))
        try:
            await _settled([future for answer in answers for future in answer.futures], self._wait)
        except asyncio.CancelledError:  # the server stops, which does not wait for long work
            raise HTTPException(503, "the backend was stopped: ask again when it runs") from None
        return JSONResponse({"results": await run_in_threadpool(lambda: [self._entry(one) for one in answers])})

    def _begin(self, body: Json) -> list[Answer]:
        controls = read_config(str(body.get("label_config") or ""))
        return [Answer(asked, controls, self._studio, self._tracks) for asked in read_tasks(body)]

    def _entry(self, answer: Answer) -> Json | list[Json]:
        """One task of the results. Of a saved one only what is done is to be stored: the next time brings the rest.

        What went wrong is stored under a version of its own: under the true one the task would not be asked for again.
        """
        regions = answer.regions()
        if answer.is_saved and (not regions or answer.is_unfinished):
            return []
        scores = [region["score"] for region in regions if isinstance(region.get("score"), int | float)]
        mean = sum(scores) / len(scores) if scores else 0.0
        version = f"{self.version}-failed" if answer.has_failed else self.version
        return {"result": regions, "score": mean, "model_version": version}

    async def _health(self, request: Request) -> Response:
        return JSONResponse({"status": "UP", "model_class": "sam2-cog"})

    async def _versions(self, request: Request) -> Response:
        return JSONResponse({"versions": [self.version]})

    async def _webhook(self, request: Request) -> Response:
        return JSONResponse({}, 201)  # nothing is learned from annotations


async def _settled(futures: Sequence["Future[Found]"], seconds: float) -> None:
    """Wait until all are done, however it went, or so long."""
    watched = [asyncio.wrap_future(future) for future in futures]
    for one in watched:
        one.add_done_callback(asyncio.Future.exception)  # it has been seen: asyncio need not warn of it
    if watched:
        await asyncio.wait(watched, timeout=seconds)
