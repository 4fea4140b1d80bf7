"""The six lists of a request, each read by itself -> one checked value for each entry of `click_coordinates`.

How values are separated is in `value_lists`; what they mean together, in `prompts`. A refusal calls an entry a point, a
box too, counts it from 1, and quotes it as it was typed.
"""

import logging
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sam2_cog.errors import InvalidRequest, quoted, shortened
from sam2_cog.limits import check_clicks
from sam2_cog.reading.value_lists import NotAList, bare_entries, split_entries, split_names, split_numbers, split_values

logger = logging.getLogger(__name__)

MAX_NAME_LENGTH = 64

POINTS_EXAMPLE = "[391,227],[250,230] for two points or [100,50,300,200] for a box"
NAMES_EXAMPLE = 'red bird,dog or ["red bird","dog"]'

# Bounded, so that no number of a hostile request is slow to convert; what `prompts` prints always fits again.
# The exponents are NumPy's, of an array with small and large numbers.
_NUMBER = re.compile(r"-?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:e[+-][0-9]{2})?")
_WHOLE = re.compile(r"(-?[0-9]{1,18})(?:\.0{0,40})?")
_FLAGS = {"0": 0, "0.": 0, "0.0": 0, "false": 0, "1": 1, "1.": 1, "1.0": 1, "true": 1}
_CANDIDATES = {f"{number}{ending}": number for number in range(4) for ending in ("", ".", ".0")}
_FLAGS_MEAN = {
    "click_labels": (_FLAGS, "label", "1 (foreground) or 0 (background)"),
    "click_corrections": (_FLAGS, "correction", "1 (it corrects the mask tracked up to its frame) or 0 (it does not)"),
    "click_candidates": (_CANDIDATES, "candidate", "1, 2 or 3 (one of the three masks) or 0 (the best of them)"),
}

Point = tuple[float, float]
Box = tuple[float, float, float, float]


# click_coordinates


def read_coordinates(text: str, width: int, height: int, *, least: int = 1) -> list[Point | Box]:
    """At least `least` (0 or 1) points and boxes, in pixels of a frame of `width` x `height`. Raises InvalidRequest."""
    with _list_of("points", POINTS_EXAMPLE, "click_coordinates", text):
        bare = bare_entries(text)
    check_clicks(bare.count("["))  # before anything is split
    entries = split_entries(bare)
    if not "".join(entries).strip() and len(entries) < 2:
        if not least:
            return []
        raise InvalidRequest(
            f"click_coordinates: there is no point, but at least one is needed, such as {POINTS_EXAMPLE}"
        )
    typed = [_numbers(position, entry) for position, entry in enumerate(entries, start=1)]
    _check_pixels(typed, width, height)
    return [_shape(position, numbers, width, height) for position, numbers in enumerate(typed, start=1)]


def _numbers(position: int, entry: str) -> list[str]:
    """The numbers of one entry, two or four, as they were typed."""
    numbers, alike = split_numbers(entry)
    shown = f"click_coordinates: point {position} is {quoted(f'[{entry}]')}"
    if len(numbers) not in (2, 4) or not all(map(_NUMBER.fullmatch, numbers)):
        raise InvalidRequest(
            f"{shown}, but a point is [x,y] and a box is [x0,y0,x1,y1], in plain decimal numbers such as 391 or 227.5"
        )
    if not alike:
        raise InvalidRequest(
            f"{shown}, which may be two points or a box: two points are [x,y],[x,y] and a box is [x0,y0,x1,y1]"
        )
    return numbers


def _check_pixels(typed: Sequence[Sequence[str]], width: int, height: int) -> None:
    """Fractions of the frame's size would all be pixels of its corner."""
    numbers = [(float(number), number) for entry in typed for number in entry]
    broken = next((number for value, number in numbers if value % 1), None)
    if broken is not None and all(0 <= value <= 1 for value, _ in numbers):
        raise InvalidRequest(
            f"click_coordinates: all numbers are from 0 to 1, such as {shortened(broken)}, but they count pixels "
            f"of the frame: x from 0 to {width - 1} and y from 0 to {height - 1}, from the top left corner"
        )


def _shape(position: int, typed: Sequence[str], width: int, height: int) -> Point | Box:
    numbers = [float(number) + 0.0 for number in typed]  # + 0.0 turns -0.0 into 0.0
    if len(numbers) == 2:
        return _point(position, numbers, shortened(", ".join(typed)), width, height)
    shown = f"click_coordinates: point {position} is the box [{shortened(', '.join(typed))}]"
    return box_in_frame(shown, numbers, width, height)


def _point(position: int, numbers: Sequence[float], typed: str, width: int, height: int) -> Point:
    x, y = numbers
    if not (0 <= x < width and 0 <= y < height):
        raise InvalidRequest(
            f"click_coordinates: point {position} is at [{typed}], but the video is "
            f"{width}x{height} (x from 0 to {width - 1}, y from 0 to {height - 1})"
        )
    return x, y


