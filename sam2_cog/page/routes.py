"""The addresses of the page: files, the clip, and what is asked about it. Everything else is `Desk` and `OpenClip`."""

import json
import logging
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sam2_cog import limits
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.http_base.answers import Json, json_route, read_json, stream
from sam2_cog.http_base.application import application, owning
from sam2_cog.http_base.guard import TOKEN_COOKIE
from sam2_cog.page.desk import Desk
from sam2_cog.page.wire import PROMPT_FILES, facts_json

logger = logging.getLogger(__name__)

ASSETS = Path(__file__).parent / "assets"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy: nothing but this server, and no page around this one."""


def page_application(desk: Desk, model_name: str, token: str | None = None) -> Starlette:
    """The page and its routes; the desk is closed with it."""
    routes = [*_files(), *_questions(desk, model_name), *_work(desk)]
    return application(routes, token, owning(desk.close, desk.tend))


def _files() -> list[BaseRoute]:
    def page(request: Request) -> Response:
        if token := request.query_params.get("token"):  # out of the address, so that no screenshot shows it
            response: Response = RedirectResponse("/")
            response.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="lax")
            return response
        return FileResponse(ASSETS / "page.html", headers={"Content-Security-Policy": POLICY, **_FRESH})

    return [
        Route("/", page),
        Route("/favicon.ico", lambda request: Response(status_code=204)),
        Mount("/assets", StaticFiles(directory=ASSETS)),
    ]


_FRESH = {"Cache-Control": "no-cache"}
_KEPT = {"Cache-Control": "private, max-age=86400, immutable"}  # an address holds the clip's own id


def _questions(desk: Desk, model_name: str) -> list[BaseRoute]:
    """What is answered at once."""

    def frame(request: Request) -> Response:
        jpeg, seconds, label = desk.picture(request.query_params.get("clip"), request.path_params["frame"])
        told = {"Frame-Seconds": f"{seconds:.6f}", "Frame-Label": quote(label), **_KEPT}
        return Response(jpeg, media_type="image/jpeg", headers=told)

    def masks(request: Request) -> Response:
        return _json(desk.clip(request.query_params.get("clip")).masks(request.path_params["frame"]))

    return [
        Route("/api/facts", lambda request: _json(facts_json(model_name))),
        Route("/api/clip", lambda request: _json(desk.facts())),
        Route("/api/frame/{frame:int}", frame),
        Route("/api/masks/{frame:int}", masks),
        Route("/api/lanes", lambda request: _json(desk.clip(request.query_params.get("clip")).lanes())),
        json_route("/api/read", lambda body: desk.clip(body.get("clip")).read(body.get("inputs", {}))),
        json_route(
            "/api/preview", lambda body: desk.clip(body.get("clip")).preview(body.get("inputs", {}), _frame(body))
        ),
        json_route(
            "/api/candidates",
            lambda body: desk.clip(body.get("clip")).candidates(body.get("inputs", {}), _frame(body), body.get("name")),
        ),
        json_route("/api/warm", lambda body: desk.clip(body.get("clip")).warm(_frame(body))),
        json_route("/api/stop", lambda body: desk.clip(body.get("clip")).stop()),
    ]


def _work(desk: Desk) -> list[BaseRoute]:
    """What takes its time."""

    async def track(request: Request) -> Response:
        body = await read_json(request)
        return await _stream(lambda: desk.clip(body.get("clip")).track(body.get("inputs", {})))

    async def write(request: Request) -> Response:
        body = await read_json(request)
        return await _stream(lambda: desk.write(body.get("clip"), body.get("inputs", {})))

    async def upload(request: Request) -> Response:
        name = request.query_params.get("name", "")
        path = await run_in_threadpool(desk.new_file, name)
        await _receive(request, path, "video", limits.UPLOAD_BYTES)
        await run_in_threadpool(desk.open, path)
        return _json({})

    async def prompts(request: Request) -> Response:
        clip, name = (request.query_params.get(key, "") for key in ("clip", "input"))
        if name not in PROMPT_FILES:
            raise HTTPException(404, f"input: it must be one of {', '.join(PROMPT_FILES)}")
        await run_in_threadpool(desk.clip, clip)
        path = await run_in_threadpool(desk.new_file, request.query_params.get("name", ""))
        await _receive(request, path, name, limits.PROMPT_FILE_BYTES)
        return _json({"file": await run_in_threadpool(desk.keep, clip, path)})

    def result(request: Request) -> Response:
        path = desk.result(request.path_params["name"])
        return FileResponse(path, filename=path.name, headers=_FRESH)

    return [
        Route("/api/track", track, methods=["POST"]),
        Route("/api/write", write, methods=["POST"]),
        Route("/api/upload", upload, methods=["PUT"]),
        Route("/api/prompts", prompts, methods=["PUT"]),
        Route("/api/result/{name}", result),
    ]


async def _receive(request: Request, path: Path, what: str, limit: limits.Limit) -> None:
    """Write a body of bytes within a limit to a file, of which nothing is left if it breaks off. what: its input."""
    size, announced = 0, int(request.headers.get("content-length", 0))
    try:
        with path.open("wb") as file:
            async for chunk in request.stream():
                size += len(chunk)
                if excess := limit.excess(announced) or limit.excess(size, so_far=True):
                    raise HTTPException(413, f"{what}: {path.name} has {excess}")
                await run_in_threadpool(file.write, chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        raise


async def _stream(begin: Callable[[], Generator[Json, None, None]]) -> Response:
    """Events as lines of JSON. What is refused before the first one is an answer of its own, and no stream."""
    return await stream(_lines(begin()), "application/x-ndjson", _FRESH)


def _lines(events: Generator[Json, None, None]) -> Generator[str, None, None]:
    with closing(events):
        event = next(events, None)
        while event is not None:
            yield json.dumps(event, separators=(",", ":")) + "\n"
            event = _next(events)


def _next(events: Generator[Json, None, None]) -> Json | None:
    """The next event; an error becomes the last one."""
    try:
        return next(events, None)
    except (InvalidRequest, UnreadableVideo, OSError) as error:
        return {"error": str(error)}
    except Exception:
        logger.exception("tracking failed")
        return {"error": "the server made a mistake, which its log describes"}


def _frame(body: Json) -> int:
    frame = body.get("frame")
    if not isinstance(frame, int) or isinstance(frame, bool):
        raise InvalidRequest(f"frame: {str(frame)[:40]!r} is not a whole number")
    return frame


def _json(value: Json) -> Response:
    return JSONResponse(value, headers=_FRESH)
