"""JSON in and out, within bounds; answers that grow; and how a refusal is said."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Generator, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Json = dict[str, Any]

MAX_JSON_BYTES = 1 << 20
"""A request of many thousand clicks; doors that take pictures in JSON name a higher bound of their own."""
REASON = "x-reason"
"""Within the process only: what `server` writes on the status line in the place of "Bad Request" and the like."""


def json_route(path: str, answer: Callable[[Json], Any], max_bytes: int = MAX_JSON_BYTES) -> Route:
    """POST a JSON object to `path`, get what `answer` makes of it as JSON; it runs in a thread of its own."""

    async def endpoint(request: Request) -> Response:
        body = await read_json(request, max_bytes)
        return JSONResponse(await run_in_threadpool(answer, body))

    return Route(path, endpoint, methods=["POST"])


async def stream(
    events: Generator[str, None, None], media_type: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that grows by what a generator yields, which works in a thread.

    What it refuses before the first item is an answer of its own. When nobody listens any more it is closed, as soon as
    its present step is done.
    """
    first, step = await run_in_threadpool(next, events, None), threading.Lock()

    def following() -> str | None:
        with step:
            return next(events, None)

    def close() -> None:
        with step:
            events.close()

    async def items() -> AsyncIterator[str]:
        item = first
        try:
            while item is not None:
                yield item
                item = await run_in_threadpool(following)
        finally:
            asyncio.get_running_loop().run_in_executor(None, close)

    return StreamingResponse(items(), media_type=media_type, headers=headers)


async def read_json(request: Request, max_bytes: int = MAX_JSON_BYTES) -> Json:
    """The JSON object that a request holds; HTTPException where it is of another type, too large or broken."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"the body is {kind or 'of no type'}, but it must be application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise HTTPException(413, f"the body is longer than {max_bytes} bytes, which is the most that is taken")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return value


def error_answer(status: int, sentence: str) -> JSONResponse:
    """`{"error": sentence}`, and the sentence once more as the reason phrase, which is Latin-1 on one line."""
    line = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return JSONResponse({"error": sentence}, status, {REASON: line.encode("latin-1", "replace").decode("latin-1")})
