"""What travels between the page and its server: the inputs, clicks and masks as JSON."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from sam2_cog.http_base.answers import Json
from sam2_cog.masks import FrameMasks, ObjectMask, run_lengths
from sam2_cog.outputs import suffix_of, suffix_of_picture
from sam2_cog.outputs.archive import EXACT
from sam2_cog.painting.render import FILL_OPACITY, object_colour
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.reading.entry import Entry
from sam2_cog.request import FILES, Request, option

COLOURS = 72
"""After so many objects the colours of the result begin anew."""
ABSENT, LEAST_SURE, SUREST = 1, 2, 255
"""A lane of the timeline has a byte a frame: 0 not tracked, 1 not there, 2 to 255 there with a score of 0 to 1."""

KINDS = ("highlighted", EXACT[0])
"""A painted mask type, and an exact one."""

CLICKS = tuple(item.name for item in fields(Request) if item.name.startswith("click_"))
PROMPT_FILES = tuple(name for name in FILES if name != "video")
"""The inputs whose files are uploaded beside the clip."""


def facts_json(model: str) -> Json:
    """What does not depend on the clip: the inputs with their defaults and bounds, and the colours.

    `suffixes`: how the name of a result ends, for each format without and with `separate_objects`; `pictures`: the same
    where one picture is enough, painted or, for the mask types that are `exact`, of one object.
    """
    formats = option("output_format").choices
    others = [item for item in fields(Request) if item.name not in (*CLICKS, *FILES, "mask_frames")]
    return {
        "model": model,
        "colours": ["#{:02x}{:02x}{:02x}".format(*object_colour(index)) for index in range(COLOURS)],
        "opacity": FILL_OPACITY,
        "defaults": {name: Request.__dataclass_fields__[name].default for name in CLICKS},
        "suffixes": {
            name: [suffix_of(_asked(name)), suffix_of(_asked(name, separate_objects=True))] for name in formats
        },
        "pictures": {name: [suffix_of_picture(_asked(name, mask_type=kind)) for kind in KINDS] for name in formats},
        "exact": EXACT,
        "inputs": [{"name": item.name, "default": item.default, **vars(option(item.name))} for item in others],
    }


def _asked(output_format: str, **inputs: Any) -> Request:
    return Request(Path("clip"), "[0,0]", output_format=output_format, **inputs)


def entries_json(objects: Iterable[ObjectPrompts], given: Iterable[Entry] = ()) -> list[Json]:
    """Every mask, box and click by itself, in the order of `format_prompts`; `input` says what each comes from.

    given: what the files say, among the objects' prompts.
    """
    filed = {(entry.name, entry.frame) for entry in given if entry.box}
    entries: list[Json] = []
    for one in objects:
        for prompt, corrects in [(each, False) for each in one.prompts] + [(each, True) for each in one.corrections]:
            clicks = list(zip(prompt.points, prompt.labels, strict=True))
            corrects = corrects and 1 in prompt.labels  # background clicks alone always do, marked or not
            entry = {"name": one.name, "frame": prompt.frame_index, "corrects": corrects, "input": "click_coordinates"}
            whole = {**entry, "at": None, "label": 1, "candidate": 0}
            entries += [{**whole, "input": "masks"}] if prompt.mask else []
            if prompt.box:
                of_file = (one.name, prompt.frame_index) in filed
                entries.append({**whole, "at": prompt.box, "input": "boxes" if of_file else "click_coordinates"})
            chosen = [prompt.candidate] + [0] * len(clicks)
            entries += [
                {**entry, "at": at, "label": label, "candidate": candidate}
                for (at, label), candidate in zip(clicks, chosen, strict=False)
            ]
    return entries


def masks_json(objects: Sequence[ObjectPrompts], masks: FrameMasks) -> list[Json]:
    """For each object its name, score, tight box and the run lengths of the mask within it, row by row."""
    found = zip(objects, masks.objects, masks.scores, strict=True)
    return [{"name": one.name, "score": float(score), **_mask_json(mask)} for one, mask, score in found]


def _mask_json(mask: ObjectMask) -> Json:
    return {"box": mask.tight, "runs": [] if mask.tight is None else run_lengths(mask.crop().T)}


def lane_values(objects: Sequence[ObjectPrompts], masks: FrameMasks) -> dict[str, int]:
    """For each object by name the byte of its lane on a frame."""
    found = zip(objects, masks.objects, masks.scores, strict=True)
    return {one.name: ABSENT if mask.tight is None else lane_value(float(score)) for one, mask, score in found}


def lane_value(score: float) -> int:
    """A score of 0 to 1 as a byte of a lane."""
    return LEAST_SURE + round((SUREST - LEAST_SURE) * min(1.0, max(0.0, score)))


def lane_text(lane: np.ndarray) -> str:
    """A lane, (frames,) uint8, in base64."""
    return b64encode(lane.tobytes()).decode()
