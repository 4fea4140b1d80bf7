"""Every reading, grouping and refusal rule of `prompts.py`, and random requests of two kinds."""

import logging
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple
from typing import TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import Box, FramePrompt, ObjectPrompts, Point, format_prompts, parse_prompts, prompt_frames

WIDTH, HEIGHT, FRAMES = 640, 360, 164
T = TypeVar("T")

FIVE = "[391,227],[250,230],[300,20],[480,200],[500,250]"


def parse(
    coordinates: str,
    labels: str = "1",
    frames: str = "0",
    names: str = "",
    corrections: str = "0",
    *,
    propagation: str = "both",
) -> tuple[ObjectPrompts, ...]:
    return parse_prompts(
        coordinates,
        labels,
        frames,
        names,
        corrections,
        width=WIDTH,
        height=HEIGHT,
        frame_count=FRAMES,
        propagation=propagation,
    )


def refusal(*strings: str, **options: str) -> str:
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
    ],
)
def test_ways_to_write_the_same_two_points(text: str) -> None:
    assert points_of(parse(text)) == [(1.0, 2.0), (3.0, 4.0)]


def test_one_point_in_an_outer_pair_of_brackets() -> None:
    assert parse("[[391,227]]") == parse("[391,227]")


def test_decimals_and_the_last_place_inside_the_frame() -> None:
    assert points_of(parse("[0,0],[639.99,359.5],[.5,-0]")) == [(0.0, 0.0), (639.99, 359.5), (0.5, 0.0)]
    assert str(points_of(parse("[0,-0.0]"))) == "[(0.0, 0.0)]"


@pytest.mark.parametrize("text", ["", "  \n", "[]", "[[]]", "[ ]", ","])
def test_no_point_is_refused_with_an_example(text: str) -> None:
    message = refusal(text)
    assert message.startswith("click_coordinates: there is no point") and "[391,227]" in message


@pytest.mark.parametrize(
    "text", ["391,227", "[391,227", "391,227]", "(391,227)", "[", "]", "[[1,2],[3,4]", "{}", "cat", "[[]"]
)
def test_what_is_no_list_is_refused_with_an_example(text: str) -> None:
    message = refusal(text)
    assert message.startswith(f"click_coordinates: {text!r} is not a list of points, such as [391,227]")


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
        ("[1,2],(3,4)]", 1, "[1,2],(3,4)]"),
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
        ("[50,-.25]", "[50, -0.25]"),
        ("[50,99999999999999999999]", "[50, 100000000000000000000]"),
    ],
)
def test_a_point_outside_the_frame_is_refused(point: str, shown: str) -> None:
    assert refusal(f"[1,2],{point}") == (
        f"click_coordinates: point 2 is at {shown}, but the video is 640x360 (x from 0 to 639, y from 0 to 359)"
    )


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


# Labels, frames and names.


@pytest.mark.parametrize("labels", ["1,0,0", "1,0", " 1 ,\n0 ", "1,0,", "1,0,0,"])
def test_short_labels_repeat_the_last(labels: str) -> None:
    (one,) = parse("[1,2],[3,4],[5,6]", labels, "0", "a,a,a")
    assert one.prompts[0].labels == (1, 0, 0)


@pytest.mark.parametrize("label", ["2", "-1", "01", "1.0", "true", "one", "[1]"])
def test_other_labels_are_refused(label: str) -> None:
    assert refusal("[1,2],[3,4]", f"1,{label}") == (
        f"click_labels: point 2 has label {label!r}, but a label is 1 (foreground) or 0 (background)"
    )


@pytest.mark.parametrize("frames", ["4,9,9", "4,9", "\t4, 9", "4,9,", "04,9"])
def test_short_frames_repeat_the_last(frames: str) -> None:
    (one,) = parse("[1,2],[3,4],[5,6]", "1", frames, "a,a,a")
    assert one.prompts == (clicks(4, ((1.0, 2.0), 1)), clicks(9, ((3.0, 4.0), 1), ((5.0, 6.0), 1)))


