"""Each list of a request by itself: what it takes, and how a refusal reads."""

import ast
import json
import logging
import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.parsing import clicks, names_of, parse, points_of, refusal

# Reading the coordinates.


def test_one_point_with_every_default() -> None:
    assert parse("[391,227]") == (ObjectPrompts("object_1", 0, (clicks(0, ((391.0, 227.0), 1)),), ()),)


@pytest.mark.parametrize(
    "text",
    [
        "[1,2],[3,4]",
        "[[1,2],[3,4]]",
        "[1,2],[3,4],",
        "[[1,2],[3,4],]",
        "[[1,2],[3,4]],",
        str([[1, 2], [3, 4]]),
        str([[1, 2], [3, 4]])[1:-1],
        str([[1.0, 2.0], [3.0, 4.0]])[1:-1],
        " [ 1 , 2 ] , [\t3\n,\r\n4 ] ",
        "[[1,2],\n [3,4]]\n",
        "\u00a0[1,\u20032],[3,4]",
        "[01.,2.00],[3,4]",
        "[1 2] [3 4]",
        "[[1 2]\n [3 4]]",
        "[[1. 2.]\n [3. 4.]]",
        "[1;2];[3;4];",
        "[1,2]\n[3,4]\n",
        "[ [1,2] ; [3,4] ]",
        str([(1, 2), (3, 4)]),
        str(((1, 2), (3, 4))),
        "(1,2), (3,4)",
        str(np.array([[1, 2], [3, 4]])),
        repr([[np.float32(1), np.int64(2)], (np.float64(3), np.int8(4))]),
        "[[1.e+00 2.0e+00]\n [3.0000e+00 4.0e+00]]",
    ],
)
def test_ways_to_write_the_same_two_points(text: str) -> None:
    assert points_of(parse(text)) == [(1.0, 2.0), (3.0, 4.0)]


def test_one_point_in_an_outer_pair_of_brackets() -> None:
    assert parse("[[391,227]]") == parse("[391,227]")


def test_an_array_of_small_and_large_numbers_as_numpy_prints_it() -> None:
    text = str(np.array([[0.5, 359.25], [639.5, 0.25]]))
    assert "e+02" in text and points_of(parse(text)) == [(0.5, 359.25), (639.5, 0.25)]


def test_decimals_and_the_last_place_inside_the_frame() -> None:
    assert points_of(parse("[0,0],[639.99,359.5],[.5,-0]")) == [(0.0, 0.0), (639.99, 359.5), (0.5, 0.0)]
    assert str(points_of(parse("[0,-0.0]"))) == "[(0.0, 0.0)]"


@pytest.mark.parametrize("text", ["", "  \n", "[]", "[[]]", "[ ]", ",", "[ [ ] ]", ";"])
def test_no_point_is_refused_with_an_example(text: str) -> None:
    message = refusal(text)
    assert message.startswith("click_coordinates: there is no point") and "[391,227]" in message


@pytest.mark.parametrize(
    "text",
    [
        "391,227",
        "391 227",
        "[391,227",
        "391,227]",
        "((391,227)",
        "[391,227)",
        "[",
        "]",
        "[[1,2],[3,4]",
        "{}",
        "cat",
        "[[]",
    ],
)
def test_what_is_no_list_is_refused_with_an_example(text: str) -> None:
    message = refusal(text)
    assert message.startswith(f"click_coordinates: {text!r} is not a list of points, such as [391,227]")


@pytest.mark.parametrize("lists", [([[391, 227]],), (np.ones((1, 2)),), ("[1,2]", 1), ("[1,2]", "1", 0)])
def test_a_list_that_is_no_text_is_refused(lists: tuple[Any, ...]) -> None:
    """`Session.parse` takes the texts of a request, and people hand it lists and arrays."""
    name = ("click_coordinates", "click_labels", "click_frames")[len(lists) - 1]
    message = refusal(*lists)
    assert message.startswith(f"{name}: ") and " is not a text, such as " in message and message.isprintable()


