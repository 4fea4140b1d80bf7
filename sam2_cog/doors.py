"""The doors that stay open: one process serves any of them, each on a port of its own, with one model for all."""

import argparse
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from starlette.applications import Starlette

from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.errors import InvalidRequest
from sam2_cog.http_base.guard import token_for
from sam2_cog.http_base.server import beside, listen, serve
from sam2_cog.label_studio.app import Backend
from sam2_cog.label_studio.videos import LabelStudio
from sam2_cog.limits import FETCHED_BYTES, FRAME_UPLOAD_BYTES
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application
from sam2_cog.x_anylabeling.app import RemoteServer

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Door:
    """A command that serves: its usual port, and the application behind it."""

    port: int
    help: str
    open: Callable[[LoadedModel, str | None], Starlette]
    """Of a model and a token; what the application holds is closed with it."""


def _label_studio(model: LoadedModel, token: str | None) -> Starlette:
    url = os.environ.get("LABEL_STUDIO_URL", "").rstrip("/") or "http://localhost:8080"
    key = os.environ.get("LABEL_STUDIO_API_KEY", "").strip()
    why = "with" if key else "without a token, for want of"
    logger.info("label-studio: videos come from %s (LABEL_STUDIO_URL) %s LABEL_STUDIO_API_KEY", url, why)
    return Backend(model, LabelStudio(url, key), FETCHED_BYTES.value).application(token)


def _x_anylabeling(model: LoadedModel, token: str | None) -> Starlette:
    return RemoteServer(model, FRAME_UPLOAD_BYTES.value).application(token)


def _ui(model: LoadedModel, token: str | None) -> Starlette:
    return page_application(Desk(lambda: model), model.name, token)


DOORS = {
    "ui": Door(7860, "a page to click in", _ui),
    "label-studio": Door(9090, "serve Label Studio's video projects as their ML backend", _label_studio),
    "x-anylabeling": Door(8000, "serve X-AnyLabeling as its remote server for video", _x_anylabeling),
}

COMMANDS = ("label-studio", "x-anylabeling")
"""The doors whose command is made here; `ui` has a clip to open, and a command of its own."""


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
        token, loaded = token_for(host), load_model(model)
        apps = {door: DOORS[door].open(loaded, token) for door in listeners}
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
