"""Requests read against a small video: what the tests of the parser share."""

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import Box, FramePrompt, ObjectPrompts, Point, parse_prompts
from sam2_cog.reading.entry import Entry

WIDTH, HEIGHT, FRAMES = 640, 360, 164

FIVE = "[391,227],[250,230],[300,20],[480,200],[500,250]"


def parse(
    coordinates: str,
    labels: str = "1",
    frames: str = "0",
    names: str = "",
    corrections: str = "0",
    candidates: str = "0",
    *,
    propagation: str = "both",
    from_files: Sequence[Entry] = (),
) -> tuple[ObjectPrompts, ...]:
    return parse_prompts(
        coordinates,
        labels,
        frames,
        names,
        corrections,
        candidates,
        width=WIDTH,
        height=HEIGHT,
        frame_count=FRAMES,
        propagation=propagation,
        from_files=from_files,
    )


def refusal(*strings: str, **options: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        parse(*strings, **options)
    return str(caught.value)


def clicks(frame: int, *points_and_labels: tuple[Point, int], box: Box | None = None) -> FramePrompt:
    return FramePrompt(
        frame, tuple(p for p, _ in points_and_labels), tuple(label for _, label in points_and_labels), box
    )


def points_of(objects: Iterable[ObjectPrompts]) -> list[Point]:
    return [point for one in objects for prompt in one.prompts for point in prompt.points]


def names_of(objects: Iterable[ObjectPrompts]) -> list[str]:
    return [one.name for one in objects]
