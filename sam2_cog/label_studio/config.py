"""A project's labeling config -> its VideoRectangle tags, each with the Video tag that it draws on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from sam2_cog.errors import InvalidRequest

DEFAULT_RATE = 24.0
"""Label Studio's own where the Video tag names none; it never reads the clip's."""


@dataclass(frozen=True)
class Control:
    """One VideoRectangle tag; `name` is the `from_name` of its regions, `video` their `to_name`."""

    name: str
    video: str
    value: str
    """What the Video tag shows: `$key` of the task's data, or an address."""
    framerate: str
    """As written in the config: a number, or `$key`."""

    def address(self, data: Mapping[str, Any]) -> str:
        """Where the video of a task with this `data` lies; raises InvalidRequest where the data do not say."""
        found = _substitute(self.value, data)
        if not isinstance(found, str) or not found:
            raise InvalidRequest(
                f"the task has no text under {self.value.removeprefix('$')!r}, where its video should be"
            )
        return found

    def rate(self, data: Mapping[str, Any]) -> float:
        """The editor's frames a second; as there, a number below 1 is the length of a frame, and nonsense is 24."""
        try:
            number = float(_substitute(self.framerate, data))
        except (TypeError, ValueError):
            return DEFAULT_RATE
        if not math.isfinite(number) or number <= 0:
            return DEFAULT_RATE
        return 1 / number if number < 1 else number


def read_config(text: str) -> dict[str, Control]:
    """The controls of a labeling config by name; raises InvalidRequest where it has none."""
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        raise InvalidRequest("the labeling config is not XML") from None
    videos = {tag.get("name"): tag for tag in root.iter("Video")}
    pairs = [(tag, videos[tag.get("toName")]) for tag in root.iter("VideoRectangle") if tag.get("toName") in videos]
    controls = [
        Control(tag.get("name", ""), video.get("name", ""), video.get("value", ""), video.get("framerate", ""))
        for tag, video in pairs
    ]
    if not controls:
        raise InvalidRequest("the labeling config has no VideoRectangle tag with a Video tag that its toName names")
    return {control.name: control for control in controls}


def _substitute(text: str, data: Mapping[str, Any]) -> Any:
    return data.get(text[1:]) if text.startswith("$") else text
