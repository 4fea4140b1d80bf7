"""Several shots as one clip: frames written as `shot:frame`, and what a request asks for on them.

An object that is prompted in one shot is looked for in all of them: the shots are tracked one after the other, as if
they were one clip with cuts.
"""

import re
from dataclasses import replace

from sam2_cog.errors import InvalidRequest
from sam2_cog.media.shots import Shots
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from sam2_cog.request import Request
from sam2_cog.runs.objects import check_within, objects_within

_SHOT_AND_FRAME = re.compile(r"(?<![\w.:-])([0-9]{1,9}):([0-9]{1,9})(?![\w.:-])")


def objects_of_shots(request: Request, shots: Shots) -> tuple[ObjectPrompts, ...]:
    """What a request asks for; its frames are numbered through, or `shot:frame`, both from 0. Raises InvalidRequest."""
    sizes = {(info.width, info.height) for info in shots.videos}
    if request.masks and len(sizes) > 1:
        raise InvalidRequest(f"masks: the shots of {shots.name} differ in size, they take clicks and boxes alone")
    numbered = replace(
        request,
        click_frames=numbered_through("click_frames", request.click_frames, shots),
        mask_frames=numbered_through("mask_frames", request.mask_frames, shots),
    )
    largest = (max(width for width, _ in sizes), max(height for _, height in sizes))
    objects = objects_within(numbered, *largest, shots.frame_count)
    for one in objects:
        for prompt in (*one.prompts, *one.corrections):
            _check_within(one.name, prompt, shots)
    return objects


def numbered_through(name: str, text: str, shots: Shots) -> str:
    """A list of frames with every `shot:frame` as the number that this frame has in all shots together."""

    def number(found: re.Match[str]) -> str:
        shot, frame = int(found[1]), int(found[2])
        if shot >= len(shots.videos):
            last = len(shots.videos) - 1
            raise InvalidRequest(f"{name}: {found[0]!r} is in shot {shot}, but there are shots 0 to {last}")
        info = shots.videos[shot]
        if frame >= info.frame_count:
            what = f"shot {shot} ({info.path.name}) has frames 0 to {info.frame_count - 1}"
            raise InvalidRequest(f"{name}: {found[0]!r} is on frame {frame}, but {what}")
        return str(shots.starts[shot] + frame)

    return _SHOT_AND_FRAME.sub(number, text)


def _check_within(name: str, prompt: FramePrompt, shots: Shots) -> None:
    """Clicks were read against the largest sides of all shots."""
    shot, frame = shots.place(prompt.frame_index)
    info = shots.videos[shot]
    shown = f" on frame {frame} of shot {shot} ({info.path.name}), which is {info.width}x{info.height}"
    check_within(name, prompt, info.width, info.height, shown)