@pytest.mark.parametrize("frame", ["200", "164", "-1", "999999999999999999"])
def test_a_frame_outside_the_video_is_refused(frame: str) -> None:
    message = refusal("[1,2],[3,4],[5,6]", "1", f"0,163,{frame}")
    assert message == f"click_frames: point 3 is on frame {frame}, but the video has frames 0 to 163"


@pytest.mark.parametrize("frame", ["1.5", "1.0", "1e1", "ten", "[1]", "+1", "\u0661", "9999999999999999999"])
def test_a_frame_that_is_no_whole_number_is_refused(frame: str) -> None:
    message = refusal("[1,2],[3,4]", "1", f"0,{frame}")
    assert message == f"click_frames: point 2 is on frame {frame!r}, but a frame is a whole number from 0 to 163"


def test_an_empty_list_is_its_default_but_an_empty_value_is_refused() -> None:
    assert parse("[1,2],[3,4]", "", " ", "") == parse("[1,2],[3,4]")
    assert "point 2 has label ''" in refusal("[1,2],[3,4],[5,6]", "1,,1")
    assert "point 1 is on frame ''" in refusal("[1,2],[3,4]", "1", ",0")
    assert "point 1 has label ''" in refusal("[1,2]", ",")


def test_white_space_never_matters() -> None:
    plain = (FIVE, "1,1,0,1,1", "0,0,10,20,20")
    points, labels, frames = (" ".join(text).replace("0", "0\n").replace(",", "\t,\u2003") for text in plain)
    assert parse(points, labels, frames, " dog ,dog,\nbackground,cat\t,cat ") == parse(
        *plain, "dog,dog,background,cat,cat"
    )


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("", ["object_1", "object_2", "object_3"]),
        ("dog", ["dog", "object_2", "object_3"]),
        ("dog,,cat", ["dog", "object_2", "cat"]),
        (", ,cat", ["object_1", "object_2", "cat"]),
        ("dog,cat,", ["dog", "cat", "object_3"]),
        ("dog,dog,Dog", ["dog", "Dog"]),
        (" big \n\t dog ,big dog,bigdog", ["big dog", "bigdog"]),
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


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\ud800"])
def test_control_characters_in_a_name_are_refused_and_escaped(character: str) -> None:
    message = refusal("[1,2]", names=f"a{character}b")
    assert (
        message
        == f"click_object_ids: point 1 is named {f'a{character}b'!r}, but a name is text without control characters"
    )
    assert message.isprintable()


@pytest.mark.parametrize(
    ("strings", "message"),
    [
        (("1,1,1,zebra,", "0", "a,b"), "click_labels: 4 values for 2 points, the last 2 ignored"),
        (("1", "0,0,9999", "a,b"), "click_frames: 3 values for 2 points, the last 1 ignored"),
        (("1", "0", "a,b,\x00"), "click_object_ids: 3 values for 2 points, the last 1 ignored"),
        (("1", "0", "a,b", "0,0,x"), "click_corrections: 3 values for 2 points, the last 1 ignored"),
    ],
)
def test_extra_values_are_ignored_with_a_log_line(
    strings: tuple[str, ...], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="sam2_cog.prompts"):
        assert parse("[1,2],[3,4]", *strings) == parse("[1,2],[3,4]", "1", "0", "a,b")
    assert caplog.messages == [message]


def test_lists_of_the_right_length_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="sam2_cog.prompts"):
        parse("[1,2],[3,4]", "1,1,", "0,0,", "a,b,", "0,0,")
    assert caplog.messages == []


# Grouping.


def test_the_five_point_example_gives_exactly_two_objects() -> None:
    dog, cat = parse(FIVE, "1,1,0,1,1", "0,0,10,20,20", "dog,dog,background,cat,cat")
    background = clicks(10, ((300.0, 20.0), 0))
    assert dog == ObjectPrompts("dog", 0, (clicks(0, ((391.0, 227.0), 1), ((250.0, 230.0), 1)),), (background,))
    assert cat == ObjectPrompts("cat", 1, (clicks(20, ((480.0, 200.0), 1), ((500.0, 250.0), 1)),), (background,))


