"""A clip that is open on the page: what is asked about it comes in the request's own strings, and goes back as JSON."""

import logging
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import Queue
from threading import Event, Lock, Thread
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException

from sam2_cog.errors import InvalidRequest, UnreadableVideo, quoted
from sam2_cog.http_base.answers import Json
from sam2_cog.masks import FrameMasks
from sam2_cog.media.shots import Shots
from sam2_cog.outputs.destination import suffix_for
from sam2_cog.outputs.shots import ShotsOutput
from sam2_cog.page import wire
from sam2_cog.page.pictures import Pictures
from sam2_cog.page.prompt_files import PromptFiles, called
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.request import Request
from sam2_cog.runs.separate_images import formats_of_images
from sam2_cog.session import Session

logger = logging.getLogger(__name__)

Objects = tuple[ObjectPrompts, ...]

SECONDS_BETWEEN_REPORTS = 0.1


class _Stopped(Exception):
    """Breaks a result off."""


class OpenClip:
    """A session as the page uses it. One thing at a time tracks or writes; everything else is answered meanwhile."""

    def __init__(self, session: Session, inputs: Json, files: PromptFiles) -> None:
        """inputs: what was asked last of this clip, when it was open before. files: those that requests may name."""
        self.info = session.info
        self.inputs = inputs
        """What was asked last, so that a page that is loaded anew shows it again."""
        self._session = session
        self._files = files
        self._pictures = Pictures(session.picture)
        self._working, self._stop = Lock(), Event()
        self._looking = Lock()
        self._tracked: Objects = ()
        self._smallest_part = 0.0
        self._edition = 0
        self._lanes: tuple[int, Json] = (-1, {})

    def close(self) -> None:
        """Stop what runs, and let go of everything."""
        self._stop.set()
        self._session.close()

    def stop(self) -> None:
        """Break off what tracks or writes, after the frame that it is at."""
        self._stop.set()

    @property
    def is_busy(self) -> bool:
        """Whether it tracks or writes."""
        return self._working.locked()

    # What is answered at once.

    @property
    def kind(self) -> str:
        """What is open: `clip`, `shots` or `images`, of which none follows from another."""
        parts = self._session.footage.parts
        return "clip" if parts is None else "shots" if isinstance(parts, Shots) else "images"

    @property
    def formats(self) -> list[str] | None:
        """The output formats that it can be written in; None for all."""
        return formats_of_images() if self.kind == "images" else None

    def picture(self, frame: int) -> tuple[bytes, float, str]:
        """A frame as a JPEG file, its time by the file's own clock in seconds, and what people call it, if they do."""
        if not 0 <= frame < self.info.frame_count:
            raise HTTPException(404, f"frame: the video has frames 0 to {self.info.frame_count - 1}, not {frame}")
        return self._pictures.jpeg(frame), float(self.info.frame_times[frame]), self._session.footage.label(frame)

    def read(self, inputs: Json) -> Json:
        """What the strings and the files hold, an entry for each click, box and mask, and what the files are called."""
        request, objects = self._parsed(inputs)
        given = self._session.read_files(request.masks, request.mask_frames, request.boxes)
        files = {name: called(path) for name in wire.PROMPT_FILES if (path := getattr(request, name))}
        return {"entries": wire.entries_json(objects, given), "files": files | {"mask_frames": request.mask_frames}}

    def preview(self, inputs: Json, frame: int) -> Json:
        """The masks of a frame as its clicks would have them, and from which frame on each object is out of date.

        `edition` is another number whenever the lanes or the masks of frames may have changed.
        """
        request, objects = self._parsed(inputs)
        masks = self._session.preview(objects, frame, request.propagation)
        stale = self._session.stale(objects, request.propagation)
        if request.smallest_part != self._smallest_part:
            self._smallest_part = request.smallest_part
            self._edition += 1
        if not stale and objects != self._tracked:
            self._begin(request, objects).close()  # an undo: what is known of these objects is shown at once
        return {"masks": self._masks_json(objects, masks), "stale": stale, "edition": self._edition}

    def candidates(self, inputs: Json, frame: int, name: object) -> Json:
        """The scores of the three masks that the clicks of an object on a frame may mean, in the server's order."""
        _, objects = self._parsed(inputs)
        prompts = [prompt for one in objects if one.name == name for prompt in one.prompts]
        meant = next((prompt for prompt in prompts if prompt.frame_index == frame), None)
        if meant is None:
            raise InvalidRequest(f"candidates: no click starts an object named {quoted(str(name))} on frame {frame}")
        return {"scores": [one.score for one in self._session.candidates(meant)]}

    def warm(self, frame: int) -> Json:
        """Let the network look at a frame, so that the first click on it is answered sooner."""
        self._session.warm(frame)
        return {}

    def masks(self, frame: int) -> Json:
        """The masks that were tracked on a frame."""
        with self._looking:
            objects, found = self._tracked, self._session.masks(frame)
        return {"masks": self._masks_json(objects, found) if found else []}

    def lanes(self) -> Json:
        """For each object by name its lane of the timeline."""
        edition, lanes = self._lanes
        if edition != self._edition:
            edition = self._edition
            lanes = self._read_lanes()
            self._lanes = edition, lanes
        return {"lanes": lanes, "edition": edition}

    def _read_lanes(self) -> Json:
        with self._looking:
            objects = self._tracked
            found = [self._session.masks(frame) for frame in range(self.info.frame_count)] if objects else []
        lanes = {one.name: np.zeros(self.info.frame_count, np.uint8) for one in objects}
        for masks in found:
            if masks is not None:
                for name, value in self._lane_values(objects, masks).items():
                    lanes[name][masks.frame_index] = value
        return {name: wire.lane_text(lane) for name, lane in lanes.items()}

    def _lane_values(self, objects: Objects, masks: FrameMasks) -> dict[str, int]:
        """The bytes of the lanes on a frame; of images only of the objects that are asked for on it."""
        values = wire.lane_values(objects, masks)
        if self.kind != "images":
            return values
        asked = {one.name for one in objects for prompt in one.prompts if prompt.frame_index == masks.frame_index}
        return {name: value for name, value in values.items() if name in asked}

    def _masks_json(self, objects: Objects, masks: FrameMasks) -> list[Json]:
        return wire.masks_json(objects, masks.without_parts_below(self._smallest_part))

    # What takes its time: generators of events; closing one breaks off.

    def track(self, inputs: Json) -> Generator[Json, None, None]:
        """Find what is out of date: how many frames, then each frame with the bytes of its lanes, then how it ended."""
        request, objects = self._parsed(inputs)
        with self._at_work():
            yield {"total": self._session.frames_to_track(objects, request.propagation)}
            end = "done"
            with closing(self._begin(request, objects)) as found:
                for masks in found:
                    yield {"frame": masks.frame_index, "lanes": self._lane_values(objects, masks)}
                    if self._stop.is_set():
                        end = "stopped"
                        break
            yield {"end": end}

    def write(self, inputs: Json, folder: Path) -> Generator[Json, None, None]:
        """Write the result into a folder: how far that is, then its path, or that it was stopped."""
        request, objects = self._parsed(inputs)
        suffix = ShotsOutput.suffix if self.kind == "shots" else suffix_for(request, self.info, objects)
        path = folder / f"{self.info.path.stem}_result{suffix}"
        with self._at_work():
            self._begin(request, objects).close()
            reports: Queue[Json | None] = Queue()
            writer = Thread(target=self._write, args=(request, path, reports))
            writer.start()
            try:
                while (report := reports.get()) is not None:
                    yield report
            finally:
                self._stop.set()
                writer.join()

    def _write(self, request: Request, path: Path, reports: "Queue[Json | None]") -> None:
        last = 0.0

        def report(done: int, total: int) -> None:
            nonlocal last
            if self._stop.is_set():
                raise _Stopped
            if time.monotonic() - last > SECONDS_BETWEEN_REPORTS:
                last = time.monotonic()
                reports.put({"done": done, "total": total})

        try:
            self._session.write(request, path, report)
            reports.put({"path": path})
        except _Stopped:
            reports.put({"end": "stopped"})
        except (InvalidRequest, UnreadableVideo, OSError) as error:
            reports.put({"error": str(error)})
        except Exception:
            logger.exception("%s: writing failed", path.name)
            reports.put({"error": "the result could not be written, the server's log says why"})
        finally:
            reports.put(None)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        if not self._working.acquire(blocking=False):
            raise HTTPException(409, "the clip is being tracked or written already: wait, or stop that first")
        self._stop.clear()
        try:
            yield
        finally:
            self._edition += 1
            self._working.release()

    def _begin(self, request: Request, objects: Objects) -> Generator[FrameMasks, None, None]:
        """From now on these objects are shown; the generator finds what is missing of them."""
        with self._looking:
            steps = self._session.track(objects, request.propagation)
            self._tracked = objects
            self._edition += 1
        return steps

    def _parsed(self, inputs: Json) -> tuple[Request, Objects]:
        request = Request(**self._files.found(_known(inputs)) | {"video": self.info.path})
        objects = self._session.objects_of(request)
        self.inputs = inputs
        return request, objects


def _known(inputs: Any) -> Json:
    """The inputs, if all of them are inputs of a request."""
    if not isinstance(inputs, dict):
        raise InvalidRequest("inputs: they must be a JSON object")
    for name in inputs:
        if name not in Request.__dataclass_fields__:
            raise InvalidRequest(f"inputs: there is none named {quoted(name)}")
        if name == "video":
            raise InvalidRequest("video: requests of the page are for the clip that is open, and name none")
    return inputs
