"""The five request strings -> a tuple of `ObjectPrompts`. Pure text and numbers: no network, no ffmpeg.

**Reading.** White space never matters (inside a name, a run of it is one space). One trailing comma ends a list.

- `click_coordinates`: entries `[x,y]` (a point) or `[x0,y0,x1,y1]` (a box), with or without an outer pair of brackets,
  in plain decimal numbers (no exponents). Pixels of the displayed frame, origin top left. Points lie inside the frame
  (0 <= x < width, 0 <= y < height); box corners may lie on its far edges (0 <= x0 < x1 <= width, the same for y).
- `click_labels`: `1` foreground, `0` background. Short: the last repeats. Empty: all `1`. A box is always foreground.
- `click_frames`: whole numbers from 0 to frame_count - 1. Short: the last repeats. Empty: all `0`.
- `click_object_ids`: names, up to 64 characters, no commas or control characters, case matters. A missing or empty name
  is `object_<position>` (`object_2` for the second entry). Where that name is also written out for another entry the
  request is refused, because two things would silently become one object.
- `click_corrections`: `1` for a click that corrects the mask tracked up to its frame, `0` for one that does not. Short:
  the last repeats. Empty: all `0`. A box is never a correction.
- Values beyond the number of entries are ignored unread, and a log line says so.

**Grouping.** Entries with one name are one object, and each of its frames is one `FramePrompt` with its clicks in entry
order: a *prompt* where it has a box (at most one) or a foreground click that is not marked as a correction, else a
*correction*. So background clicks go with what their frame has, and correct where it has nothing else. A name that has
only background clicks is no object: its clicks are appended to those of every object on that frame.

A prompt starts anew from its clicks, and every frame of the clip reads it. A correction is reached by tracking: the
mask found there and the memory guide the network, and nothing before it (in the direction of the pass) changes.

**Refusals.** `InvalidRequest`, one sentence; entries are counted from 1 and called points, boxes too. Also refused: a
request without any foreground click or box; an object without a prompt; a marked correction on a frame that is a prompt
of its object; with `propagation="forward"`, a click before the first prompt of all, which would never be reached; and
more clicks or objects than `limits` allows, a shared click counted for each object.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from sam2_cog.errors import InvalidRequest
from sam2_cog.limits import check_clicks, check_objects

if TYPE_CHECKING:
    import numpy as np

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 64

PROPAGATIONS = ("both", "forward")
EXAMPLE = "[391,227],[250,230] for two points or [100,50,300,200] for a box"

# Bounded, so that no number of a hostile request is slow to convert; what `_decimal` prints always fits again.
_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})")
_INTEGER = re.compile(r"-?[0-9]{1,18}")

_FLAGS = {
    "click_labels": ("label", "1 (foreground) or 0 (background)"),
    "click_corrections": ("correction", "1 (it corrects the mask tracked up to its frame) or 0 (it does not)"),
}

Point = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class FramePrompt:
    """Everything one object is told on one frame.

    `points` are (x, y) pixels of the displayed frame, `labels` holds 1 (foreground) or 0 (background) for each of them,
    `box` is (x0, y0, x1, y1) with exclusive far edges. `mask`, (H, W) bool, takes the place of all of these; no request
    holds one, only the data sets' semi-supervised protocol does.
    """

    frame_index: int
    points: tuple[Point, ...]
    labels: tuple[int, ...]
    box: Box | None
    mask: "np.ndarray | None" = field(default=None, compare=False)


@dataclass(frozen=True)
class ObjectPrompts:
    """One object: its name, its 0-based index in order of first appearance, its prompts and corrections, each by frame.

    A prompt has a foreground click or a box and is read by all frames. A correction has clicks of either label that
    mend the mask tracked up to its frame; nothing before it changes. No frame is in both.
    """

    name: str
    index: int
    prompts: tuple[FramePrompt, ...]
    corrections: tuple[FramePrompt, ...]


@dataclass(frozen=True)
class PromptStrings:
    """The five strings of a request, named as the inputs of `predict()`."""

    click_coordinates: str
    click_labels: str
    click_frames: str
    click_object_ids: str
    click_corrections: str


NO_PROMPTS = PromptStrings("", "", "", "", "")


@dataclass(frozen=True)
class _Entry:
    """One entry of the request; `position` counts from 1."""

    position: int
    shape: Point | Box
    label: int
    frame: int
    name: str
    correction: int

    @property
    def starts_anew(self) -> bool:
        """Whether this click or box makes its frame a prompt."""
        return bool(self.label) and not self.correction


def parse_prompts(
    click_coordinates: str,
    click_labels: str = "1",
    click_frames: str = "0",
    click_object_ids: str = "",
    click_corrections: str = "0",
    *,
    width: int,
    height: int,
    frame_count: int,
    propagation: str = "both",
) -> tuple[ObjectPrompts, ...]:
    """Read the five strings by the rules above, against a video of `width` x `height` pixels and `frame_count` frames.

    Returns at least one object; every object has at least one prompt. Raises `InvalidRequest`.
    """
    if propagation not in PROPAGATIONS:
        raise InvalidRequest(f"propagation: {_quote(propagation)} is not one of {', '.join(PROPAGATIONS)}")
    shapes = _read_coordinates(click_coordinates, width, height)
    count = len(shapes)
    labels = _read_flags("click_labels", click_labels, count, "1")
    frames = _read_frames(click_frames, count, frame_count)
    names = _read_names(click_object_ids, count)
    corrections = _read_flags("click_corrections", click_corrections, count, "0")
    columns = (range(1, count + 1), shapes, labels, frames, names, corrections)
    entries = [_Entry(*fields) for fields in zip(*columns, strict=True)]
    _check_together(entries, propagation)
    return _group(entries, width * height)


def format_prompts(objects: Iterable[ObjectPrompts]) -> PromptStrings:
    """The five strings that `parse_prompts` reads back as the same objects, whichever way these were first written."""
    entries = [
        (f"[{_decimals(shape, ',')}]", str(label), str(prompt.frame_index), one.name, correction)
        for one in objects
        for correction, prompts in (("0", one.prompts), ("1", one.corrections))
        for prompt in prompts
        for shape, label in _clicks(prompt)
    ]
    return PromptStrings(*(",".join(column) for column in zip(*entries, strict=True))) if entries else NO_PROMPTS


def prompt_frames(objects: Iterable[ObjectPrompts]) -> tuple[int, ...]:
    """The frames on which any object has a prompt, ascending; tracking starts from the first of them."""
    return tuple(sorted({prompt.frame_index for one in objects for prompt in one.prompts}))


# Reading: each string on its own -> one checked value per entry.


def _read_coordinates(text: str, width: int, height: int) -> list[Point | Box]:
    chunks = _split_entries(text)
    check_clicks(len(chunks))
    return [_read_entry(position, chunk, width, height) for position, chunk in enumerate(chunks, start=1)]


def _split_entries(text: str) -> list[str]:
    """`[[a],[b]]` or `[a],[b]` -> the texts `a` and `b`, without white space; what they hold is not looked at."""
    body = "".join(text.split()).removesuffix(",")
    if body.startswith("[[") and body.endswith("]"):
        body = body[1:-1].removesuffix(",")
    if body in ("", "[]"):
        raise InvalidRequest(f"click_coordinates: there is no point, but at least one is needed, such as {EXAMPLE}")
    if not (body.startswith("[") and body.endswith("]")):
        raise InvalidRequest(f"click_coordinates: {_quote(text)} is not a list of points, such as {EXAMPLE}")
    return body[1:-1].split("],[")


def _read_entry(position: int, chunk: str, width: int, height: int) -> Point | Box:
    tokens = chunk.split(",")
    if len(tokens) not in (2, 4) or not all(_NUMBER.fullmatch(token) for token in tokens):
        raise InvalidRequest(
            f"click_coordinates: point {position} is {_quote(f'[{chunk}]')}, but a point is [x,y] and a box is "
            "[x0,y0,x1,y1], in plain decimal numbers such as 391 or 227.5"
        )
    numbers = [float(token) + 0.0 for token in tokens]  # + 0.0 turns -0.0 into 0.0
    read = _point if len(numbers) == 2 else _box
    return read(position, numbers, width, height)


def _point(position: int, numbers: Sequence[float], width: int, height: int) -> Point:
    x, y = numbers
    if not (0 <= x < width and 0 <= y < height):
        raise InvalidRequest(
            f"click_coordinates: point {position} is at [{_shorten(_decimals(numbers))}], but the video is "
            f"{width}x{height} (x from 0 to {width - 1}, y from 0 to {height - 1})"
        )
    return x, y


def _box(position: int, numbers: Sequence[float], width: int, height: int) -> Box:
    x0, y0, x1, y1 = numbers
    shown = f"click_coordinates: point {position} is the box [{_shorten(_decimals(numbers))}]"
    if not (x0 < x1 and y0 < y1):
        raise InvalidRequest(f"{shown}, but a box is [x0,y0,x1,y1] with x0 < x1 and y0 < y1")
    if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
        raise InvalidRequest(
            f"{shown}, but the video is {width}x{height} (for a box x from 0 to {width}, y from 0 to {height})"
        )
    return x0, y0, x1, y1


def _read_flags(input_name: str, text: str, count: int, default: str) -> list[int]:
    values = _split_values(text, "") or [default]
    tokens = _align(input_name, values, count, values[-1])
    noun, meaning = _FLAGS[input_name]
    for position, token in enumerate(tokens, start=1):
        if token not in ("0", "1"):
            raise InvalidRequest(
                f"{input_name}: point {position} has {noun} {_quote(token)}, but a {noun} is {meaning}"
            )
    return [int(token) for token in tokens]


def _read_frames(text: str, count: int, frame_count: int) -> list[int]:
    values = _split_values(text, "") or ["0"]
    tokens = _align("click_frames", values, count, values[-1])
    return [_read_frame(position, token, frame_count) for position, token in enumerate(tokens, start=1)]


def _read_frame(position: int, token: str, frame_count: int) -> int:
    if not _INTEGER.fullmatch(token):
        raise InvalidRequest(
            f"click_frames: point {position} is on frame {_quote(token)}, "
            f"but a frame is a whole number from 0 to {frame_count - 1}"
        )
    frame = int(token)
    if not 0 <= frame < frame_count:
        raise InvalidRequest(
            f"click_frames: point {position} is on frame {frame}, but the video has frames 0 to {frame_count - 1}"
        )
    return frame


def _read_names(text: str, count: int) -> list[str]:
    given = _align("click_object_ids", _split_values(text, " "), count, "")
    generated = {f"object_{position}": position for position, name in enumerate(given, start=1) if not name}
    for position, name in enumerate(given, start=1):
        _check_name(position, name)
        if name in generated:
            raise InvalidRequest(
                f"click_object_ids: point {position} is named {_quote(name)}, but that is also the name that point "
                f"{generated[name]} gets because it has none, so point {generated[name]} needs a name of its own"
            )
    return [name or f"object_{position}" for position, name in enumerate(given, start=1)]


def _check_name(position: int, name: str) -> None:
    shown = f"click_object_ids: point {position} is named {_quote(name)}"
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRequest(f"{shown}, {len(name)} characters, but a name has at most {MAX_NAME_LENGTH}")
    # Cs: a lone surrogate can arrive by JSON and can be written to no file.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidRequest(f"{shown}, but a name is text without control characters")


def _split_values(text: str, space: str) -> list[str]:
    """A comma list -> its values, each run of white space inside them replaced by `space`."""
    values = [space.join(value.split()) for value in text.split(",")]
    return values if values[-1] else values[:-1]


def _align(input_name: str, values: list[str], count: int, filler: str) -> list[str]:
    extra = len(values) - count
    if extra > 0:
        logger.warning("%s: %d values for %d points, the last %d ignored", input_name, len(values), count, extra)
    return values[:count] + [filler] * -extra


# Grouping: the entries, each of them right by itself -> objects.


def _check_together(entries: Sequence[_Entry], propagation: str) -> None:
    """The rules that look across the strings, or across the entries."""
    for entry in entries:
        if len(entry.shape) == 4:
            _check_box(entry)
    if not any(entry.label for entry in entries):
        raise InvalidRequest("click_labels: every point has label 0, but at least one must be foreground (label 1)")
    first = min((entry.frame for entry in entries if entry.starts_anew), default=0)
    for entry in entries:
        if propagation == "forward" and entry.frame < first:
            kind = "correction" if entry.correction else "background click"
            raise InvalidRequest(
                f"click_frames: point {entry.position} is a {kind} on frame {entry.frame}, but with propagation "
                f"forward nothing is tracked before frame {first}, the first on which an object is prompted"
            )


def _check_box(entry: _Entry) -> None:
    if not entry.label:
        raise InvalidRequest(
            f"click_labels: point {entry.position} is a box with label 0, but a box is always foreground (label 1)"
        )
    if entry.correction:
        raise InvalidRequest(
            f"click_corrections: point {entry.position} is a box with correction 1, "
            "but only clicks can correct a mask (a box has correction 0)"
        )


def _group(entries: Sequence[_Entry], pixels: int) -> tuple[ObjectPrompts, ...]:
    foreground = {entry.name for entry in entries if entry.label}
    shared = [entry for entry in entries if entry.name not in foreground]
    clicks = len(entries) + len(shared) * (len(foreground) - 1)  # a shared one is copied to every object
    check_objects(len(foreground), len({entry.frame for entry in entries}), clicks, pixels)
    own: dict[str, list[_Entry]] = {}
    for entry in entries:
        if entry.name in foreground:
            own.setdefault(entry.name, []).append(entry)
    return tuple(_object(name, index, own[name] + shared) for index, name in enumerate(own))


def _object(name: str, index: int, entries: Sequence[_Entry]) -> ObjectPrompts:
    by_frame: dict[int, list[_Entry]] = {}
    for entry in entries:
        by_frame.setdefault(entry.frame, []).append(entry)
    frames = [(_starts_anew(name, own), _frame_prompt(name, frame, own)) for frame, own in sorted(by_frame.items())]
    if not any(anew for anew, _ in frames):
        raise InvalidRequest(
            f"click_corrections: point {entries[0].position} corrects {_quote(name)}, but {_quote(name)} has no "
            "foreground click or box with correction 0, from which it could be tracked"
        )
    return ObjectPrompts(
        name,
        index,
        prompts=tuple(prompt for anew, prompt in frames if anew),
        corrections=tuple(prompt for anew, prompt in frames if not anew),
    )


def _starts_anew(name: str, entries: Sequence[_Entry]) -> bool:
    """Whether these clicks of one object on one frame are a prompt; if not, they are a correction."""
    prompt = next((entry for entry in entries if entry.starts_anew), None)
    correction = next((entry for entry in entries if entry.correction), None)
    if prompt and correction:
        raise InvalidRequest(
            f"click_corrections: point {correction.position} corrects the mask of {_quote(name)} on frame "
            f"{correction.frame}, but point {prompt.position} starts it anew there, and only one of the two can be"
        )
    return prompt is not None


def _frame_prompt(name: str, frame: int, entries: Sequence[_Entry]) -> FramePrompt:
    boxes = [(entry.position, entry.shape) for entry in entries if len(entry.shape) == 4]
    clicks = [(entry.shape, entry.label) for entry in entries if len(entry.shape) == 2]
    if len(boxes) > 1:
        raise InvalidRequest(
            f"click_coordinates: point {boxes[1][0]} is a second box for {_quote(name)} on frame {frame}, "
            "but an object has at most one box on a frame"
        )
    return FramePrompt(
        frame,
        points=tuple(point for point, _ in clicks),
        labels=tuple(label for _, label in clicks),
        box=boxes[0][1] if boxes else None,
    )


# Printing.


def _clicks(prompt: FramePrompt) -> list[tuple[Point | Box, int]]:
    """What a prompt is made of, each with its label."""
    box: list[tuple[Point | Box, int]] = [(prompt.box, 1)] if prompt.box else []
    return [*box, *zip(prompt.points, prompt.labels, strict=True)]


def _decimals(numbers: Sequence[float], separator: str = ", ") -> str:
    """The shortest decimal text that reads back as each number, without an exponent: 391, 227.5, 0.00001."""
    return separator.join(format(Decimal(repr(number)), "f").removesuffix(".0") for number in numbers)


def _shorten(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _quote(text: str) -> str:
    """The user's text for a message: on one line, control characters escaped, at most about 40 characters of it."""
    return repr(_shorten(text))
