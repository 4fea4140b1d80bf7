"""Every rule of grouping, how prompts are printed, hostile requests, and random ones."""

import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import astuple, replace
from typing import Any, TypeVar

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import ObjectMask
from sam2_cog.prompts import (
    Entry,
    FramePrompt,
    ObjectPrompts,
    counted_anew,
    format_prompts,
    parse_prompts,
    prompt_frames,
)
from tests.parsing import FIVE, FRAMES, HEIGHT, WIDTH, clicks, names_of, parse, points_of, refusal

T = TypeVar("T")

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


# Masks from files.

MASK = ObjectMask((HEIGHT, WIDTH), (8, 8, 9, 9), b"\x80")


def given_mask(name: str, frame: int) -> Entry:
    return Entry("masks", f"'masks/{name}/{frame}.png' of masks", frame, name, mask=MASK)


def test_masks_alone_are_objects() -> None:
    objects = parse("", from_files=[given_mask("dog", 7), given_mask("cat", 3), given_mask("dog", 3)])
    assert names_of(objects) == ["dog", "cat"]
    assert objects[0].prompts == (FramePrompt(3, (), (), None, MASK), FramePrompt(7, (), (), None, MASK))
    assert objects[0] != parse("", from_files=[given_mask("dog", 3)])[0]


def test_clicks_refine_a_mask_on_its_frame_and_correct_it_on_others() -> None:
    strings = ("[1,1],[2,2],[3,3],[1,2,30,40],[9,9]", "1,0,0,1,0", "3,3,8,3,3", "dog,dog,dog,dog,sky")
    (dog,) = parse(*strings, from_files=[given_mask("dog", 3)])
    refined = FramePrompt(3, ((1.0, 1.0), (2.0, 2.0), (9.0, 9.0)), (1, 0, 0), (1.0, 2.0, 30.0, 40.0), MASK)
    assert dog.prompts == (refined,)
    assert dog.corrections == (clicks(8, ((3.0, 3.0), 0)),)


def test_clicks_with_other_names_are_further_objects_before_those_of_the_masks() -> None:
    objects = parse("[1,1]", names="bird", from_files=[given_mask("dog", 3)])
    assert names_of(objects) == ["bird", "dog"]


def test_background_clicks_alone_need_no_foreground_where_there_is_a_mask() -> None:
    (dog,) = parse("[1,1]", "0", "3", from_files=[given_mask("dog", 3)])
    assert dog.prompts == (FramePrompt(3, ((1.0, 1.0),), (0,), None, MASK),)


@pytest.mark.parametrize(
    ("strings", "options", "sentence"),
    [
        (
            ("[1,1]", "1", "3", "dog", "1"),
            {},
            "click_corrections: point 1 corrects the mask of 'dog' on frame 3, but 'masks/dog/3.png' of masks starts "
            "it anew there, and only one of the two can be",
        ),
        (
            ("[1,1]", "0", "1", "dog"),
            {"propagation": "forward"},
            "click_frames: point 1 is a background click on frame 1, but with propagation forward nothing is tracked "
            "before frame 3, the first on which an object is prompted",
        ),
        (
            ("[1,1],[2,2]", "1", "0", "a"),
            {"from_files": [given_mask("object_2", 3)]},
            "click_object_ids: point 2 has no name and would get 'object_2', but that is the name of an object in "
            "masks, so it needs a name of its own",
        ),
    ],
)
def test_masks_and_clicks_that_do_not_go_together_are_refused(
    strings: tuple[str, ...], options: dict[str, Any], sentence: str
) -> None:
    assert refusal(*strings, **{"from_files": [given_mask("dog", 3)]} | options) == sentence


def test_lists_without_points_are_told_to_be_ignored(caplog: pytest.LogCaptureFixture) -> None:
    parse("", from_files=[given_mask("dog", 3)])
    assert caplog.messages == []
    parse("[]", "1", "5", from_files=[given_mask("dog", 3)])
    assert caplog.messages == ["click_frames: more values than the 0 points, the others are ignored"]


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
        "0,0,0,0",
    )


def test_a_candidate_is_that_of_the_first_click_and_is_printed_with_it() -> None:
    a, b = parse("[1,1],[2,2],[3,3],[9,9]", "1,0,1,0", "4", "a,a,b,sky", "0", "3.0,0,1,0")
    assert a.prompts == (replace(clicks(4, ((1.0, 1.0), 1), ((2.0, 2.0), 0), ((9.0, 9.0), 0)), candidate=3),)
    assert b.prompts[0].candidate == 1
    assert format_prompts([a, b]).click_candidates == "3,0,0,1,0"
    assert [one.prompts[0].candidate for one in parse("[1,1],[2,2]", candidates="2")] == [2, 2]


ELSEWHERE = "but only a foreground click that starts an object has candidates, no box, background click or correction"
ALONE = "on frame 0 too, and only a first click without a box or a mask has candidates"


