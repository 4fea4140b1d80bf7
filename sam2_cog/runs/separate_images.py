"""Images of different sizes: what a request asks for on each of them, and the masks of one after the other."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.masks import FrameMasks, no_masks
from sam2_cog.media.frame_archive import UnlikeImages
from sam2_cog.media.image_set import ImageSet
from sam2_cog.media.video import Frame
from sam2_cog.outputs import OUTPUTS
from sam2_cog.outputs.archive import Archive
from sam2_cog.prompts import FramePrompt, ObjectPrompts, prompt_frames
from sam2_cog.request import Request
from sam2_cog.runs.objects import check_within, objects_within

ABSENT_LOGIT = -32.0
"""What the logits of an object are on an image on which it is not asked for."""


def kind_for_images(request: Request, unlike: UnlikeImages) -> type[Archive]:
    """What encodes the pictures of the result; raises UnreadableVideo for a format that needs frames of one size."""
    kind = OUTPUTS[request.output_format]
    if not issubclass(kind, Archive):
        others = [name for name, one in OUTPUTS.items() if issubclass(one, Archive)]
        raise UnreadableVideo(f"{unlike} for {request.output_format}; {', '.join(others)} take each for itself")
    return kind


def objects_of_images(request: Request, images: ImageSet) -> tuple[ObjectPrompts, ...]:
    """What a request asks for on these images, `click_frames` being their numbers.

    Raises InvalidRequest for what does not fit them, or needs images of one size.
    """
    if request.masks:
        raise InvalidRequest(
            f"masks: the images of {images.path.name} differ in size, they take clicks and boxes alone"
        )
    largest = (max(info.width for info in images.images), max(info.height for info in images.images))
    objects = objects_within(request, *largest, len(images.images))
    for one in objects:
        for prompt in one.prompts:
            _check_within(one.name, prompt, images)
        for correction in one.corrections:
            number = correction.frame_index
            raise InvalidRequest(
                f"click_corrections: {one.name!r} is corrected on image {number} ({images.names[number]}), but has no "
                "foreground click or box there, and of images of different sizes none follows from another"
            )
    return objects


def _check_within(name: str, prompt: FramePrompt, images: ImageSet) -> None:
    """Clicks were read against the largest sides of all images."""
    info = images.images[prompt.frame_index]
    shown = f", but image {prompt.frame_index} ({images.names[prompt.frame_index]}) is {info.width}x{info.height}"
    check_within(name, prompt, info.width, info.height, shown)


def asked_on(objects: Sequence[ObjectPrompts]) -> dict[int, list[int]]:
    """Image -> the objects that are asked for on it, as indices."""
    return {
        number: [one.index for one in objects if any(prompt.frame_index == number for prompt in one.prompts)]
        for number in prompt_frames(objects)
    }


def masks_of_images(
    tracker: Tracker, frames: Iterator[Frame], objects: Sequence[ObjectPrompts], *, soft: bool
) -> Generator[tuple[Frame, FrameMasks], None, None]:
    """Each image, its index being its number, with the masks of all objects, empty for those not asked for on it."""
    asked = asked_on(objects)
    for frame in frames:
        there = [_alone(objects[index], place, frame.index) for place, index in enumerate(asked[frame.index])]
        with closing(tracker.track(_OneImage(frame.image), there, soft=soft)) as tracked:
            (_, found) = next(tracked)
        yield frame, _spread(found, asked[frame.index], len(objects), frame.index)


@dataclass(frozen=True)
class _OneImage:
    """An image as a tracker reads it: a clip of one frame."""

    image: np.ndarray
    frame_count: int = 1

    @property
    def width(self) -> int:
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        return int(self.image.shape[0])

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        if start == 0 and stop != 0:
            yield Frame(0, 0.0, self.image)

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        yield from self.read(0, len(indices))


def _alone(one: ObjectPrompts, index: int, number: int) -> ObjectPrompts:
    """What an object is told on one image, as if that were a clip."""
    (prompt,) = (prompt for prompt in one.prompts if prompt.frame_index == number)
    return ObjectPrompts(one.name, index, (replace(prompt, frame_index=0),), ())


def _spread(found: FrameMasks, asked: Sequence[int], count: int, number: int) -> FrameMasks:
    """The masks of some objects, at their places among `count`."""
    masks, soft = list(no_masks(number, count, found.objects[0].size).objects), None
    estimates = np.zeros((2, count), np.float32)
    estimates[:, asked] = found.scores, found.presence
    for index, mask in zip(asked, found.objects, strict=True):
        masks[index] = mask
    if found.soft is not None:
        soft = np.full((count, *found.soft.shape[1:]), ABSENT_LOGIT, np.float16)
        soft[asked] = found.soft
    return FrameMasks(number, tuple(masks), estimates[0], estimates[1], soft)