@pytest.mark.parametrize(
    ("text", "position", "entry"),
    [
        ("[1,2],[3]", 2, "[3]"),
        ("[1,2],[3,4,5]", 2, "[3,4,5]"),
        ("[1,2,3,4,5]", 1, "[1,2,3,4,5]"),
        ("[1,2],[]", 2, "[]"),
        ("[1,2][3,4]", 1, "[1,2][3,4]"),
        ("[1,2],,[3,4]", 1, "[1,2],,[3,4]"),
        ("[1,2],[3,4]]", 2, "[3,4]]"),
        ("[[[1,2]]]", 1, "[[1,2]]"),
        ("[1,2],[3,4,]", 2, "[3,4,]"),
        ("[8 0,96]", 1, "[8 0,96]"),
        ("[1,2],[39 1\t22 7,5]", 2, "[39 1\t22 7,5]"),
        ("[1,2],(3,4)]", 2, "[3,4]]"),
        ("[1,2],[1e2,4]", 2, "[1e2,4]"),
        ("[nan,4]", 1, "[nan,4]"),
        ("[4,999999999999999999999]", 1, "[4,999999999999999999999]"),
        ("[4,inf]", 1, "[4,inf]"),
        ("[4,-Infinity]", 1, "[4,-Infinity]"),
        ("[0x10,4]", 1, "[0x10,4]"),
        ("[1_0,4]", 1, "[1_0,4]"),
        ("[+1,4]", 1, "[+1,4]"),
        ("[--1,4]", 1, "[--1,4]"),
        ("[.,4]", 1, "[.,4]"),
        ("[1.2.3,4]", 1, "[1.2.3,4]"),
        ("[\u0661,4]", 1, "[\u0661,4]"),
        ("['1','2']", 1, "['1','2']"),
    ],
)
def test_a_malformed_entry_is_refused(text: str, position: int, entry: str) -> None:
    assert refusal(text) == (
        f"click_coordinates: point {position} is {entry!r}, but a point is [x,y] and a box is [x0,y0,x1,y1], "
        "in plain decimal numbers such as 391 or 227.5"
    )


@pytest.mark.parametrize(
    ("point", "shown"),
    [
        ("[700,50]", "[700, 50]"),
        ("[640,50]", "[640, 50]"),
        ("[50,360]", "[50, 360]"),
        ("[-1,50]", "[-1, 50]"),
        ("[50,-.25]", "[50, -.25]"),
        ("[050 \n -1.]", "[050, -1.]"),
        ("[50,99999999999999999999]", "[50, 99999999999999999999]"),
    ],
)
def test_a_point_outside_the_frame_is_refused(point: str, shown: str) -> None:
    assert refusal(f"[1,2],{point}") == (
        f"click_coordinates: point 2 is at {shown}, but the video is 640x360 (x from 0 to 639, y from 0 to 359)"
    )


@pytest.mark.parametrize("text", ["[391 227,250 230]", "[100 50,300 200]", "[100,50;300,200]", "[1 2 30,40]"])
def test_two_points_in_one_pair_of_brackets_are_no_box(text: str) -> None:
    assert refusal(text) == (
        f"click_coordinates: point 1 is {text!r}, which may be two points or a box: "
        "two points are [x,y],[x,y] and a box is [x0,y0,x1,y1]"
    )


@pytest.mark.parametrize(
    ("text", "number"),
    [("[0.5,0.25]", "0.5"), ("[1,0],[.75,1.0]", ".75"), ("[0,0,0.5,1]", "0.5"), ("[0 0 1 1] [.1 0]", ".1")],
)
def test_fractions_of_the_frame_are_refused(text: str, number: str) -> None:
    assert refusal(text) == (
        f"click_coordinates: all numbers are from 0 to 1, such as {number}, but they count pixels of the frame: "
        "x from 0 to 639 and y from 0 to 359, from the top left corner"
    )


