"""The six request strings, and what prompt files say -> a tuple of `ObjectPrompts`. No network, no ffmpeg, no files.

**Reading.** Values are separated as `value_lists` says: by commas, semicolons, white space; names by commas and new
lines. Outer brackets and lists as JSON or Python print them are taken everywhere.

- `click_coordinates`: entries `[x,y]` (a point) or `[x0,y0,x1,y1]` (a box), with or without an outer pair of brackets,
  in plain decimal numbers (no exponents). Pixels of the displayed frame, origin top left. Points lie inside the frame
  (0 <= x < width, 0 <= y < height); box corners may lie on its far edges (0 <= x0 < x1 <= width, the same for y), at
  least a pixel apart. Numbers that are all from 0 to 1, and not all whole, are refused: they are no pixels.
- `click_labels`: `1` or `true` foreground, `0` or `false` background. Short: the last repeats. Empty: all `1`. A box is
  always foreground.
- `click_frames`: whole numbers from 0 to frame_count - 1, `12.0` too. Short: the last repeats. Empty: all `0`.
- `click_object_ids`: names, up to 64 characters, no commas or control characters, case matters. A missing or empty name
  is `object_<position>` (`object_2` for the second entry). Where that name is also written out for another entry the
  request is refused, because two things would silently become one object.
- `click_corrections`: `1` for a click that corrects the mask tracked up to its frame, `0` for one that does not. Short:
  the last repeats. Empty: all `0`. A box is never a correction. Written like the labels.
- `click_candidates`: of a click that starts an object anew, which of the network's three masks for it alone is meant,
  `1`, `2` or `3` in the network's own order, or `0` for the one it rates best. Short: the last repeats. Empty: all `0`.
  Only the first click of an object on a frame, foreground and without a box or a mask there, has a choice; further
  clicks refine what it chose.
- Values beyond the number of entries are ignored unread, and a log line says so.
- Masks and boxes of files come as entries that `mask_files` and `box_files` read; with them the strings may be empty.

**Grouping.** Entries with one name are one object, and each of its frames is one `FramePrompt` with its clicks in entry
order: a *prompt* where it has a mask, a box (at most one) or a foreground click that is not marked as a correction,
else a *correction*. Clicks and a box beside a mask refine it; background clicks go with what their frame has, and
correct where it has nothing else. A name that has only background clicks is no object: its clicks are appended to those
of every object on that frame.

A prompt starts anew from its clicks, and every frame of the clip reads it. A correction is reached by tracking: the
mask found there and the memory guide the network, and nothing before it (in the direction of the pass) changes.

**Refusals.** `InvalidRequest`, one sentence; entries are counted from 1 and called points, boxes too. Also refused: a
request without any foreground click, box or mask; an object without a prompt; a marked correction on a frame that is a
prompt of its object; with `propagation="forward"`, a click before the first prompt of all, which would never be
reached; and more clicks or objects than `limits` allows, a shared click counted for each object.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain, repeat
from typing import TYPE_CHECKING

from sam2_cog.errors import InvalidRequest, quoted
from sam2_cog.limits import check_objects
from sam2_cog.reading.click_lists import Box as Box
from sam2_cog.reading.click_lists import Point as Point
from sam2_cog.reading.click_lists import read_coordinates, read_flags, read_frames, read_names
from sam2_cog.reading.entry import Entry

if TYPE_CHECKING:
    from sam2_cog.masks import ObjectMask

PROPAGATIONS = ("both", "forward")


@dataclass(frozen=True)
class FramePrompt:
    """Everything one object is told on one frame.

    `points` are (x, y) pixels of the displayed frame, `labels` holds 1 (foreground) or 0 (background) for each of them,
    `box` is (x0, y0, x1, y1) with exclusive far edges. `mask` is the object itself, in the size of the frame and not
    empty; points and box beside it refine it. `candidate` 1, 2 or 3 is which mask of the first point, a foreground one,
    is meant, and the other points refine that; 0: the network decides, and all points count at once.
    """

    frame_index: int
    points: tuple[Point, ...]
    labels: tuple[int, ...]
    box: Box | None
    mask: "ObjectMask | None" = None
    candidate: int = 0


@dataclass(frozen=True)
class ObjectPrompts:
    """One object: its name, its 0-based index in order of first appearance, its prompts and corrections, each by frame.

    A prompt has a foreground click, a box or a mask and is read by all frames. A correction has clicks of either label
    that mend the mask tracked up to its frame; nothing before it changes. No frame is in both.
    """

    name: str
    index: int
    prompts: tuple[FramePrompt, ...]
    corrections: tuple[FramePrompt, ...]


@dataclass(frozen=True)
class PromptStrings:
    """The six strings of a request, named as the inputs of `predict()`."""

    click_coordinates: str
    click_labels: str
    click_frames: str
    click_object_ids: str
    click_corrections: str
    click_candidates: str


def parse_prompts(
    click_coordinates: str,
    click_labels: str = "1",
    click_frames: str = "0",
    click_object_ids: str = "",
    click_corrections: str = "0",
    click_candidates: str = "0",
    *,
    width: int,
    height: int,
    frame_count: int,
    used: range | None = None,
    propagation: str = "both",
    from_files: Sequence[Entry] = (),
) -> tuple[ObjectPrompts, ...]:
    """Read the six strings by the rules above, against a video of `width` x `height` pixels and `frame_count` frames.

    used: the numbers of the frames that the objects are looked for on, all if it is not given.
    from_files: foreground boxes and masks that fit the video, at most one mask for an object and frame.
    Returns at least one object; every object has at least one prompt. Raises `InvalidRequest`.
    """
    if propagation not in PROPAGATIONS:
        raise InvalidRequest(f"propagation: {quoted(propagation)} is not one of {', '.join(PROPAGATIONS)}")
    shapes = read_coordinates(click_coordinates, width, height, least=0 if from_files else 1)
    count = len(shapes)
    labels = read_flags("click_labels", click_labels, count, default=1)
    frames = read_frames(click_frames, count, frame_count)
    names = read_names(click_object_ids, count, {entry.name: entry.input for entry in from_files})
    corrections = read_flags("click_corrections", click_corrections, count, default=0)
    candidates = read_flags("click_candidates", click_candidates, count, default=0)
    columns = zip(range(1, count + 1), shapes, labels, frames, names, corrections, candidates, strict=True)
    entries = [*(_entry(*column) for column in columns), *from_files]
    if used is not None:
        for entry in entries:
            _check_used(entry, used)
    _check_together(entries, propagation)
    return _group(entries, width * height)


def _entry(
    position: int, shape: Point | Box, label: int, frame: int, name: str, correction: int, candidate: int
) -> Entry:
    point, box = (shape, None) if len(shape) == 2 else (None, shape)
    called = f"point {position}"
    return Entry("click_coordinates", called, frame, name, label, correction, point, box, candidate=candidate)


def format_prompts(objects: Iterable[ObjectPrompts]) -> PromptStrings:
    """The six strings that `parse_prompts` reads back as the same objects, whichever way these were first written.

    Masks have no text; they stay in their file.
    """
    rows = [
        (f"[{_decimals(shape, ',')}]", str(label), str(prompt.frame_index), one.name, correction, str(candidate))
        for one in objects
        for correction, prompts in (("0", one.prompts), ("1", one.corrections))
        for prompt in prompts
        for (shape, label), candidate in zip(_clicks(prompt), chain((prompt.candidate,), repeat(0)), strict=False)
    ]
    coordinates, labels, frames, names, corrections, candidates = zip(*rows, strict=True) if rows else ((),) * 6
    # brackets, at the beginning or without their like, would be those of a list
    quote = any(character in name for name in names for character in "[]()")
    written = json.dumps(names, ensure_ascii=False) if quote else ",".join(names)
    lists = (coordinates, labels, frames, (written,), corrections, candidates)
    return PromptStrings(*(",".join(values) for values in lists))


def prompt_frames(objects: Iterable[ObjectPrompts]) -> tuple[int, ...]:
    """The frames on which any object has a prompt, ascending; tracking starts from the first of them."""
    return tuple(sorted({prompt.frame_index for one in objects for prompt in one.prompts}))


def counted_anew(objects: Iterable[ObjectPrompts], used: range) -> tuple[ObjectPrompts, ...]:
    """The same objects, whose frames are counted by their place among those that are used."""

    def placed(prompts: tuple[FramePrompt, ...]) -> tuple[FramePrompt, ...]:
        return tuple(replace(prompt, frame_index=used.index(prompt.frame_index)) for prompt in prompts)

    return tuple(replace(one, prompts=placed(one.prompts), corrections=placed(one.corrections)) for one in objects)


# Grouping: the entries, each of them right by itself -> objects.


def _check_together(entries: Sequence[Entry], propagation: str) -> None:
    """The rules that look across the strings, or across the entries."""
    for entry in entries:
        if entry.box:
            _check_box(entry)
        if entry.candidate and (entry.box or not entry.starts_anew):
            raise InvalidRequest(
                f"click_candidates: {entry.called} has candidate {entry.candidate}, but only a foreground click that "
                "starts an object has candidates, no box, background click or correction (they have candidate 0)"
            )
    if not any(entry.label for entry in entries):
        raise InvalidRequest("click_labels: every point has label 0, but at least one must be foreground (label 1)")
    first = min((entry.frame for entry in entries if entry.starts_anew), default=0)
    for entry in entries:
        if propagation == "forward" and entry.frame < first:
            kind = "correction" if entry.correction else "background click"
            raise InvalidRequest(
                f"click_frames: {entry.called} is a {kind} on frame {entry.frame}, but with propagation "
                f"forward nothing is tracked before frame {first}, the first on which an object is prompted"
            )


def _check_used(entry: Entry, used: range) -> None:
    if entry.frame in used:
        return
    place = bisect_right(used, entry.frame)
    nearest = " and ".join(str(frame) for frame in used[max(place - 1, 0) : place + 1])
    where = "click_frames" if entry.input == "click_coordinates" else entry.input
    raise InvalidRequest(
        f"{where}: {entry.called} is on frame {entry.frame}, which is not used "
        f"(start_frame {used[0]}, end_frame {used[-1]}, frame_stride {used.step}); the nearest used: {nearest}"
    )


def _check_box(entry: Entry) -> None:
    if not entry.label:
        raise InvalidRequest(
            f"click_labels: {entry.called} is a box with label 0, but a box is always foreground (label 1)"
        )
    if entry.correction:
        raise InvalidRequest(
            f"click_corrections: {entry.called} is a box with correction 1, "
            "but only clicks can correct a mask (a box has correction 0)"
        )


def _group(entries: Sequence[Entry], pixels: int) -> tuple[ObjectPrompts, ...]:
    objects = {entry.name for entry in entries if entry.label}
    shared = [entry for entry in entries if entry.name not in objects]
    clicks = len(entries) + len(shared) * (len(objects) - 1)  # a shared one is copied to every object
    check_objects(len(objects), len({entry.frame for entry in entries}), clicks, pixels)
    own: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.name in objects:
            own.setdefault(entry.name, []).append(entry)
    return tuple(_object(name, index, own[name] + shared) for index, name in enumerate(own))


def _object(name: str, index: int, entries: Sequence[Entry]) -> ObjectPrompts:
    by_frame: dict[int, list[Entry]] = {}
    for entry in entries:
        by_frame.setdefault(entry.frame, []).append(entry)
    frames = [(_starts_anew(name, own), _frame_prompt(name, frame, own)) for frame, own in sorted(by_frame.items())]
    if not any(anew for anew, _ in frames):
        raise InvalidRequest(
            f"click_corrections: {entries[0].called} corrects {quoted(name)}, but {quoted(name)} has no "
            "foreground click or box with correction 0, from which it could be tracked"
        )
    return ObjectPrompts(
        name,
        index,
        prompts=tuple(prompt for anew, prompt in frames if anew),
        corrections=tuple(prompt for anew, prompt in frames if not anew),
    )


def _starts_anew(name: str, entries: Sequence[Entry]) -> bool:
    """Whether these clicks of one object on one frame are a prompt; if not, they are a correction."""
    prompt = next((entry for entry in entries if entry.starts_anew), None)
    correction = next((entry for entry in entries if entry.correction), None)
    if prompt and correction:
        raise InvalidRequest(
            f"click_corrections: {correction.called} corrects the mask of {quoted(name)} on frame "
            f"{correction.frame}, but {prompt.called} starts it anew there, and only one of the two can be"
        )
    return prompt is not None


def _frame_prompt(name: str, frame: int, entries: Sequence[Entry]) -> FramePrompt:
    boxes = [entry for entry in entries if entry.box]
    if len(boxes) > 1:
        raise InvalidRequest(
            f"{boxes[1].input}: {boxes[1].called} is a second box for {quoted(name)} on frame {frame}, "
            "but an object has at most one box on a frame"
        )
    _check_candidates(name, entries)
    return FramePrompt(
        frame,
        points=tuple(entry.point for entry in entries if entry.point),
        labels=tuple(entry.label for entry in entries if entry.point),
        box=boxes[0].box if boxes else None,
        mask=next((entry.mask for entry in entries if entry.mask), None),
        candidate=entries[0].candidate,
    )


def _check_candidates(name: str, entries: Sequence[Entry]) -> None:
    """A candidate is that of the first click of an object on a frame, and of this click alone."""
    other = next((entry for entry in entries if entry.box or entry.mask), entries[0])
    for entry in entries:
        if entry.candidate and entry is not other:
            raise InvalidRequest(
                f"click_candidates: {entry.called} has candidate {entry.candidate}, but {quoted(name)} "
                f"has {other.called} on frame {entry.frame} too, and only a first click without a box or a mask has "
                "candidates"
            )


# Printing.


def _clicks(prompt: FramePrompt) -> list[tuple[Point | Box, int]]:
    """What a prompt is made of, each with its label."""
    box: list[tuple[Point | Box, int]] = [(prompt.box, 1)] if prompt.box else []
    return [*box, *zip(prompt.points, prompt.labels, strict=True)]


def _decimals(numbers: Sequence[float], separator: str = ", ") -> str:
    """The shortest decimal text that reads back as each number, without an exponent: 391, 227.5, 0.00001."""
    return separator.join(format(Decimal(repr(number)), "f").removesuffix(".0") for number in numbers)
