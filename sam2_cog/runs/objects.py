"""What a request asks for: its strings and files, read against a clip -> objects with prompts."""

from pathlib import Path
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
    request: Request,
    width: int,
    height: int,
    frame_count: int,
    used: range | None = None,
    entries: tuple[Entry, ...] | None = None,
) -> tuple[ObjectPrompts, ...]:
    """The same for frames of `width` x `height` pixels.

    used: the numbers of the frames that are used, None for all.
    entries: what the request's files say, where they have been read already.
    """
    size: dict[str, Any] = {"width": width, "height": height, "frame_count": frame_count}
    if entries is None:
        entries = read_files(request.masks, request.mask_frames, request.boxes, **size)
    if used is not None:
        for name in ("boxes",) if request.mask_frames.strip() else ("masks", "boxes"):
            entries = _on_used_frames(name, entries, used)
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
        from_files=entries,
    )


def read_files(masks: Path | None, mask_frames: str, boxes: Path | None, **size: int) -> tuple[Entry, ...]:
    """What files of masks and boxes say of a clip; `size`, and what is refused: as of `read_masks` and `read_boxes`."""
    from_masks = read_masks(masks, mask_frames, **size) if masks else ()
    from_boxes = read_boxes(boxes, **size) if boxes else ()
    return (*from_masks, *from_boxes)


def check_within(name: str, prompt: FramePrompt, width: int, height: int, shown: str) -> None:
    """Raise InvalidRequest if a prompt that was read for a larger frame is outside of its own, which `shown` names."""
    for x, y in prompt.points:
        if x >= width or y >= height:
            raise InvalidRequest(f"click_coordinates: {name!r} is clicked at [{x:g}, {y:g}]{shown}")
    if prompt.box and (prompt.box[2] > width or prompt.box[3] > height):
        numbers = ", ".join(f"{number:g}" for number in prompt.box)
        raise InvalidRequest(f"click_coordinates: {name!r} has the box [{numbers}]{shown}")


def _on_used_frames(name: str, entries: tuple[Entry, ...], used: range) -> tuple[Entry, ...]:
    """Without the masks, or the boxes, that are on frames that are not used."""
    kept = tuple(entry for entry in entries if entry.input != name or entry.frame in used)
    if kept != entries and not any(entry.input == name for entry in kept):
        raise InvalidRequest(
            f"{name}: none of them is on a frame that is used "
            f"(start_frame {used[0]}, end_frame {used[-1]}, frame_stride {used.step})"
        )
    return kept