@pytest.mark.parametrize("text", ["[0,0]", "[1,1],[0,1.0]", "[0.5,1.5]", "[0.5,0.5],[2,0]", "[0,0,1,1]"])
def test_small_numbers_that_are_pixels_are_taken(text: str) -> None:
    assert parse(text)


def test_a_million_points_are_refused_at_once_and_too_many_values_are_never_read() -> None:
    points, values = ",".join(["[1,2]"] * 1_000_000), "1," * 5_000_000
    started = time.process_time()
    message = refusal(points)
    assert time.process_time() - started < 0.5
    assert message == "click_coordinates: there are 1000000 clicks, but at most 10000 are allowed (SAM2_MAX_CLICKS)"
    assert parse("[1,2]", values, values, values, values.replace("1", "0"))


# Boxes.


def test_four_numbers_are_a_box_and_may_touch_the_edges() -> None:
    (one,) = parse("[0, 0, 640, 360]")
    assert one.prompts == (FramePrompt(0, (), (), (0.0, 0.0, 640.0, 360.0)),)


def test_a_box_with_clicks_on_its_frame_is_one_prompt() -> None:
    (one,) = parse("[5,6],[1,2,30,40],[7,8]", "1,1,0", "3", "dog,dog,dog")
    assert one.prompts == (clicks(3, ((5.0, 6.0), 1), ((7.0, 8.0), 0), box=(1.0, 2.0, 30.0, 40.0)),)


@pytest.mark.parametrize("box", ["[30,10,20,40]", "[10,40,20,30]", "[10,10,10,20]", "[10,10,20,10]"])
def test_box_corners_out_of_order_are_refused(box: str) -> None:
    shown = box.replace(",", ", ")
    assert refusal(box) == (
        f"click_coordinates: point 1 is the box {shown}, but a box is [x0,y0,x1,y1] with x0 < x1 and y0 < y1"
    )


@pytest.mark.parametrize("box", ["[-1,0,20,20]", "[0,-1,20,20]", "[0,0,640.5,20]", "[0,0,20,361]"])
def test_a_box_outside_the_frame_is_refused(box: str) -> None:
    shown = box.replace(",", ", ")
    assert refusal(f"[1,2],{box}") == (
        f"click_coordinates: point 2 is the box {shown}, but the video is 640x360 "
        "(for a box x from 0 to 640, y from 0 to 360)"
    )


@pytest.mark.parametrize("labels", ["1,0", "1,0,1", "0"])
def test_a_background_box_is_refused(labels: str) -> None:
    message = refusal("[1,2],[1,2,30,40]", labels)
    assert message == "click_labels: point 2 is a box with label 0, but a box is always foreground (label 1)"


def test_a_second_box_on_the_frame_is_refused_but_not_on_another_frame_or_object() -> None:
    two = "[1,2,30,40],[3,4,50,60]"
    assert refusal(two, "1", "7", "dog,dog") == (
        "click_coordinates: point 2 is a second box for 'dog' on frame 7, but an object has at most one box on a frame"
    )
    assert [prompt.frame_index for prompt in parse(two, "1", "7,8", "dog,dog")[0].prompts] == [7, 8]
    assert len(parse(two, "1", "7", "dog,cat")) == 2


@pytest.mark.parametrize("box", ["[10,10,10.9,40]", "[10,10,40,10.5]", "[5.1,5.1,5.9,5.9]"])
def test_a_box_smaller_than_a_pixel_is_refused(box: str) -> None:
    shown = box.replace(",", ", ")
    assert refusal(f"[1,2],{box}") == (
        f"click_coordinates: point 2 is the box {shown}, which is smaller than a pixel, but its numbers count pixels "
        "of the frame: x from 0 to 640 and y from 0 to 360, from the top left corner"
    )


# Labels, frames, corrections and names.


