"""What a request asks for: its strings and files, read against a clip -> objects with prompts."""

from typing import Any

from sam2_cog.errors import InvalidRequest
from sam2_cog.media.video import VideoInfo
from sam2_cog.prompts import FramePrompt, ObjectPrompts, parse_prompts
from sam2_cog.reading.box_files import read_boxes
from sam2_cog.reading.entry import Entry
from sam2_cog.reading.mask_files import read_masks
from sam2_cog.request import Request


def objects_of(request: Request, info: VideoInfo) -> tuple[ObjectPrompts, ...]:
    """What a request asks for in this video or part of one; raises InvalidRequest if it does not fit.

    Frames have their numbers in the whole video. Of a file of boxes, and of one of masks if none of its frames were
    chosen, what is on frames that are not used is left out.
    """
    return objects_within(request, info.width, info.height, info.whole.frame_count, used=info.part)


def objects_within(
    request: Request, width: int, height: int, frame_count: int, used: range | None = None
) -> tuple[ObjectPrompts, ...]:
    """The same for frames of `width` x `height` pixels; `used` are the numbers of those that are used, None for all."""
    size: dict[str, Any] = {"width": width, "height": height, "frame_count": frame_count}
    masks = read_masks(request.masks, request.mask_frames, **size) if request.masks else ()
    boxes = read_boxes(request.boxes, **size) if request.boxes else ()
    if used is not None:
        if not request.mask_frames.strip():
            masks = _on_used_frames("masks", masks, used)
        boxes = _on_used_frames("boxes", boxes, used)
    return parse_prompts(
        request.click_coordinates,
        request.click_labels,
        request.click_frames,
        request.click_object_ids,
        request.click_corrections,
        request.click_candidates,
        **size,
        used=used,
        propagation=request.propagation,
        from_files=[*masks, *boxes],
    )


def check_within(name: str, prompt: FramePrompt, width: int, height: int, shown: str) -> None:
    """Raise InvalidRequest if a prompt that was read for a larger frame is outside of its own, which `shown` names."""
    for x, y in prompt.points:
        if x >= width or y >= height:
            raise InvalidRequest(f"click_coordinates: {name!r} is clicked at [{x:g}, {y:g}]{shown}")
    if prompt.box and (prompt.box[2] > width or prompt.box[3] > height):
        numbers = ", ".join(f"{number:g}" for number in prompt.box)
        raise InvalidRequest(f"click_coordinates: {name!r} has the box [{numbers}]{shown}")


def _on_used_frames(name: str, entries: tuple[Entry, ...], used: range) -> tuple[Entry, ...]:
    kept = tuple(entry for entry in entries if entry.frame in used)
    if entries and not kept:
        raise InvalidRequest(
            f"{name}: none of them is on a frame that is used "
            f"(start_frame {used[0]}, end_frame {used[-1]}, frame_stride {used.step})"
        )
    return kept
