"""One open clip that somebody edits: click, look, track, correct, track on from there, take the result.

Several shots are one clip, whose frames are numbered through. Images of different sizes are no clip: each is a frame,
its number its place, on which objects are found by their clicks there alone.

What a session shows after `track` equals a fresh run of the same prompts, bit for bit on the CPU, whatever was tracked,
broken off or changed before. It is quick all the same: an object is tracked again only from the first step that its
edit changes (see `engine/journal.py`), and what an undo brings back is not tracked at all.
"""

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from fractions import Fraction
from functools import partial
from numbers import Integral
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any

import numpy as np

from sam2_cog.engine.candidates import Candidate, find_candidates
from sam2_cog.engine.host_memory import give_back_freed_memory
from sam2_cog.engine.incremental import IncrementalTracker, Tracks
from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.steps import Features
from sam2_cog.engine.stills import Stills
from sam2_cog.engine.tracker import Clip, Tracker
from sam2_cog.errors import InvalidRequest, shortened
from sam2_cog.limits import JOURNAL_BYTES, Deadline
from sam2_cog.masks import FrameMasks, joined, no_masks
from sam2_cog.media.footage import Footage, opened_footage
from sam2_cog.media.frame_archive import IMAGE_CONTAINERS
from sam2_cog.media.frame_reader import FrameReader
from sam2_cog.media.image_set import ImageSet
from sam2_cog.media.shots import Shots
from sam2_cog.media.video import Frame, VideoInfo, probe
from sam2_cog.outputs.destination import check_output, check_picture
from sam2_cog.pipeline import Result, output_spec, segment_opened, segment_video, write_result
from sam2_cog.progress import LogProgress, Progress
from sam2_cog.prompts import PROPAGATIONS, FramePrompt, ObjectPrompts, prompt_frames
from sam2_cog.reading.entry import Entry
from sam2_cog.request import Request, checked_path, exact_rate
from sam2_cog.runs.objects import objects_of, objects_within, read_files
from sam2_cog.runs.separate_images import objects_of_images
from sam2_cog.runs.shots import numbered_through, objects_of_shots
from sam2_cog.runs.watched_clip import WatchedClip

FEATURES_KEPT = 8
"""Encoded frames that are kept for the next click on them: 16 MiB each with the official networks."""


