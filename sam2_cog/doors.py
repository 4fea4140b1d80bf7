"""The doors that stay open: one process serves any of them, each on a port of its own, with one model for all."""

import argparse
import logging
import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Protocol

from starlette.applications import Starlette

from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base import beside, is_loopback, listen, serve
from sam2_cog.label_studio.app import Backend
from sam2_cog.label_studio.videos import LabelStudio
from sam2_cog.limits import FETCHED_BYTES, FRAME_UPLOAD_BYTES
from sam2_cog.x_anylabeling.app import RemoteServer

logger = logging.getLogger(__name__)

TOKEN = "SAM2_TOKEN"


class Server(Protocol):
    """What stands behind a door."""

    def application(self, token: str | None = None) -> Starlette: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Door:
    """A command that serves: its usual port, and what stands behind it."""

    port: int
    help: str
    make: Callable[[LoadedModel], Server]


def _label_studio(model: LoadedModel) -> Server:
    url = os.environ.get("LABEL_STUDIO_URL", "").rstrip("/") or "http://localhost:8080"
    token = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
    why = "with" if token else "without a token, for want of"
    logger.info("label-studio: videos come from %s (LABEL_STUDIO_URL) %s LABEL_STUDIO_API_KEY", url, why)
    return Backend(model, LabelStudio(url, token), FETCHED_BYTES.value)


def _x_anylabeling(model: LoadedModel) -> Server:
    return RemoteServer(model, FRAME_UPLOAD_BYTES.value)


DOORS = {
    "label-studio": Door(9090, "serve Label Studio's video projects as their ML backend", _label_studio),
    "x-anylabeling": Door(8000, "serve X-AnyLabeling as its remote server for video", _x_anylabeling),
}


def add_arguments(parser: argparse.ArgumentParser, name: str) -> None:
    """The flags of a door's command."""
    others = ", ".join(other for other in DOORS if other != name)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=DOORS[name].port, help="the port (default: %(default)s)")
    text = f"further doors of the same process, each on its usual port or the one that is named ({others})"
    parser.add_argument("--with", dest="others", nargs="+", default=[], metavar="DOOR[:PORT]", help=text)


def run(name: str, host: str, port: int, others: Sequence[str], model: str | None) -> None:
    """Serve until the process is told to stop.

    Raises:
        InvalidRequest: a port is taken, or a door is unknown or asked for twice.
        CheckpointError: the model cannot be loaded.
    """
    ports = {name: port}
    for other in others:
        door, chosen = _read_door(other)
        if door in ports:
            raise InvalidRequest(f"with: the door {door} is asked for twice")
        ports[door] = chosen
    with ExitStack() as stack:
        listeners = {door: stack.enter_context(listen(host, chosen)) for door, chosen in ports.items()}
        token = None if is_loopback(host) else os.environ.get(TOKEN) or secrets.token_urlsafe(16)
        loaded = load_model(model)
        apps = {door: stack.enter_context(closing(DOORS[door].make(loaded))).application(token) for door in listeners}
        for door, listener in listeners.items():
            logger.info(
                "%s: http://%s:%d%s", door, host, listener.getsockname()[1], f", token {token}" if token else ""
            )
            if door != name:
                stack.enter_context(beside(apps[door], listener))
        serve(apps[name], listeners[name])


def _read_door(text: str) -> tuple[str, int]:
    """`label-studio` or `label-studio:9091`."""
    name, colon, port = text.partition(":")
    if name not in DOORS:
        raise InvalidRequest(f"with: {name[:40]!r} is not a door, it must be one of {', '.join(DOORS)}")
    if colon and not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise InvalidRequest(f"with: {text[:40]!r} must name its port as a whole number")
    return name, int(port) if colon else DOORS[name].port
