"""What the HTTP doors share: who may speak to them, JSON within bounds, refusals in one sentence, and the server.

A server on this machine alone answers requests that name it as this machine, so that no web page which a browser has
open can reach it through a name of its own (DNS rebinding). One that others reach asks for a token instead. Neither
takes orders from a page of another origin: a form or a script there cannot send JSON without asking first.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import h11
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MAX_JSON_BYTES = 1 << 20
"""A request of many thousand clicks; doors that take pictures in JSON name a higher bound of their own."""
MAX_HEADER_BYTES = 1 << 16
HIGHEST_PORT = 65535
REASON = "x-reason"
"""Within the process only: what `_Connection` writes on the status line in the place of "Bad Request" and the like."""
TOKEN_VARIABLE = "SAM2_TOKEN"
TOKEN_COOKIE = "sam2_cog_token"
SECONDS_BETWEEN_LOOKS = 10
"""How often it is seen to whether what is open is still used."""
SECONDS_TO_FINISH = 5
"""How long a server that is told to stop waits for answers that are under way."""


def is_loopback(host: str) -> bool:
    """Whether this name or address is reached from this machine only."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str) -> str | None:
    """None for a server that only this machine reaches; else the environment's SAM2_TOKEN, or a new one."""
    return None if is_loopback(host) else os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(16)


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


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises InvalidRequest where that cannot be had."""
    if not 0 <= port <= HIGHEST_PORT:
        raise InvalidRequest(f"port: {port} is not allowed, it must be a whole number from 0 to {HIGHEST_PORT}")
    try:
        kind, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=kind, backlog=128)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"port: the server cannot listen on {host}, port {port}: {why}") from None


def serve(app: Starlette, listener: socket.socket) -> None:
    """Answer until the process is told to stop (Ctrl-C, SIGTERM), then return, so that what is open can be closed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server(app).run(sockets=[listener])
    except KeyboardInterrupt:  # uvicorn has shut down in good order, and passes the signal on
        logger.info("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def beside(app: Starlette, listener: socket.socket) -> Iterator[None]:
    """Answer in a thread of its own; stopped in good order on the way out."""
    side = server(app)
    thread = threading.Thread(target=side.run, args=([listener],), name="server")
    thread.start()
    try:
        yield
    finally:
        side.should_exit = True
        thread.join()


def server(app: Starlette) -> uvicorn.Server:
    """Uvicorn as all doors run it: quiet, and without a wait for idle connections when it stops."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_TO_FINISH,
        )
    )


class _Protocol(H11Protocol):
    """HTTP/1.1 whose refusals say why on the status line too, which is all that some clients show of them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn = _Connection(h11.SERVER, MAX_HEADER_BYTES)


class _Connection(h11.Connection):
    def send(self, event: Any) -> Any:
        """The bytes of an event, with the reason phrase (RFC 9112, section 4) that the response asks for."""
        if isinstance(event, h11.Response):
            reasons = [value for name, value in event.headers if name == REASON.encode()]
            headers = [(name, value) for name, value in event.headers if name != REASON.encode()]
            reason = reasons[0] if reasons else event.reason
            event = h11.Response(status_code=event.status_code, headers=headers, reason=reason)
        return super().send(event)


class Guard:
    """Lets a request through that is for this server, and comes from no page of another origin."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer 403 or 401 in one sentence, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = _wrong_origin(headers) or self._wrong_host(headers) or self._wrong_token(scope, headers)
        try:
            await (refusal or self._app)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and has waited long enough: no fault to be logged
            logger.warning("%s was not finished, because the server was stopped", scope["path"])

    def _wrong_host(self, headers: Headers) -> Response | None:
        if self._token is not None or is_loopback(_host_name(headers.get("host", ""))):
            return None
        return _error(403, "this server answers only requests that name it as localhost")

    def _wrong_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None or any(_same(offer, self._token) for offer in _offered_tokens(scope, headers)):
            return None
        refusal = _error(401, "this server asks for the token that it printed when it started, as ?token=... or header")
        refusal.headers["www-authenticate"] = "Basic"
        return refusal


def _wrong_origin(headers: Headers) -> Response | None:
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host"):
        return None
    return _error(403, "this server takes nothing from pages of another origin")


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _offered_tokens(scope: Scope, headers: Headers) -> list[str]:
    """As people and programs bring it: in the address, a cookie, `Authorization` (Bearer, Token, Basic) or `Token`."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    authorization = _basic_password(value) if scheme.lower() == "basic" else value
    offers = (QueryParams(scope["query_string"]).get("token"), _cookie(headers), authorization, headers.get("token"))
    return [offer.strip() for offer in offers if offer]


def _cookie(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(offer: str, token: str) -> bool:
    return hmac.compare_digest(offer.encode("utf-8", "surrogateescape"), token.encode())


def _error(status: int, sentence: str) -> JSONResponse:
    """`{"error": sentence}`, and the sentence once more as the reason phrase, which is Latin-1 on one line."""
    line = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return JSONResponse({"error": sentence}, status, {REASON: line.encode("latin-1", "replace").decode("latin-1")})


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    return _error(422, str(error))


async def _answer_failure(request: Request, error: Exception) -> Response:
    logger.error("%s: %s", request.url.path, error)
    return _error(500, str(error))


async def _answer_nobody(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # whoever asked has gone


async def _answer_fault(request: Request, error: Exception) -> Response:
    return _error(500, "the server made a mistake, which its log describes")