class Session:
    """One clip with its model; a context manager.

    Safe in several threads: the network is taken for one step at a time, so that `preview` answers while another thread
    tracks. Objects are what `parse` gives. A frame that the clip does not have, objects that do not fit it, and the use
    of a closed session are refused with InvalidRequest, in one sentence.
    """

    def __init__(
        self,
        video: Path | str,
        model: LoadedModel | str | None = None,
        *,
        frame_rate: Fraction | float | None = None,
        one_size: bool = False,
    ) -> None:
        """video: what `Request.video` may be. model: a loaded one, or a name as in `load_model`.
        frame_rate: frames a second of a zip or a folder of frames, as `Request.video_fps`, 24 unless given.
        one_size: refuse what is no clip of frames of one size, as `probe` does.

        Raises:
            InvalidRequest: `video` is no path, or `frame_rate` no frame rate.
            UnreadableVideo: the video cannot be decoded.
            CheckpointError: the model cannot be loaded.
        """
        path, rate = checked_path("video", video), exact_rate("frame_rate", frame_rate or 0)
        with ExitStack() as held:
            self.footage = Footage(probe(path, rate)) if one_size else held.enter_context(opened_footage(path, rate))
            self._model = model if isinstance(model, LoadedModel) else load_model(model)
            self._held = held.pop_all()
        self.info: VideoInfo = self.footage.info
        self._pictures = FrameReader(self.footage)
        self._tracker = _tracker_of(self.footage, self._model)
        self._tracks: Tracks | None = None
        self._files: tuple[object, tuple[Entry, ...]] = (None, ())
        self._features: OrderedDict[int, Features] = OrderedDict()
        self._features_lock = Lock()

    def __enter__(self) -> "Session":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything; what still tracks in another thread is refused its next step."""
        self._tracker.close()
        self._pictures.close()
        with self._features_lock:
            self._features.clear()
        self._held.close()
        give_back_freed_memory()

    def parse(
        self,
        click_coordinates: str,
        click_labels: str = "1",
        click_frames: str = "0",
        click_object_ids: str = "",
        click_corrections: str = "0",
        propagation: str = "both",
        masks: Path | str | None = None,
        mask_frames: str = "",
        boxes: Path | str | None = None,
        click_candidates: str = "0",
    ) -> tuple[ObjectPrompts, ...]:
        """The prompts of a request as objects in this clip; InvalidRequest with the request's own sentence."""
        request = Request(
            self.info.path,
            click_coordinates,
            click_labels,
            click_frames,
            click_object_ids,
            click_corrections,
            click_candidates,
            masks=Path(masks) if masks else None,
            mask_frames=mask_frames,
            boxes=Path(boxes) if boxes else None,
            propagation=propagation,
        )
        return self.objects_of(request)

    def objects_of(self, request: Request) -> tuple[ObjectPrompts, ...]:
        """What a request asks for in this clip, all of which is looked at; InvalidRequest if it does not fit."""
        if isinstance(self.footage.parts, Shots):
            return objects_of_shots(request, self.footage.parts)
        if self.footage.parts:
            return objects_of_images(request, self.footage.parts)
        entries = self.read_files(request.masks, request.mask_frames, request.boxes)
        return objects_within(request, **self._size, entries=entries)

    def read_files(
        self, masks: Path | str | None = None, mask_frames: str = "", boxes: Path | str | None = None
    ) -> tuple[Entry, ...]:
        """What files of masks and boxes say of this clip, in the inputs of `parse`; InvalidRequest as there.

        It is kept until others are asked for: a thousand masks are not unpacked again for every click.
        """
        asked = (_state_of(masks), mask_frames, _state_of(boxes))
        known, entries = self._files
        if asked != known:
            if isinstance(self.footage.parts, Shots):
                mask_frames = numbered_through("mask_frames", mask_frames, self.footage.parts)
            paths = (Path(masks) if masks else None, mask_frames, Path(boxes) if boxes else None)
            entries = read_files(*paths, **self._size)
            self._files = asked, entries
        return entries

    @property
    def _size(self) -> dict[str, Any]:
        return {"width": self.info.width, "height": self.info.height, "frame_count": self.info.frame_count}

    def picture(self, frame: int) -> np.ndarray:
        """The (H, W, 3) uint8 RGB picture of a frame, read-only; the next frames and the last few come quickly."""
        self._check_frame(frame)
        return self._pictures.read(frame)

    def warm(self, frame: int) -> None:
        """Encode a frame ahead of the first click on it."""
        self._check_frame(frame)
        self._encoded(frame)

    def preview(self, objects: Sequence[ObjectPrompts], frame: int, propagation: str = "both") -> FrameMasks:
        """The masks of these objects on one frame, as tracking would find them so far as this frame alone tells.

        Exact where an object has a prompt on the frame, and where it was tracked up to there with what it is told now;
        else it is what was found last for an object of its name, or an empty mask.
        """
        self._check_frame(frame)
        if not objects:
            return no_masks(frame, 0, self.footage.size(frame))
        passes = self._passes(objects, propagation)
        return joined([self._tracker.preview(one, passes, frame, self._encoded) for one in objects])

    def candidates(self, prompt: FramePrompt) -> tuple[Candidate, ...]:
        """The three masks that the network finds for clicks and a box, each with its score: a click may mean a part.

        They stand in the network's own order, as `FramePrompt.candidate` and `click_candidates` count them, from 1;
        equal to `predict(multimask_output=True)` of the official `SAM2ImagePredictor`, see `engine/candidates.py`.

        Raises:
            InvalidRequest: the prompt does not fit the clip, holds a mask, or neither a click nor a box.
        """
        _check_prompt("candidates: the prompt", prompt, self.footage)
        if prompt.mask or not (prompt.points or prompt.box):
            found = "has a mask" if prompt.mask else "is empty"
            raise InvalidRequest(f"candidates: the prompt {found}, but it must be clicks or a box and nothing else")
        height, width = self.footage.size(prompt.frame_index)
        return find_candidates(self._model, self._encoded(prompt.frame_index), prompt, width, height)

    def track(self, objects: Sequence[ObjectPrompts], propagation: str = "both") -> Generator[FrameMasks, None, None]:
        """Find what is stale; yield each frame with the masks of all objects as soon as it is found.

        Frames before the start come first, from the last to the first, then the others in order. Closing the generator
        breaks off; the next call goes on from there.
        """
        self._tracks = self._tracker.begin(objects, self._passes(objects, propagation))
        return self._tracker.advance(self._tracks)

    def stale(self, objects: Sequence[ObjectPrompts], propagation: str = "both") -> dict[str, int]:
        """Name -> the first frame whose masks `track` would find; an object that is up to date is not in it."""
        if not objects:
            return {}
        return self._tracker.stale(objects, self._passes(objects, propagation))

    def frames_to_track(self, objects: Sequence[ObjectPrompts], propagation: str = "both") -> int:
        """How many frames `track` would yield."""
        return self._tracker.frames_to_track(objects, self._passes(objects, propagation)) if objects else 0

    def masks(self, frame: int) -> FrameMasks | None:
        """The masks of the objects tracked last on a frame; None while nothing of it was found.

        Where an object is still stale it has what was found last under its name, or an empty mask.
        """
        self._check_frame(frame)
        return self._tracker.masks(self._tracks, frame) if self._tracks else None

    def results(self) -> Generator[tuple[Frame, FrameMasks], None, None]:
        """Every frame of the clip, in order, with the masks of the objects tracked last; the network does not run.

        Of separate images those on which any of the objects is asked for.
        """
        tracks = self._tracks
        if tracks is None or not tracks.complete:
            raise InvalidRequest("objects: they are not tracked to the end yet, so their results are not whole")
        return self._results(tracks, self.footage)

    def write(self, request: Request, path: Path | str, progress: Progress | None = None) -> Result:
        """Write what a request for this clip asks for, as `segment_video` would; only what is stale is tracked first.

        A part of the clip is a clip of its own, which is tracked afresh. So is what is made of the masks' logits
        (`Request.wants_logits`) where there was no room for them.

        Raises:
            InvalidRequest: the request is for another clip, or does not fit this one.
            UnreadableVideo: the file changed since it was opened.
            OSError: the result cannot be written.
        """
        if request.video.absolute() != self.info.path:
            other, own = request.video.name, self.info.path.name
            raise InvalidRequest(f"video: {other} is not the clip of this session, which is {own}")
        if parts := self.footage.parts:
            return self._write_parts(request, parts, Path(path), progress or LogProgress())
        of_images = self.info.container in IMAGE_CONTAINERS
        if request.frames_of(self.info.frame_count) != self.info.numbers:
            return segment_video(request, self._model, path, progress, info=None if of_images else self.info)
        check_output(request, Path(path))
        info = probe(self.info.path, request.frame_rate) if of_images else self.info
        objects = objects_of(request, info)
        check_picture(request, info, objects, Path(path))
        passes = self._passes(objects, request.propagation)
        frames = self._tracker.frames_to_track(objects, passes) + info.frame_count
        clip = WatchedClip(info, frames, progress or LogProgress(), Deadline())
        spec = output_spec(request, info, objects, self._model.name, Path(path))
        self._tracks = self._tracker.begin(objects, passes)
        return write_result(request, spec, clip, self._finished(self._tracks, clip, request, info))

    def _write_parts(self, request: Request, parts: Shots | ImageSet, path: Path, progress: Progress) -> Result:
        """The same of shots and of images."""
        before = 0

        def find(objects: Sequence[ObjectPrompts]) -> Callable[[int], FrameMasks] | None:
            nonlocal before
            passes, deadline = self._passes(objects, request.propagation), Deadline()
            before = self._tracker.frames_to_track(objects, passes)
            written = len(prompt_frames(objects)) if isinstance(parts, ImageSet) else parts.frame_count
            tracks = self._tracks = self._tracker.begin(objects, passes)
            with closing(self._tracker.advance(tracks)) as found:
                for done, _ in enumerate(found, 1):
                    deadline.check()
                    progress(done, before + written)
            if request.wants_logits and not tracks.has_logits:
                return None
            return partial(self._known, tracks, soft=request.wants_logits)

        def goes_on(done: int, total: int) -> None:
            progress(before + done, before + total)

        return segment_opened(request, parts, self._model, path, goes_on, find)

    def _finished(
        self, tracks: Tracks, clip: WatchedClip, request: Request, info: VideoInfo
    ) -> Generator[tuple[Frame, FrameMasks], None, None]:
        with closing(self._tracker.advance(tracks)) as found:
            for _ in found:
                clip.count_frame()
        if request.wants_logits and not tracks.has_logits:
            yield from Tracker(self._model).track(Footage(info), tracks.objects, request.propagation, soft=True)
        else:
            yield from self._results(tracks, clip, soft=request.wants_logits)

    def _results(
        self, tracks: Tracks, clip: Clip, *, soft: bool = False
    ) -> Generator[tuple[Frame, FrameMasks], None, None]:
        with closing(clip.read()) as frames:
            for frame in frames:
                if not isinstance(self._tracker, Stills) or self._tracker.masks(tracks, frame.index):
                    yield frame, self._known(tracks, frame.index, soft=soft)

    def _known(self, tracks: Tracks, frame: int, *, soft: bool) -> FrameMasks:
        masks = self._tracker.masks(tracks, frame, soft=soft)
        assert masks is not None, "the tracks are complete"
        return masks

    def _encoded(self, frame: int) -> Features:
        with self._features_lock:
            if frame in self._features:
                self._features.move_to_end(frame)
                return self._features[frame]
        features = self._model.encode(self._pictures.read(frame))
        with self._features_lock:
            self._features[frame] = features
            if len(self._features) > FEATURES_KEPT:
                self._features.popitem(last=False)
        return features

    def _passes(self, objects: Sequence[ObjectPrompts], propagation: str) -> Passes:
        _check_objects(objects, self.footage)
        if propagation not in PROPAGATIONS:
            raise InvalidRequest(f"propagation: {propagation!r} is not one of {', '.join(PROPAGATIONS)}")
        return Passes.of(objects, self.info.frame_count, propagation)

    def _check_frame(self, frame: int) -> None:
        count = self.info.frame_count
        if not (isinstance(frame, Integral) and 0 <= frame < count):
            raise InvalidRequest(
                f"frame: {shortened(repr(frame))} is not a frame of this video, which has frames 0 to {count - 1}"
            )


