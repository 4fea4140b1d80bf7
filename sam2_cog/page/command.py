"""`sam2-cog ui`: its arguments, and the server that they start."""

import argparse
import logging
import os
import webbrowser
from functools import partial
from pathlib import Path
from threading import Timer

from sam2_cog.engine.checkpoints import chosen_model
from sam2_cog.engine.model import load_model
from sam2_cog.errors import UnreadableVideo
from sam2_cog.http_base.guard import token_for
from sam2_cog.http_base.server import listen, serve
from sam2_cog.media.footage import opened_footage
from sam2_cog.media.frame_archive import HoldsVideos
from sam2_cog.media.video import probe
from sam2_cog.page.desk import Desk
from sam2_cog.page.routes import page_application

logger = logging.getLogger(__name__)

DESCRIPTION = """\
Open a page to click in: see the mask of a click at once, track, correct, track on, take the result.
Only this machine reaches it; with another --host the address that is printed holds a token, and asks for it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `ui` but the model."""
    parser.add_argument(
        "video", metavar="VIDEO", type=Path, nargs="?", help="the clip to open; one can be uploaded too"
    )
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, metavar="N", help="0 takes a free one (default: %(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")


def run(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C."""
    if arguments.video is not None:
        check_clip(arguments.video)
    model = arguments.model or chosen_model()
    token = token_for(arguments.host)
    listener = listen(arguments.host, arguments.port)
    desk = Desk(partial(load_model, model))
    if arguments.video is not None:
        desk.open(arguments.video.absolute(), str(arguments.video))
    address = _address(arguments.host, listener.getsockname()[1], token)
    print(f"sam2-cog: {address}  (Ctrl-C stops it)", flush=True)
    if not arguments.no_browser:
        Timer(0.5, webbrowser.open, [address]).start()
    serve(page_application(desk, model, token), listener)


def check_clip(path: Path) -> None:
    """Raises UnreadableVideo for what is no clip, before a page is opened for it; whether all is whole shows there."""
    try:
        probe(path, first_only=True, used=slice(1))
    except HoldsVideos:
        return
    except UnreadableVideo:  # the frames are counted to see whether there is one after all
        with opened_footage(path):
            return


def _address(host: str, port: int, token: str | None) -> str:
    """What to open in a browser: a name that this machine is reached by, and the token."""
    name = {"0.0.0.0": os.uname().nodename, "::": os.uname().nodename}.get(host, host)
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/" + (f"?token={token}" if token else "")