def test_a_background_click_without_names_belongs_to_the_one_object() -> None:
    assert parse("[1,2],[3,4]", "1,0") == (
        ObjectPrompts("object_1", 0, (clicks(0, ((1.0, 2.0), 1), ((3.0, 4.0), 0)),), ()),
    )


def test_clicks_of_both_labels_on_a_frame_are_one_prompt_in_entry_order() -> None:
    (one,) = parse("[1,1],[2,2],[3,3]", "0,1,0", "5", "a,a,a")
    assert one.prompts == (clicks(5, ((1.0, 1.0), 0), ((2.0, 2.0), 1), ((3.0, 3.0), 0)),)
    assert one.corrections == ()


def test_a_background_only_frame_of_an_object_is_a_correction_also_before_its_prompt() -> None:
    (one,) = parse("[1,1],[2,2],[3,3]", "0,1,0", "9,5,2", "a,a,a")
    assert one.prompts == (clicks(5, ((2.0, 2.0), 1)),)
    assert one.corrections == (clicks(2, ((3.0, 3.0), 0)), clicks(9, ((1.0, 1.0), 0)))


@pytest.mark.parametrize("corrections", ["0,1,1,1", "0,1", "0,1,0,1", " 0,\n1 ,"])
def test_a_marked_foreground_click_is_a_correction_and_background_clicks_go_with_it(corrections: str) -> None:
    (one,) = parse("[1,1],[2,2],[3,3],[4,4]", "1,1,0,1", "0,5,5,7", "a,a,a,a", corrections)
    assert one.prompts == (clicks(0, ((1.0, 1.0), 1)),)
    assert one.corrections == (clicks(5, ((2.0, 2.0), 1), ((3.0, 3.0), 0)), clicks(7, ((4.0, 4.0), 1)))


def test_a_background_click_alone_corrects_whether_it_is_marked_or_not() -> None:
    strings = ("[1,1],[2,2]", "1,0", "0,5", "a,a")
    assert parse(*strings, "0,1") == parse(*strings, "0,0") == parse(*strings, "")


def test_shared_background_joins_a_prompt_here_and_a_correction_there() -> None:
    a, b = parse("[1,1],[2,2],[3,3],[9,9]", "1,1,1,0", "4,0,4,4", "a,b,b,sky", "0,0,1,0")
    assert a.prompts == (clicks(4, ((1.0, 1.0), 1), ((9.0, 9.0), 0)),)
    assert b.corrections == (clicks(4, ((3.0, 3.0), 1), ((9.0, 9.0), 0)),)


@pytest.mark.parametrize("correction", ["2", "-1", "01", "yes"])
def test_other_corrections_are_refused(correction: str) -> None:
    assert refusal("[1,2],[3,4]", "1", "0", "a,a", f"0,{correction}") == (
        f"click_corrections: point 2 has correction {correction!r}, "
        "but a correction is 1 (it corrects the mask tracked up to its frame) or 0 (it does not)"
    )


def test_a_box_is_no_correction() -> None:
    assert refusal("[1,2],[1,2,30,40]", "1", "0,5", "a,a", "0,1") == (
        "click_corrections: point 2 is a box with correction 1, but only clicks can correct a mask "
        "(a box has correction 0)"
    )


@pytest.mark.parametrize("shape", ["[3,3]", "[1,2,30,40]"])
@pytest.mark.parametrize("label", ["1", "0"])
def test_a_prompt_and_a_correction_of_one_object_on_one_frame_are_refused(shape: str, label: str) -> None:
    assert refusal(f"[1,1],{shape},[4,4]", f"1,1,{label}", "0,5,5", "a,a,a", "0,0,1") == (
        "click_corrections: point 3 corrects the mask of 'a' on frame 5, but point 2 starts it anew there, "
        "and only one of the two can be"
    )


def test_a_shared_correction_is_refused_where_an_object_starts_anew() -> None:
    message = refusal("[1,1],[9,9]", "1,0", "4", "a,sky", "0,1")
    assert message.startswith("click_corrections: point 2 corrects the mask of 'a' on frame 4, but point 1 starts it")


