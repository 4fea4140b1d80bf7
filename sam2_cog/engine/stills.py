"""Objects on images of which none follows from another: what is found on one depends on nothing but its own prompts."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from sam2_cog.engine.incremental import Tracks
from sam2_cog.engine.mask_store import pack, unpack
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.scratch_file import Place, ScratchFile
from sam2_cog.engine.steps import Features
from sam2_cog.engine.tracker import ClipOfShots, Run
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks, joined, no_masks
from sam2_cog.prompts import FramePrompt, ObjectPrompts, prompt_frames

ABSENT_LOGIT = -32.0
"""What the logits of an object are on an image on which it is not asked for."""


def find_on_image(
    model: LoadedModel,
    images: ClipOfShots,
    number: int,
    features: Features,
    objects: Sequence[ObjectPrompts],
    *,
    soft: bool = False,
) -> FrameMasks:
    """The masks of all objects on an image, as a clip of it alone gives them; empty for those not asked for on it.

    images: the sizes of the images by number. features: of this one. soft: with the logits.
    """
    return joined([_find(model, images, number, features, one, soft=soft) for one in objects])


def _find(
    model: LoadedModel, images: ClipOfShots, number: int, features: Features, one: ObjectPrompts, *, soft: bool
) -> FrameMasks:
    if _prompt_on(number, one) is None:
        return _nothing(model, images, number, soft=soft)
    with ThreadPoolExecutor(1) as resizers:
        run = Run(model, images, [one], Passes(number, number + 1, False), resizers, soft=soft)
        return run.look(number, features, reverse=False)


def _nothing(model: LoadedModel, images: ClipOfShots, number: int, *, soft: bool) -> FrameMasks:
    """One object that is not asked for on an image."""
    empty = no_masks(number, 1, images.size(number))
    side = model.steps.image_size // 4
    return replace(empty, soft=np.full((1, side, side), ABSENT_LOGIT, np.float16)) if soft else empty


def _prompt_on(number: int, one: ObjectPrompts) -> FramePrompt | None:
    return next((prompt for prompt in one.prompts if prompt.frame_index == number), None)


class Stills:
    """Finds each prompt once, and keeps what was found on disk; asked as an `IncrementalTracker` is.

    Safe in several threads; the network is taken for one image at a time. After `close` everything raises
    InvalidRequest. What passes say of the order of frames has no meaning here.
    """

    def __init__(self, model: LoadedModel, images: ClipOfShots) -> None:
        self._model = model
        self._images = images
        self._file = ScratchFile()
        self._known: dict[FramePrompt, Place] = {}
        self._lock = Lock()
        self._closed = False

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._known.clear()
            self._file.close()

    def stale(self, objects: Sequence[ObjectPrompts], passes: Passes) -> dict[str, int]:
        """Name -> the first image on which `advance` would look for the object; without those that are found."""
        missing = {one.name: self._missing([one]) for one in objects}
        return {name: numbers[0] for name, numbers in missing.items() if numbers}

    def frames_to_track(self, objects: Sequence[ObjectPrompts], passes: Passes) -> int:
        """How many images `advance` would yield."""
        return len(self._missing(objects))

    def begin(self, objects: Sequence[ObjectPrompts], passes: Passes) -> Tracks:
        """These objects, with all that is already known of them."""
        self._missing(objects)
        return StillTracks(tuple(objects), passes, (), self)

    def advance(self, tracks: Tracks) -> Generator[FrameMasks, None, None]:
        """Find what is missing; yield each image with the masks of all objects as soon as they are found."""
        for number in self._missing(tracks.objects):
            self._look_at(number, tracks.objects)
            if masks := self.masks(tracks, number):
                yield masks

    def masks(self, tracks: Tracks, frame: int, *, soft: bool = False) -> FrameMasks | None:
        """The masks of all objects on an image, empty where nothing is known; None while that is so of all of them."""
        found = [self._found(one, frame, soft=soft) for one in tracks.objects]
        if not any(found):
            return None
        return joined([part or _nothing(self._model, self._images, frame, soft=soft) for part in found])

    def preview(self, one: ObjectPrompts, passes: Passes, frame: int, encoded: Callable[[int], Features]) -> FrameMasks:
        """The mask of an object on one image, exact; empty where it is not asked for. encoded: gives the features."""
        self._look(one, frame, encoded)
        return self._found(one, frame) or _nothing(self._model, self._images, frame, soft=False)

    def _missing(self, objects: Sequence[ObjectPrompts]) -> list[int]:
        """The images on which any of these objects is still to be found, ascending."""
        self._check_open()
        return [
            number
            for number in prompt_frames(objects)
            if any((prompt := _prompt_on(number, one)) and prompt not in self._known for one in objects)
        ]

    def _look_at(self, number: int, objects: Sequence[ObjectPrompts]) -> None:
        with closing(self._images.read(number, number + 1)) as frames:
            features = self._model.encode(next(frames).image)
        for one in objects:
            self._look(one, number, lambda _: features)

    def _look(self, one: ObjectPrompts, number: int, encoded: Callable[[int], Features]) -> None:
        prompt = _prompt_on(number, one)
        if prompt is None or prompt in self._known:
            return
        masks = _find(self._model, self._images, number, encoded(number), one, soft=True)
        with self._lock:
            self._check_open()
            self._known[prompt] = self._file.put(pack(masks))

    def _found(self, one: ObjectPrompts, number: int, *, soft: bool = False) -> FrameMasks | None:
        prompt = _prompt_on(number, one)
        with self._lock:
            self._check_open()
            packed = self._known[prompt].read() if prompt in self._known else None
        if packed is None:
            return None
        masks = unpack(number, packed)
        return masks if soft else replace(masks, soft=None)

    def _check_open(self) -> None:
        if self._closed:
            raise InvalidRequest("video: it is closed, open it again")


@dataclass(frozen=True)
class StillTracks(Tracks):
    """Objects on images as they are told at a time; no recordings, what is known lies in `stills`."""

    stills: Stills

    @property
    def complete(self) -> bool:
        """Whether every object is found on every image on which it is asked for."""
        return not self.stills.stale(self.objects, self.passes)

    @property
    def has_logits(self) -> bool:
        """Always."""
        return True