@pytest.mark.parametrize(
    "labels",
    [
        *("1,0,0", "1,0", " 1 ,\n0 ", "1,0,", "1,0,0,", "1 0", "1;0;"),
        *("(1, 0)", "[np.int64(1), np.int64(0)]", "[np.True_, np.False_]"),
        *("[1,0]", "[1 0,]", '["1", "0"]', "['1','0']", "true,false", "[True, False]", "1.0, 0.0", "[1. 0.]"),
    ],
)
def test_short_labels_repeat_the_last(labels: str) -> None:
    (one,) = parse("[1,2],[3,4],[5,6]", labels, "0", "a,a,a")
    assert one.prompts[0].labels == (1, 0, 0)


@pytest.mark.parametrize("label", ["2", "-1", "01", "1.5", "yes", "one", "[1]", "10"])
def test_other_labels_are_refused(label: str) -> None:
    assert refusal("[1,2],[3,4]", f"1,{label}") == (
        f"click_labels: point 2 has label {label!r}, but a label is 1 (foreground) or 0 (background)"
    )


@pytest.mark.parametrize(
    "frames", ["4,9,9", "4,9", "\t4, 9", "4,9,", "04,9", "4 9", "4;9", "[4,9]", "4.0,9.", "4\n9\n"]
)
def test_short_frames_repeat_the_last(frames: str) -> None:
    (one,) = parse("[1,2],[3,4],[5,6]", "1", frames, "a,a,a")
    assert one.prompts == (clicks(4, ((1.0, 2.0), 1)), clicks(9, ((3.0, 4.0), 1), ((5.0, 6.0), 1)))


@pytest.mark.parametrize("frame", ["200", "164", "-1", "0200", "164.0", "999999999999999999"])
def test_a_frame_outside_the_video_is_refused(frame: str) -> None:
    message = refusal("[1,2],[3,4],[5,6]", "1", f"0,163,{frame}")
    assert message == f"click_frames: point 3 is on frame {frame}, but the video has frames 0 to 163"


@pytest.mark.parametrize("frame", ["1.5", "1.01", "1e1", "ten", "[1]", "+1", "\u0661", "9999999999999999999"])
def test_a_frame_that_is_no_whole_number_is_refused(frame: str) -> None:
    message = refusal("[1,2],[3,4]", "1", f"0,{frame}")
    assert message == f"click_frames: point 2 is on frame {frame!r}, but a frame is a whole number from 0 to 163"


def test_an_empty_list_is_its_default_but_an_empty_value_is_refused() -> None:
    for empty in ("", " ", "[]", "[ ]", ","):
        assert parse("[1,2],[3,4]", empty, empty, empty, empty) == parse("[1,2],[3,4]")
    assert "point 2 has label ''" in refusal("[1,2],[3,4],[5,6]", "1,,1")
    assert "point 1 is on frame ''" in refusal("[1,2],[3,4]", "1", ",0")


def test_frames_with_only_spaces_between_are_frames() -> None:
    """Once read as frame 60 for every click, and as frame 1230."""
    assert [one.prompts[0].frame_index for one in parse("[1,2],[3,4]", "1", "0 60")] == [0, 60]
    assert [one.prompts[0].frame_index for one in parse("[1,2],[3,4],[5,6]", "1", "0 12 30")] == [0, 12, 30]