@pytest.mark.parametrize(("labels", "names"), [("1", "a,b,b"), ("1,0,1", "a,b,b"), ("1,1,0", "a,b,sky")])
def test_an_object_with_corrections_only_is_refused(labels: str, names: str) -> None:
    message = refusal("[1,1],[2,2],[3,3]", labels, "0,5,6", names, "0,1,1")
    assert message == (
        "click_corrections: point 2 corrects 'b', but 'b' has no foreground click or box with correction 0, "
        "from which it could be tracked"
    )


def test_shared_background_comes_after_the_own_clicks_of_the_frame() -> None:
    a, b = parse("[9,9],[1,1],[2,2],[3,3]", "0,1,0,1", "4,4,4,6", "sky,a,a,b")
    assert a.prompts == (clicks(4, ((1.0, 1.0), 1), ((2.0, 2.0), 0), ((9.0, 9.0), 0)),)
    assert a.corrections == ()
    assert b.corrections == (clicks(4, ((9.0, 9.0), 0)),)


def test_shared_background_joins_an_own_correction() -> None:
    (a,) = parse("[1,1],[2,2],[9,9],[8,8]", "1,0,0,0", "0,4,4,4", "a,a,sky,ground")
    assert a.corrections == (clicks(4, ((2.0, 2.0), 0), ((9.0, 9.0), 0), ((8.0, 8.0), 0)),)


def test_objects_come_in_order_of_first_appearance_and_frames_ascend() -> None:
    objects = parse("[1,1],[2,2],[3,3],[4,4],[5,5]", "0,0,1,1,1", "3,9,8,7,1", "sky,b,a,b,a")
    assert [(one.name, one.index) for one in objects] == [("b", 0), ("a", 1)]
    assert [prompt.frame_index for prompt in objects[1].prompts] == [1, 8]
    assert prompt_frames(objects) == (1, 7, 8)


@pytest.mark.parametrize("names", ["", "a,a", "a,b"])
def test_no_foreground_at_all_is_refused(names: str) -> None:
    message = refusal("[1,2],[3,4]", "0", "0", names)
    assert message == "click_labels: every point has label 0, but at least one must be foreground (label 1)"


@pytest.mark.parametrize("names", ["a,a,b", "sky,a,b"])
def test_forward_refuses_a_click_before_the_first_prompt_of_all(names: str) -> None:
    strings = ("[1,1],[2,2],[3,3]", "0,1,1", "3,10,20", names)
    assert refusal(*strings, propagation="forward") == (
        "click_frames: point 1 is a background click on frame 3, but with propagation forward nothing is tracked "
        "before frame 10, the first on which an object is prompted"
    )
    assert parse(*strings)[0].corrections[0].frame_index == 3


def test_forward_refuses_a_foreground_correction_before_the_first_prompt_of_all() -> None:
    strings = ("[1,1],[2,2],[3,3]", "1", "3,10,20", "a,a,b", "1,0,0")
    assert refusal(*strings, propagation="forward") == (
        "click_frames: point 1 is a correction on frame 3, but with propagation forward nothing is tracked "
        "before frame 10, the first on which an object is prompted"
    )
    assert parse(*strings)[0].corrections[0].frame_index == 3


def test_forward_allows_a_correction_before_the_prompt_of_its_own_object() -> None:
    """The object is tracked from the first prompt of all on, with what its later prompt tells of it."""
    strings = ("[1,1],[2,2],[3,3]", "1", "0,10,20", "a,b,b", "0,1,0")
    assert parse(*strings, propagation="forward") == parse(*strings)


def test_forward_allows_a_correction_from_the_first_prompt_of_any_object_on() -> None:
    strings = (FIVE, "1,1,0,1,1", "0,0,10,20,20", "dog,dog,background,cat,cat")
    assert parse(*strings, propagation="forward") == parse(*strings)
    same_frame = ("[1,1],[2,2]", "0,1", "10", "sky,a")
    assert parse(*same_frame, propagation="forward") == parse(*same_frame)


def test_another_propagation_is_refused() -> None:
    assert refusal("[1,2]", propagation="Both") == "propagation: 'Both' is not one of both, forward"


