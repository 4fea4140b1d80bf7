"""The clips that clients have uploaded: each a session on a zip of its frames, until it is closed or forgotten."""

import base64
import binascii
import threading
import time
import uuid
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest
from sam2_cog.held import HeldFolder
from sam2_cog.limits import IDLE_SECONDS
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.session import Session

MOST_OPEN = 10
"""As in the reference server."""

_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


class OpenClip:
    """One uploaded clip, and the object that is being worked on."""

    def __init__(self, frames: Sequence[Any], model: LoadedModel) -> None:
        """frames: data URLs of JPEG, PNG or WebP images of one size; raises InvalidRequest or UnreadableVideo."""
        with ExitStack() as stack:
            folder = stack.enter_context(HeldFolder())
            path = _write_zip(folder / "frames.zip", frames)
            self.session = stack.enter_context(Session(path, model, one_size=True))
            self._stack = stack.pop_all()
        self.busy = threading.Lock()
        """Held while the clip is tracked."""
        self.objects: tuple[ObjectPrompts, ...] = ()
        self.tolerance = 0.0
        self.number = 1
        """Of the object; the client knows tracks by it."""
        self.finished = False
        self.last_used = time.monotonic()

    def prompt(self, objects: tuple[ObjectPrompts, ...], tolerance: float) -> None:
        """Take other clicks: on the same object, or after its tracking was completed on the next one.

        The client sends the same clicks once more before it tracks, which changes nothing.
        """
        if objects != self.objects and self.finished:
            self.number += 1
            self.finished = False
        self.objects, self.tolerance = objects, tolerance

    def close(self) -> None:
        """Stop the session and remove the frames."""
        self._stack.close()


class Clips:
    """The open clips by id; safe from several threads."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model
        self._open: OrderedDict[str, OpenClip] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, frames: Sequence[Any]) -> str:
        """Take a clip in; of too many, the one that was used longest ago is closed."""
        clip, name = OpenClip(frames, self._model), uuid.uuid4().hex
        with self._lock:
            idle = [other for other, one in self._open.items() if not one.busy.locked()]
            surplus = idle[: max(len(self._open) - MOST_OPEN + 1, 0)]
            self._open[name] = clip
        for other in surplus:
            self.cleanup(other)
        return name

    def get(self, name: Any) -> OpenClip:
        """The clip; HTTPException 404 where there is none of this id."""
        with self._lock:
            clip = self._open.get(name) if isinstance(name, str) else None
            if clip is None:
                raise HTTPException(404, "this video is no longer open on the server: click again to send it anew")
            clip.last_used = time.monotonic()
            self._open.move_to_end(name)
        return clip

    def cleanup(self, name: str) -> None:
        """Close one clip, if it is open."""
        with self._lock:
            clip = self._open.pop(name, None)
        if clip:
            clip.close()

    def tend(self) -> None:
        """Close the clips that nobody has used for as long as is allowed: their clients went without a word."""
        late = time.monotonic() - IDLE_SECONDS.value
        with self._lock:
            idle = [name for name, clip in self._open.items() if clip.last_used < late and not clip.busy.locked()]
        for name in idle:
            self.cleanup(name)

    def close(self) -> None:
        """Close every clip."""
        for name in list(self._open):
            self.cleanup(name)


def _write_zip(path: Path, frames: Sequence[Any]) -> Path:
    if not isinstance(frames, list) or not frames:
        raise InvalidRequest("frames: there are none, but at least one image is needed")
    with zipfile.ZipFile(path, "w") as archive:
        for index, frame in enumerate(frames):
            suffix, content = _image(index, frame)
            archive.writestr(f"{index:06d}.{suffix}", content)
    return path


def _image(index: int, frame: Any) -> tuple[str, bytes]:
    """The suffix and the bytes of a data URL."""
    header, comma, body = frame.partition(",") if isinstance(frame, str) else ("", "", "")
    kind, _, coding = header.removeprefix("data:").partition(";")
    if not header.startswith("data:") or not comma or coding != "base64":
        raise InvalidRequest(f"frames: frame {index} is not a data URL with a base64 image")
    if kind not in _SUFFIXES:
        raise InvalidRequest(f"frames: frame {index} is {kind[:40]!r}, but it must be one of {', '.join(_SUFFIXES)}")
    try:
        return _SUFFIXES[kind], base64.b64decode(body, validate=True)
    except binascii.Error:
        raise InvalidRequest(f"frames: frame {index} is not base64") from None