@pytest.mark.parametrize("text", ["[1,0", "['1,0]", '["1",0"]', "[1,[0]]", "[[1,0]]", "["])
def test_brackets_and_quotes_that_do_not_match_are_refused(text: str) -> None:
    for name, strings in {"click_labels": (text,), "click_frames": ("1", text)}.items():
        assert refusal("[1,2],[3,4]", *strings) == f"{name}: {text!r} is not a list of values, such as 1,0"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("", ["object_1", "object_2", "object_3"]),
        ("dog", ["dog", "object_2", "object_3"]),
        ("dog,,cat", ["dog", "object_2", "cat"]),
        (", ,cat", ["object_1", "object_2", "cat"]),
        ("dog,cat,", ["dog", "cat", "object_3"]),
        ("dog,dog,Dog", ["dog", "Dog"]),
        (" big \t dog ,big dog,bigdog", ["big dog", "bigdog"]),
        ("dog\ncat,\nred bird\n", ["dog", "cat", "red bird"]),
        ("dog\r\n\r\ncat\n", ["dog", "cat", "object_3"]),
        ("red;dog, cat 1", ["red;dog", "cat 1", "object_3"]),
        ('["dog","cat"]', ["dog", "cat", "object_3"]),
        ('["dog", null, "cat"]', ["dog", "object_2", "cat"]),
        ("['dog', None, 'cat']", ["dog", "object_2", "cat"]),
        ("('dog', 'cat')", ["dog", "cat", "object_3"]),
        ("('dog',)", ["dog", "object_2", "object_3"]),
        ("[np.str_('dog'), np.str_('cat')]", ["dog", "cat", "object_3"]),
        ("['np.str_(1)']", ["np.str_(1)", "object_2", "object_3"]),
        ("['red  bird', \"it's\", '']", ["red bird", "it's", "object_3"]),
        ("[' ', \" dog\\u00a0 1\", '']", ["object_1", "dog 1", "object_3"]),
        ("[dog, red bird\ncat]", ["dog", "red bird", "cat"]),
        ('["caf\\u00e9","[left] dog","a\\"b"]', ["café", "[left] dog", 'a"b']),
        ("dog[1],cat (left),it's", ["dog[1]", "cat (left)", "it's"]),
        ("../up,a/b,..", ["../up", "a/b", ".."]),
        ("犬,🐕\u200d🦺,'quoted'", ["犬", "🐕\u200d🦺", "'quoted'"]),
        ("object_1,object_1,object_3", ["object_1", "object_3"]),
    ],
)
def test_names(names: str, expected: list[str]) -> None:
    objects = parse("[1,2],[3,4],[5,6]", "1", "0", names)
    assert names_of(objects) == expected
    assert [one.index for one in objects] == list(range(len(expected)))


@pytest.mark.parametrize(
    ("names", "written", "generated"), [(",object_1", 2, 1), ("object_2,", 1, 2), ("object_2", 1, 2)]
)
def test_a_written_name_that_equals_a_generated_one_is_refused(names: str, written: int, generated: int) -> None:
    message = refusal("[1,2],[3,4]", "1", "0", names)
    assert message.startswith(f"click_object_ids: point {written} is named 'object_{generated}'")
    assert f"the name that point {generated} gets" in message


def test_a_name_has_at_most_64_characters_after_trimming() -> None:
    assert names_of(parse("[1,2]", names=f"  {'é' * 64} ")) == ["é" * 64]
    assert refusal("[1,2],[3,4]", names="a," + "é" * 65) == (
        f"click_object_ids: point 2 is named {'é' * 37 + '...'!r}, 65 characters, but a name has at most 64"
    )


@pytest.mark.parametrize(
    "text",
    [
        "[dog,cat",
        "dog,cat]",
        "(dog,cat",
        "(dog), (cat)",
        "(big) dog (1)",
        '["dog","cat"',
        '["dog,cat"]',
        "['a\\'b']",
        "[a],[b]",
        '["a"b]',
        '["\\x"]',
    ],
)
def test_names_with_brackets_or_quotes_that_do_not_match_are_refused(text: str) -> None:
    assert refusal("[1,2],[3,4]", names=text) == (
        f'click_object_ids: {text!r} is not a list of names, such as red bird,dog or ["red bird","dog"]'
    )


def test_a_comma_in_a_name_is_refused() -> None:
    message = refusal("[1,2]", names='["a\\u002cb"]')
    assert (
        message == "click_object_ids: point 1 is named 'a,b', but a name is text without commas and control characters"
    )


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\ud800"])
def test_control_characters_in_a_name_are_refused_and_escaped(character: str) -> None:
    message = refusal("[1,2]", names=f"a{character}b")
    shown = repr(f"a{character}b")
    assert message.startswith(
        f"click_object_ids: point 1 is named {shown}, but a name is text without commas and control"
    )
    assert message.isprintable()