# Size, safety, printing.


@pytest.mark.parametrize(
    "strings",
    [
        ("x\n" * 600_000,),
        ("[" * 1_000_000,),
        ("[" * 500_000 + "]" * 500_000,),
        ("[" + "9" * 1_000_000 + ",1]",),
        ("[0." + "0" * 1_000_000 + ",1]",),
        ("[" + "1," * 500_000 + "1]",),
        ("[1,2]", "1" * 1_000_000),
        ("[1,2]", "1", "9" * 1_000_000),
        ("[1,2]", "1", "-" * 1_000_000),
        ("[1,2]", "1", "0", "n" * 1_000_000),
        ("[1,2]", "1", "0", "\x00" * 1_000_000),
        (",".join(["[1,2]"] * 4000), ",".join(["1", "0"] * 2000)),
    ],
)
def test_a_hostile_request_is_refused_at_once_in_one_short_line(strings: tuple[str, ...]) -> None:
    started = time.perf_counter()
    message = refusal(*strings)
    assert time.perf_counter() - started < 2
    assert len(message) < 300 and message.isprintable()


def test_a_huge_request_is_parsed_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("SAM2_MAX_CLICKS", "SAM2_MAX_OBJECTS", "SAM2_MAX_OBJECT_PIXELS"):
        monkeypatch.setenv(variable, str(10**15))

    def seconds(count: int) -> float:
        points = ",".join(f"[{i % WIDTH}.5,{i % HEIGHT}]" for i in range(count))
        frames = ",".join(str(i % FRAMES) for i in range(count))
        names = ",".join(f"name {i % 1000}" for i in range(count))
        started = time.process_time()
        objects = parse(points, "1", frames, names)
        assert len(objects) == 1000 and len(points_of(objects)) == count
        return time.process_time() - started

    small, large = min(seconds(10_000) for _ in range(3)), seconds(100_000)
    assert large < 40 * small  # quadratic would be 100


def test_background_clicks_shared_out_to_too_many_objects_are_refused() -> None:
    points, labels = ",".join(["[1,2]"] * 200), "1," * 100 + "0"
    assert refusal(points, labels) == (
        "click_object_ids: there are 10100 clicks, but at most 10000 are allowed (SAM2_MAX_CLICKS)"
    )
    fits = parse(",".join(["[1,2]"] * 199), "1," * 100 + "0")
    assert len(fits) == 100 and len(fits[0].prompts[0].points) == 100


def test_printing_is_readable_and_exact() -> None:
    objects = parse("[1,2,30,40],[7.50,.1],[3,4],[5,0.0000000001]", "1,1,0", "9,9,2,0", "dog,dog,sky,dog")
    assert astuple(format_prompts(objects)) == (
        "[1,2,30,40],[7.5,0.1],[5,0.0000000001],[3,4]",
        "1,1,0,0",
        "9,9,0,2",
        "dog,dog,dog,dog",
        "0,0,1,1",
    )