@pytest.mark.parametrize(
    ("strings", "sentence"),
    [
        (
            ("[1,1]", "1", "0", "", "0", "4"),
            "click_candidates: point 1 has candidate '4', but a candidate is 1, 2 or 3",
        ),
        (("[1,1,9,9]", "1", "0", "", "0", "1"), f"click_candidates: point 1 has candidate 1, {ELSEWHERE}"),
        (("[1,1],[2,2]", "1,0", "0", "", "0", "0,2"), f"click_candidates: point 2 has candidate 2, {ELSEWHERE}"),
        (("[1,1],[2,2]", "1", "0,5", "a,a", "0,1", "2"), f"click_candidates: point 2 has candidate 2, {ELSEWHERE}"),
        (
            ("[1,1],[2,2]", "1", "0", "a,a", "0", "0,2"),
            f"click_candidates: point 2 has candidate 2, but 'a' has point 1 {ALONE}",
        ),
        (
            ("[1,1],[1,1,9,9]", "1", "0", "a,a", "0", "2,0"),
            f"click_candidates: point 1 has candidate 2, but 'a' has point 2 {ALONE}",
        ),
        (
            ("[1,1],[2,2]", "1", "0", "a,a", "0", "2"),
            f"click_candidates: point 2 has candidate 2, but 'a' has point 1 {ALONE}",
        ),
    ],
)
def test_what_has_no_candidates_cannot_choose_one(strings: tuple[str, ...], sentence: str) -> None:
    assert refusal(*strings).startswith(sentence)


def test_a_click_beside_a_mask_has_no_candidates() -> None:
    message = refusal("[1,1]", "1", "3", "dog", "0", "1", from_files=[given_mask("dog", 3)])
    assert message.startswith("click_candidates: point 1 has candidate 1, but 'dog' has 'masks/dog/3.png' of masks")


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
    st.sampled_from(["", "0", "2", "1,0", "0,3", "4"]),
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
        assert all(prompt.box is None and prompt.labels and not prompt.candidate for prompt in one.corrections)
        assert all(prompt.labels[0] and not prompt.box for prompt in one.prompts if prompt.candidate)
        frames = [prompt.frame_index for prompt in (*one.prompts, *one.corrections)]
        assert len(set(frames)) == len(frames) and min(frames) >= 0 and max(frames) < FRAMES
        for group in (one.prompts, one.corrections):
            assert [prompt.frame_index for prompt in group] == sorted(prompt.frame_index for prompt in group)
    assert parse(*astuple(format_prompts(objects)), propagation=propagation) == objects


@settings(max_examples=600, deadline=None)
@given(REQUESTS, PROPAGATION)
@example((FIVE, "1,1,0,1,1", "0,0,10,20,20", "dog,dog,background,cat,cat", "0", "0"), "both")
@example(("[1,1],[2,2],[3,3],[4,4]", "1,1,0,1", "0,5,5,7", "a,a,a,a", "0,1,0,1", "3,0"), "both")
def test_near_valid_requests_are_parsed_or_refused_and_print_to_their_like(
    strings: tuple[str, str, str, str, str, str], propagation: str
) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.tuples(*[st.text(st.characters(codec=None), max_size=60)] * 6), PROPAGATION)
def test_any_text_at_all_is_refused_or_parsed(strings: tuple[str, ...], propagation: str) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.tuples(*[st.text("[],.-0123456789 \nax", max_size=40)] * 6), PROPAGATION)
def test_any_text_of_the_alphabet_is_refused_or_parsed(strings: tuple[str, ...], propagation: str) -> None:
    check_any_outcome(strings, propagation)


@settings(max_examples=1000, deadline=None)
@given(st.text(st.characters(codec=None), max_size=70), st.text("[],.-0123456789 \nax", max_size=12))
def test_any_text_beside_a_right_point_is_refused_or_parsed(name: str, numbers: str) -> None:
    check_any_outcome(("[1,2],[3,4]", "1", numbers, name), "both")
    check_any_outcome((f"[1,2],[{numbers}]", "1,0", "0", name), "both")


@pytest.mark.parametrize(("frame", "nearest"), [(3, "4"), (0, "4"), (7, "6 and 8"), (11, "10"), (23, "10")])
def test_a_click_beside_the_used_frames_is_refused_with_the_nearest(frame: int, nearest: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_prompts("[1,2],[3,4]", "1", f"6,{frame}", width=9, height=9, frame_count=24, used=range(4, 12, 2))
    assert str(refused.value) == (
        f"click_frames: point 2 is on frame {frame}, which is not used "
        f"(start_frame 4, end_frame 10, frame_stride 2); the nearest used: {nearest}"
    )


def test_frames_of_a_part_are_counted_anew() -> None:
    used = range(4, 12, 2)
    objects = parse_prompts(
        "[1,2],[3,4],[5,6]", "1,1,0", "8,4,10", "a,b,a", width=9, height=9, frame_count=24, used=used
    )
    placed = counted_anew(objects, used)
    assert [one.frame_index for target in placed for one in (*target.prompts, *target.corrections)] == [2, 3, 0]
    assert [one.name for one in placed] == [one.name for one in objects]
