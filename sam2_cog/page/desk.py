"""What is open on the page: at most one clip, opened beside, closed when nobody uses it."""

import logging
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

from starlette.exceptions import HTTPException

from sam2_cog import limits
from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.held import HeldFolder
from sam2_cog.http_base.answers import Json
from sam2_cog.media.video import VideoInfo, probe, read_frames
from sam2_cog.outputs.destination import is_one_picture
from sam2_cog.page.open_clip import OpenClip
from sam2_cog.page.pictures import jpeg
from sam2_cog.page.prompt_files import PromptFiles
from sam2_cog.session import Session

logger = logging.getLogger(__name__)

LONGEST_NAME = 100


@dataclass
class _Source:
    """A file that was named or uploaded, and how far its opening is."""

    path: Path
    shown: str
    """How the copied commands name the file."""
    id: str = field(default_factory=lambda: secrets.token_hex(6))
    state: Literal["opening", "ready", "failed", "closed"] = "closed"
    error: str = ""
    info: VideoInfo | None = None
    first: bytes = b""
    """The first frame as JPEG, and what is known of the clip, before its frames are counted."""
    clip: OpenClip | None = None
    inputs: Json = field(default_factory=dict)
    files: PromptFiles = field(default_factory=PromptFiles)


class Desk:
    """Holds the clip that is open, and a folder for what is uploaded and written, until it is closed."""

    def __init__(self, model: Callable[[], LoadedModel]) -> None:
        """model: loads the model; called once, when the first clip is opened."""
        self._load = model
        self._model: LoadedModel | None = None
        self._lock, self._loading = Lock(), Lock()
        self._source: _Source | None = None
        self._result: Path | None = None
        self._used = time.monotonic()
        self._held = HeldFolder()
        self._folder = self._held.path

    def close(self) -> None:
        """Close the clip; nothing is left of what was uploaded and written."""
        with self._lock:
            if self._source is not None:
                self._close_clip(self._source)
            self._source = self._result = None
            self._held.close()

    def new_file(self, name: str) -> Path:
        """Where an upload of this name may be written."""
        kept = re.sub(r"[\x00-\x1f\x7f\\]", "_", Path(name).name)[-LONGEST_NAME:].lstrip(". ") or "clip"
        return Path(tempfile.mkdtemp(dir=self._folder)) / kept

    def open(self, path: Path, shown: str | None = None) -> None:
        """Begin to open a file in place of the one that is open, which is closed; uploads are removed with it."""
        with self._lock:
            if self._source is not None:
                self._close_clip(self._source)
                self._source.files.remove()
                if self._folder in self._source.path.parents:
                    shutil.rmtree(self._source.path.parent, ignore_errors=True)
            self._source = _Source(path, shown or path.name)
            self._begin(self._source)

    def keep(self, identity: object, path: Path) -> str:
        """Take up an uploaded file of masks or boxes for the clip that is meant; returns what requests call it."""
        with self._lock:
            try:
                return self._meant(identity).files.add(path)
            except HTTPException:
                shutil.rmtree(path.parent, ignore_errors=True)
                raise

    def facts(self) -> Json:
        """What is known of the clip; `frames` is null until they are counted. A clip that was idle is opened again."""
        self._used = time.monotonic()
        with self._lock:
            source = self._source
            if source is None:
                return {"state": "none", "id": "", "error": ""}
            if source.state == "closed":
                self._begin(source)
        facts: Json = {"id": source.id, "state": source.state, "error": source.error}
        facts |= {
            "name": source.path.name,
            "video": source.shown,
            "inputs": source.clip.inputs if source.clip else source.inputs,
        }
        if source.info is not None:
            info = source.info
            facts |= {"width": info.width, "height": info.height, "aspect": float(info.pixel_aspect)}
            facts |= {"fps": float(info.frame_rate), "frames": info.frame_count if source.clip else None}
            facts["single"] = is_one_picture(info)
        if source.clip is not None:
            facts |= {"kind": source.clip.kind, "formats": source.clip.formats}
        return facts

    def clip(self, identity: object) -> OpenClip:
        """The open clip, if it is the one that is meant."""
        source = self._meant(identity)
        if source.clip is None:
            raise HTTPException(410, "video: the clip is not open, load the page again")
        return source.clip

    def picture(self, identity: object, frame: int) -> tuple[bytes, float, str]:
        """A frame as a JPEG file, its time and its label; the first one also while the frames are counted."""
        source = self._meant(identity)
        if source.clip is None and frame == 0 and source.first and source.info:
            return source.first, float(source.info.frame_times[0]), ""
        return self.clip(identity).picture(frame)

    def write(self, identity: object, inputs: Json) -> Generator[Json, None, None]:
        """As `OpenClip.write`; in place of the path the address, name and size of the file come, for `result`."""
        clip = self.clip(identity)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        with closing(clip.write(inputs, folder)) as reports:
            for report in reports:
                if "path" in report:
                    self._keep_result(report["path"])
                    path = report["path"]
                    report = {"file": f"/api/result/{folder.name}", "name": path.name, "bytes": path.stat().st_size}
                yield report

    def result(self, name: str) -> Path:
        """The file that was written last."""
        path = self._result
        if path is None or path.parent.name != name:
            raise HTTPException(404, "this result is not kept any more, write it again")
        return path

    def tend(self) -> None:
        """Close the clip if nobody has used it for as long as is allowed."""
        with self._lock:
            source = self._source
            idle = time.monotonic() - self._used > limits.IDLE_SECONDS.value
            if idle and source and source.clip and not source.clip.is_busy:
                logger.info("%s: closed, because nobody used it", source.path.name)
                self._close_clip(source)

    def _keep_result(self, path: Path) -> None:
        if self._result is not None:
            shutil.rmtree(self._result.parent, ignore_errors=True)
        self._result = path

    def _meant(self, identity: object) -> _Source:
        self._used = time.monotonic()
        source = self._source
        if source is None or source.id != identity:
            raise HTTPException(410, "video: another clip is open now, load the page again")
        return source

    def _begin(self, source: _Source) -> None:
        source.state, source.error = "opening", ""
        Thread(target=self._open, args=(source,), daemon=True).start()

    def _open(self, source: _Source) -> None:
        error = ""
        try:
            self._peek(source)
            session = Session(source.path, self._loaded())
        except (InvalidRequest, UnreadableVideo, CheckpointError, OSError) as refusal:
            error = str(refusal)
        except Exception:
            logger.exception("%s: opening failed", source.path.name)
            error = f"video: {source.path.name} could not be opened, the server's log says why"
        with self._lock:
            if error:
                source.state, source.error = "failed", error
            elif source is not self._source or source.state != "opening":
                session.close()  # another clip was opened meanwhile
            else:
                source.info, source.clip = session.info, OpenClip(session, source.inputs, source.files)
                source.state = "ready"

    def _peek(self, source: _Source) -> None:
        """The first frame, before all are counted. Where it cannot be had so, the count says why, or finds it."""
        try:
            info = probe(source.path, first_only=True)
            with closing(read_frames(info, 0, 1)) as frames:
                source.first = jpeg(next(frames).image)
            source.info = info
        except (InvalidRequest, UnreadableVideo):
            logger.info("%s: its first frame comes when its frames are counted", source.path.name)

    def _loaded(self) -> LoadedModel:
        with self._loading:
            self._model = self._model or self._load()
            return self._model

    def _close_clip(self, source: _Source) -> None:
        if source.clip is not None:
            source.inputs = source.clip.inputs
            source.clip.close()
        source.clip, source.state = None, "closed"