def _tracker_of(footage: Footage, model: LoadedModel) -> IncrementalTracker | Stills:
    if isinstance(footage.parts, ImageSet):
        return Stills(model, footage)
    room = shutil.disk_usage(tempfile.gettempdir()).free // 2
    return IncrementalTracker(model, footage, min(JOURNAL_BYTES.value, room))


def _state_of(path: Path | str | None) -> object:
    """Another value whenever the file may hold something else."""
    try:
        found = Path(path).stat() if path else None
    except OSError:  # whoever reads it says why
        found = None
    return (path, found.st_mtime_ns, found.st_size) if found else path


def _check_objects(objects: Sequence[ObjectPrompts], footage: Footage) -> None:
    """Objects that did not come from `Session.parse` of this clip may be anything."""
    if not objects:
        raise InvalidRequest("objects: there is none, but at least one is needed")
    names = [one.name for one in objects]
    for one in objects:
        if names.count(one.name) > 1:
            raise InvalidRequest(f"objects: {names.count(one.name)} are named {one.name!r}, each needs its own name")
        if not one.prompts:
            raise InvalidRequest(f"objects: {one.name!r} has no foreground click, box or mask to begin with")
        if one.corrections and isinstance(footage.parts, ImageSet):
            raise InvalidRequest(
                f"objects: {one.name!r} is corrected, but of separate images none follows from another"
            )
        for prompt in (*one.prompts, *one.corrections):
            _check_prompt(f"objects: {one.name!r}", prompt, footage)