@pytest.mark.parametrize(
    ("strings", "name"),
    [
        (("1,1,1,zebra,", "0", "a,b"), "click_labels"),
        (("1", "0 0 9999", "a,b"), "click_frames"),
        (("1", "0", "a,b,\x00"), "click_object_ids"),
        (("1", "0", "['a','b','c]"), "click_object_ids"),
        (("1", "0", "a,b", "[0,0,x]"), "click_corrections"),
        (("1", "0", "a,b", "0", "0,0,9"), "click_candidates"),
    ],
)
def test_extra_values_are_ignored_with_a_log_line(
    strings: tuple[str, ...], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="sam2_cog.reading.click_lists"):
        assert parse("[1,2],[3,4]", *strings) == parse("[1,2],[3,4]", "1", "0", "a,b")
    assert caplog.messages == [f"{name}: more values than the 2 points, the others are ignored"]


def test_lists_of_the_right_length_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sam2_cog.reading.click_lists"):
        parse("[1,2],[3,4]", "1,1,", "0,0,", "a,b,", "0,0,")
    assert caplog.messages == []


# The same lists, written in any way.

GAPS = st.sampled_from([",", ", ", " ", ";", " ;\n", "\n", "\t", " ,  ", "\u00a0"])
NAME_GAPS = st.sampled_from([",", ", ", " ,\n", "\n", "\r\n"])
ENDS = st.sampled_from(
    [("", ""), ("", ""), ("[", "]"), ("(", ")"), ("[ ", "\n]"), ("", ","), ("[", ",]"), ("[", "],"), ("\n", " ")]
)
BROKEN_ENDS = st.sampled_from([("[", ""), ("", "]"), ("[[", "]]"), ("(", "]")])
QUOTES: st.SearchStrategy[Callable[[str], str]] = st.sampled_from([str, json.dumps, repr])
NAMES = st.sampled_from(["dog", "red bird", "é", "a;b", "object", "x[1]", "犬"])


@st.composite
def joined(draw: st.DrawFn, values: list[str], gaps: st.SearchStrategy[str]) -> str:
    opened, closed = draw(ENDS if draw(st.integers(0, 9)) else BROKEN_ENDS)
    text = values[0] + "".join(draw(gaps) + value for value in values[1:])
    return opened + text + closed


@st.composite
def written(draw: st.DrawFn) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The five lists in the plain form, and the same values written as somebody may write them."""
    count = draw(st.integers(1, 5))
    numbers = st.integers(2, 300).map(str) | st.sampled_from(["7.5", "030", "12."])
    box = st.integers(0, 99).map(lambda n: [str(n), str(n + 1), str(n + 9), str(n + 20)])
    shapes = [draw(st.lists(numbers, min_size=2, max_size=2) | box) for _ in range(count)]
    entries = [f"[{shape[0]}" + "".join(draw(GAPS) + number for number in shape[1:]) + "]" for shape in shapes]
    kinds = (st.sampled_from("01"), st.integers(0, 150).map(str), NAMES, st.just("0"))
    lists = [draw(st.lists(kind, max_size=count)) for kind in kinds]
    plain = [",".join(f"[{','.join(shape)}]" for shape in shapes), *map(",".join, lists)]
    typed = [draw(joined(entries, GAPS | st.just("")))]
    for number, values in enumerate(lists):
        quote = draw(QUOTES)
        text = draw(joined([quote(value) for value in values] or [""], NAME_GAPS if number == 2 else GAPS))
        typed.append(text if quote is str or text.startswith("[") else f"[{text}]")
    return tuple(plain), tuple(typed)


@settings(max_examples=400, deadline=None)
@given(written())
def test_however_a_list_is_written_it_is_read_as_its_plain_form_or_refused_as_typed(
    forms: tuple[tuple[str, ...], tuple[str, ...]],
) -> None:
    plain, typed = forms
    try:
        expected = parse(*plain)
    except InvalidRequest:
        return
    try:
        assert parse(*typed) == expected
    except InvalidRequest as refused:
        (shown,) = re.findall(r"""^[^'"]*('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", str(refused))
        assert any(ast.literal_eval(shown).removesuffix("...") in text for text in typed)
