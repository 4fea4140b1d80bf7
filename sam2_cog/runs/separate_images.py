"""Images of different sizes: what a request asks for on each of them, and the masks of one after the other."""

from collections.abc import Generator, Iterator, Sequence

from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.stills import find_on_image
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks
from sam2_cog.media.footage import Footage
from sam2_cog.media.frame_archive import unreadable
from sam2_cog.media.image_set import ImageSet
from sam2_cog.media.video import Frame
from sam2_cog.outputs import OUTPUTS
from sam2_cog.outputs.archive import Archive
from sam2_cog.prompts import FramePrompt, ObjectPrompts, prompt_frames
from sam2_cog.request import Request
from sam2_cog.runs.objects import check_within, objects_within


def formats_of_images() -> list[str]:
    """The output formats that take pictures of any sizes."""
    return [name for name, kind in OUTPUTS.items() if issubclass(kind, Archive)]


def kind_for_images(request: Request, images: ImageSet) -> type[Archive]:
    """What encodes the pictures of the result; raises UnreadableVideo for a format that needs frames of one size."""
    kind = OUTPUTS[request.output_format]
    if not issubclass(kind, Archive):
        first = images.images[0]
        pairs = zip(images.images, images.names, strict=True)
        other, name = next(pair for pair in pairs if (pair[0].width, pair[0].height) != (first.width, first.height))
        found = f"{other.width}x{other.height} ({name}), but its first is {first.width}x{first.height}"
        takers = ", ".join(formats_of_images())
        wanted = f"all must be equal for {request.output_format}; {takers} take each for itself"
        raise unreadable(images.path, f"holds an image of {found}; {wanted}")
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
    model: LoadedModel, images: Footage, frames: Iterator[Frame], objects: Sequence[ObjectPrompts], *, soft: bool
) -> Generator[tuple[Frame, FrameMasks], None, None]:
    """Each image, its index being its number, with the masks of all objects, empty for those not asked for on it."""
    for frame in frames:
        features = model.encode(frame.image)
        yield frame, find_on_image(model, images, frame.index, features, objects, soft=soft)