def test_the_module_needs_neither_the_network_nor_a_decoder() -> None:
    code = (
        "import sys, sam2_cog.prompts; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'ffmpeg', 'numpy', 'sam2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Random requests.

SPACE = st.sampled_from(["", "", "", " ", "\n", "\t "])
NUMBER = st.one_of(
    st.integers(0, 359).map(str),
    st.floats(0, 359, exclude_max=True).map(lambda value: f"{value:.40f}"),
    st.sampled_from(["0", ".5", "7.", "-0", "000.25", "." + "0" * 39 + "1", "359.99999999999997"]),
)
ODD_NUMBER = st.sampled_from(["-1", "640", "1e3", "nan", "", "9" * 21, "0" * 41, "1 2"])


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """`odd` about once in thirty draws, so that whole requests of several values are often right."""
    return st.integers(0, 29).flatmap(lambda draw: odd if draw == 0 else usual)


@st.composite
def boxes(draw: st.DrawFn) -> list[str]:
    x0, y0 = draw(st.integers(0, 630)), draw(st.integers(0, 350))
    return [str(n) for n in (x0, y0, draw(st.integers(x0 + 1, WIDTH)), draw(st.integers(y0 + 1, HEIGHT)))]


@st.composite
def coordinate_texts(draw: st.DrawFn) -> str:
    points = st.lists(mostly(NUMBER, ODD_NUMBER), min_size=2, max_size=2)
    shapes = draw(st.lists(mostly(points, boxes() | st.lists(NUMBER, max_size=5)), min_size=1, max_size=8))
    entries = [f"{draw(SPACE)}[{draw(SPACE)}{','.join(shape)}{draw(SPACE)}]{draw(SPACE)}" for shape in shapes]
    opened, closed = draw(mostly(st.sampled_from([("", ""), ("[", "]")]), st.sampled_from([("[", ""), ("", "]")])))
    return opened + ",".join(entries) + draw(st.sampled_from(["", "", ","])) + closed


def value_lists(usual: st.SearchStrategy[str], odd: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(mostly(usual, odd), max_size=9).map(",".join)


REQUESTS = st.tuples(
    coordinate_texts(),
    value_lists(st.sampled_from(["1", "1", "0", " 1", "0\n"]), st.sampled_from(["2", "", "x"])),
    value_lists(st.integers(0, 5).map(str), st.sampled_from(["163", "164", "-1", "", "1.5"])),
    value_lists(
        st.sampled_from(["dog", " dog", "cat", "b  g", "b g", "", "é"]),
        st.text(st.characters(exclude_characters=","), max_size=70) | st.sampled_from(["object_1", "object_2"]),
    ),
    value_lists(st.sampled_from(["0", "0", "0", "1"]), st.sampled_from(["2", "", "x"])),
)
PROPAGATION = st.sampled_from(["both", "forward"])


def check_any_outcome(strings: Iterable[str], propagation: str) -> None:
    """A right request obeys the types' promises and prints to its like; a wrong one is refused in one short line."""
    try:
        objects = parse(*strings, propagation=propagation)
    except InvalidRequest as error:
        assert str(error).isprintable() and len(str(error)) < 300
        return
    assert [one.index for one in objects] == list(range(len(objects))) and objects
    assert len(set(names_of(objects))) == len(objects)
    for one in objects:
        assert one.prompts and all(prompt.box or 1 in prompt.labels for prompt in one.prompts)
        assert all(prompt.box is None and prompt.labels for prompt in one.corrections)
        frames = [prompt.frame_index for prompt in (*one.prompts, *one.corrections)]
        assert len(set(frames)) == len(frames) and min(frames) >= 0 and max(frames) < FRAMES
        for group in (one.prompts, one.corrections):
            assert [prompt.frame_index for prompt in group] == sorted(prompt.frame_index for prompt in group)
    assert parse(*astuple(format_prompts(objects)), propagation=propagation) == objects


@settings(max_examples=1500, deadline=None)
@given(REQUESTS, PROPAGATION)
@example((FIVE, "1,1,0,1,1", "0,0,10,20,20", "dog,dog,background,cat,cat", "0"), "both")
@example(("[1,1],[2,2],[3,3],[4,4]", "1,1,0,1", "0,5,5,7", "a,a,a,a", "0,1,0,1"), "both")
def test_near_valid_requests_are_parsed_or_refused_and_print_to_their_like(
    strings: tuple[str, str, str, str, str], propagation: str
) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.tuples(*[st.text(st.characters(codec=None), max_size=60)] * 5), PROPAGATION)
def test_any_text_at_all_is_refused_or_parsed(strings: tuple[str, ...], propagation: str) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.tuples(*[st.text("[],.-0123456789 \nax", max_size=40)] * 5), PROPAGATION)
def test_any_text_of_the_alphabet_is_refused_or_parsed(strings: tuple[str, ...], propagation: str) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.text(st.characters(codec=None), max_size=70), st.text("[],.-0123456789 \nax", max_size=12))
def test_any_text_beside_a_right_point_is_refused_or_parsed(name: str, numbers: str) -> None:
    check_any_outcome(("[1,2],[3,4]", "1", numbers, name), "both")
    check_any_outcome((f"[1,2],[{numbers}]", "1,0", "0", name), "both")