def _check_prompt(shown: str, prompt: FramePrompt, footage: Footage) -> None:
    """`shown` is how the sentence about a wrong one begins."""
    if not 0 <= prompt.frame_index < footage.frame_count:
        last = footage.frame_count - 1
        raise InvalidRequest(f"{shown} is clicked on frame {prompt.frame_index}, but the video has frames 0 to {last}")
    height, width = footage.size(prompt.frame_index)
    name = footage.label(prompt.frame_index) or "the video"
    if prompt.mask and prompt.mask.size != (height, width):
        high, wide = prompt.mask.size
        raise InvalidRequest(f"{shown} has a mask of {wide}x{high}, but {name} is {width}x{height}")
    if prompt.candidate not in range(4) or (
        prompt.candidate and (prompt.labels[:1] != (1,) or prompt.box or prompt.mask)
    ):
        raise InvalidRequest(
            f"{shown} has candidate {prompt.candidate} on frame {prompt.frame_index}, but a candidate is 1, 2 "
            "or 3, or 0 for the best, of a first foreground click without a box or a mask"
        )
    for x, y in prompt.points:
        if not (0 <= x < width and 0 <= y < height):
            raise InvalidRequest(f"{shown} is clicked at [{x:g}, {y:g}], but {name} is {width}x{height}")
