"""A door's routes behind the guard, with a sentence for every error, and what lives as long as they are served."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.http_base.answers import error_answer
from sam2_cog.http_base.guard import Guard

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 10
"""How often it is seen to whether what is open is still used."""


def application(
    routes: Sequence[BaseRoute],
    token: str | None = None,
    lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] | None = None,
) -> Starlette:
    """These routes behind the guard; every refusal is answered as `{"error": sentence}`.

    token: who brings it may come from anywhere, by any name of the machine; None: only this machine is answered.
    lifespan: entered before the first request and left after the last one.
    """
    sentences: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        HTTPException: _answer_http_error,
        InvalidRequest: _answer_refusal,
        UnreadableVideo: _answer_refusal,
        CheckpointError: _answer_failure,
        OSError: _answer_failure,
        ClientDisconnect: _answer_nobody,
        Exception: _answer_fault,
    }
    guard = [Middleware(Guard, token=token)]
    return Starlette(routes=routes, middleware=guard, exception_handlers=sentences, lifespan=lifespan)


def owning(
    close: Callable[[], None], tend: Callable[[], None] | None = None
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    """The lifespan of an application that calls `close` after its last request, and `tend` every few seconds before."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tending = asyncio.create_task(_repeat(tend)) if tend else None
        try:
            yield
        finally:
            if tending:
                tending.cancel()
            await run_in_threadpool(close)

    return lifespan


async def _repeat(tend: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(SECONDS_BETWEEN_LOOKS)
        await run_in_threadpool(tend)


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_answer(error.status_code, error.detail)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    return error_answer(422, str(error))


async def _answer_failure(request: Request, error: Exception) -> Response:
    logger.error("%s: %s", request.url.path, error)
    return error_answer(500, str(error))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # whoever asked has gone


async def _answer_fault(request: Request, error: Exception) -> Response:
    return error_answer(500, "the server made a mistake, which its log describes")
