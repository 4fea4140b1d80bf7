"""The server: a socket to listen on, and uvicorn as all doors run it."""

import logging
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import h11
import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.answers import REASON

logger = logging.getLogger(__name__)

MAX_HEADER_BYTES = 1 << 16
HIGHEST_PORT = 65535
SECONDS_TO_FINISH = 5
"""How long a server that is told to stop waits for answers that are under way."""


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