def box_in_frame(shown: str, numbers: Sequence[float], width: int, height: int) -> Box:
    """A box that fits a frame of `width` x `height`; `shown` is how the sentence about another one begins."""
    x0, y0, x1, y1 = numbers
    if not (x0 < x1 and y0 < y1):
        raise InvalidRequest(f"{shown}, but a box is [x0,y0,x1,y1] with x0 < x1 and y0 < y1")
    if not (x0 >= 0 and y0 >= 0 and x1 <= width and y1 <= height):
        raise InvalidRequest(
            f"{shown}, but the video is {width}x{height} (for a box x from 0 to {width}, y from 0 to {height})"
        )
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise InvalidRequest(
            f"{shown}, which is smaller than a pixel, but its numbers count pixels of the frame: "
            f"x from 0 to {width} and y from 0 to {height}, from the top left corner"
        )
    return x0, y0, x1, y1


# The lists that go with it


def read_flags(input_name: str, text: str, count: int, default: int) -> list[int]:
    """`click_labels`, `click_corrections` or `click_candidates`: a number for each of `count` entries.

    Raises InvalidRequest.
    """
    numbers, noun, meaning = _FLAGS_MEAN[input_name]
    typed = _values(input_name, text, count, str(default))
    flags = [numbers.get(value.lower()) for value in typed]
    for position, (value, flag) in enumerate(zip(typed, flags, strict=True), start=1):
        if flag is None:
            raise InvalidRequest(
                f"{input_name}: point {position} has {noun} {quoted(value)}, but a {noun} is {meaning}"
            )
    return [flag for flag in flags if flag is not None]


def read_frames(text: str, count: int, frame_count: int) -> list[int]:
    """`click_frames`: the frame of each of `count` entries, below `frame_count`. Raises InvalidRequest."""
    typed = _values("click_frames", text, count, "0")
    return [
        _frame(f"click_frames: point {position} is on frame", value, frame_count)
        for position, value in enumerate(typed, start=1)
    ]


def read_frame_list(input_name: str, text: str, frame_count: int) -> list[int]:
    """Any frames below `frame_count`; nothing for an empty list. Raises InvalidRequest."""
    with _list_of("frames", "0,30", input_name, text):
        typed = split_values(text, frame_count)
    return [_frame(f"{input_name}: it has frame", value, frame_count) for value in typed]


def _frame(shown: str, typed: str, frame_count: int) -> int:
    """`shown` is how the sentence about it begins."""
    whole = _WHOLE.fullmatch(typed)
    if not whole:
        raise InvalidRequest(f"{shown} {quoted(typed)}, but a frame is a whole number from 0 to {frame_count - 1}")
    frame = int(whole[1])
    if not 0 <= frame < frame_count:
        raise InvalidRequest(f"{shown} {shortened(typed)}, but the video has frames 0 to {frame_count - 1}")
    return frame


def read_names(text: str, count: int, elsewhere: Mapping[str, str]) -> list[str]:
    """`click_object_ids`: the name of each of `count` entries, `object_<position>` for none.

    elsewhere: name -> input that names an object so; a name written out may be one of these, none that is given here.
    Raises InvalidRequest.
    """
    with _list_of("names", NAMES_EXAMPLE, "click_object_ids", text):
        names = _aligned("click_object_ids", split_names(text, count), count, "")
    generated = {f"object_{position}": position for position, name in enumerate(names, start=1) if not name}
    for position, name in enumerate(names, start=1):
        check_name(name, f"click_object_ids: point {position} is named {quoted(name)}")
        if name in generated:
            raise InvalidRequest(
                f"click_object_ids: point {position} is named {quoted(name)}, but that is also the name that point "
                f"{generated[name]} gets because it has none, so point {generated[name]} needs a name of its own"
            )
    for name in generated.keys() & elsewhere.keys():
        raise InvalidRequest(
            f"click_object_ids: point {generated[name]} has no name and would get {quoted(name)}, "
            f"but that is the name of an object in {elsewhere[name]}, so it needs a name of its own"
        )
    return [name or f"object_{position}" for position, name in enumerate(names, start=1)]


def check_name(name: str, shown: str) -> None:
    """Refuse what cannot be an object's name; `shown` is how the sentence about it begins."""
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidRequest(f"{shown}, {len(name)} characters, but a name has at most {MAX_NAME_LENGTH}")
    # Cs: a lone surrogate can arrive by JSON and can be written to no file.
    if "," in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        raise InvalidRequest(f"{shown}, but a name is text without commas and control characters")


def _values(input_name: str, text: str, count: int, default: str) -> list[str]:
    """A value for each entry: if there are too few, the last one repeats; if there are none, the default does."""
    with _list_of("values", "1,0", input_name, text):
        typed = split_values(text, count)
    if not count and typed == [default]:  # nothing was said
        return []
    typed = typed or [default]
    return _aligned(input_name, typed, count, typed[-1])


@contextmanager
def _list_of(kind: str, example: str, input_name: str, text: str) -> Iterator[None]:
    """A text that is no list is refused, and in Python a list that is no text."""
    if not isinstance(text, str):
        raise InvalidRequest(f"{input_name}: {quoted(str(text))} is not a text, such as {example}")
    try:
        yield
    except NotAList:
        raise InvalidRequest(f"{input_name}: {quoted(text)} is not a list of {kind}, such as {example}") from None


def _aligned(input_name: str, values: Sequence[str], count: int, filler: str) -> list[str]:
    if len(values) > count:
        logger.warning("%s: more values than the %d points, the others are ignored", input_name, count)
    return [*values[:count], *[filler] * (count - len(values))]
