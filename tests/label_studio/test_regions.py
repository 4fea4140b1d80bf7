"""Regions, prompts and tracks: what the editor shows is what is asked and answered."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.label_studio.regions import STAMP, VOICE, Region, Timeline, Track, with_text
from tests.label_studio.editor import Json, clip_info, key, region

BOX = (10.0, 20.0, 30.0, 40.0)
PIXELS = (10.0, 10.0, 40.0, 30.0)  # of 100 x 50


def track(count: int, hidden: tuple[int, ...] = ()) -> Track:
    """An object that moves right by a pixel a frame and is hidden on some."""
    boxes = np.array([[i, 5, i + 10, 25] for i in range(count)], np.float32)
    boxes[list(hidden)] = np.nan
    return Track(boxes, np.full(count, 0.9, np.float32))


def sequence(answer: Json) -> list[Json]:
    items: list[Json] = answer["value"]["sequence"]
    return items


# Frames.


@pytest.mark.parametrize("rate", [24, 25, 30, Fraction(30000, 1001)])
def test_at_the_clips_own_rate_frame_f_is_index_f_minus_1(rate: Fraction | int) -> None:
    timeline = Timeline(round(float(rate), 2), clip_info(60, rate))
    assert [timeline.index(frame) for frame in range(1, 61)] == list(range(60))
    assert timeline.warning == ""


def test_at_another_rate_the_frame_is_the_one_that_the_editor_was_seen_to_show() -> None:
    slow, fast = Timeline(25, clip_info(60, 24)), Timeline(24, clip_info(60, 30))
    assert [slow.index(frame) for frame in (1, 2, 3, 63, 99)] == [0, 1, 1, 59, 59]  # as measured with a numbered clip
    assert sorted({fast.index(frame) for frame in range(1, 49)} ^ set(range(60))) == list(range(4, 60, 5))
    assert 'framerate="24"' in slow.warning and 'framerate="30"' in fast.warning


# Prompts.


def test_a_drawn_box_is_a_prompt_in_pixels() -> None:
    (prompt,) = Region.of(region(key(3, BOX))).frame_prompts(Timeline(24, clip_info(60, 24)))
    assert (prompt.frame_index, prompt.box, prompt.points) == (2, PIXELS, ())


def test_a_box_is_cut_to_the_picture_and_a_turned_one_is_framed() -> None:
    timeline = Timeline(24, clip_info(60, 24))
    over = Region.of(region(key(1, (-5, 50, 30, 90)))).frame_prompts(timeline)[0]
    assert over.box == (0, 25, 25, 50)
    turned = Region.of(region({**key(1, (50, 20, 20, 40)), "rotation": 90})).frame_prompts(timeline)[0]
    assert turned.box == pytest.approx((30, 10, 50, 30))
    with pytest.raises(InvalidRequest, match="frame 1 lies outside"):
        Region.of(region(key(1, (100, 0, 10, 10)))).frame_prompts(timeline)


def test_of_two_boxes_on_one_frame_of_the_clip_the_later_counts() -> None:
    prompts = Region.of(region(key(2, BOX), key(3, (0, 0, 10, 10)))).frame_prompts(Timeline(25, clip_info(60, 24)))
    assert [(prompt.frame_index, prompt.box) for prompt in prompts] == [(1, (0, 0, 10, 5))]


@pytest.mark.parametrize(
    "source",
    [
        None,
        {},
        {"value": {}},
        {"value": {"sequence": [{}]}},
        region({**key(1, BOX), "x": "a"}),
        region({**key(1, BOX), "x": float("nan")}),
    ],
)
def test_a_region_that_is_none_is_refused(source: Any) -> None:
    with pytest.raises(InvalidRequest, match="key frames"):
        Region.of(source)


def test_a_region_without_a_box_of_the_persons_is_refused() -> None:
    answered = key(1, BOX, stamp={"box": list(BOX), "enabled": True})
    for empty in (region(), region(answered)):
        with pytest.raises(InvalidRequest, match="no box to start from"):
            Region.of(empty).frame_prompts(Timeline(24, clip_info(60, 24)))


# Answers.


def test_an_answer_has_a_key_frame_for_each_frame_and_a_gap_where_the_object_is_hidden() -> None:
    drawn = key(1, (0.5, 10, 10, 40))
    answer = Region.of(region(drawn)).answered(track(60, hidden=(20, 21, 22)), Timeline(24, clip_info(60, 24)))
    items = sequence(answer)
    assert [item["frame"] for item in items] == [frame for frame in range(1, 61) if frame not in (21, 22, 23)]
    assert [item["frame"] for item in items if not item["enabled"]] == [20]
    assert items[5] == {
        **{"frame": 6, "time": 0.25, "x": 5, "y": 10, "width": 10, "height": 40, "rotation": 0, "enabled": True},
        STAMP: {"box": [5, 10, 10, 40], "enabled": True},
    }
    assert (answer["id"], answer["value"]["labels"], answer["value"]["framesCount"]) == ("r1", ["Player"], 60)
    assert answer["score"] == pytest.approx(0.9, abs=1e-4) and "meta" not in answer


def test_a_track_that_ends_early_is_switched_off_on_its_last_frame() -> None:
    answer = Region.of(region(key(1, BOX))).answered(track(60, tuple(range(50, 60))), Timeline(24, clip_info(60, 24)))
    assert [(item["frame"], item["enabled"]) for item in sequence(answer)[-2:]] == [(49, True), (50, False)]


def test_the_persons_key_frames_stay_as_they_were_and_are_known_again() -> None:
    first, moved = key(3, BOX), (1.0, 2.0, 3.0, 4.0)
    timeline = Timeline(24, clip_info(60, 24))
    answer = Region.of(region(first)).answered(track(60), timeline)
    assert {name: sequence(answer)[2][name] for name in first} == first
    sequence(answer)[39].update(zip(("x", "y", "width", "height"), moved, strict=True))
    again = Region.of(answer)
    assert [(prompt.frame, prompt.box) for prompt in again.prompts] == [(3, BOX), (40, moved)]
    third = Region.of(again.answered(track(60), timeline))
    assert third.prompts and [prompt.box for prompt in third.prompts] == [BOX, moved]


def test_what_was_answered_is_no_prompt_even_when_the_editor_rounds_it() -> None:
    answer = Region.of(region(key(1, BOX))).answered(track(60), Timeline(24, clip_info(60, 24)))
    for item in sequence(answer)[1:]:
        item["x"] += 0.004
    assert [prompt.frame for prompt in Region.of(answer).prompts] == [1]


def test_a_key_frame_added_in_a_gap_is_a_prompt_although_the_editor_copies_the_next_ones_stamp() -> None:
    answer = Region.of(region(key(1, BOX))).answered(track(60, (20, 21, 22)), Timeline(24, clip_info(60, 24)))
    following = sequence(answer)[20]
    sequence(answer).insert(20, {**following, "frame": 22, "x": 70})
    assert [prompt.frame for prompt in Region.of(answer).prompts] == [1, 22]


def test_a_switched_off_key_frame_hides_the_object_until_the_persons_next_box() -> None:
    timeline = Timeline(24, clip_info(60, 24))
    answer = Region.of(region(key(1, BOX))).answered(track(60), timeline)
    sequence(answer)[29]["enabled"] = False  # frame 30
    for _ in range(2):
        again = Region.of(answer)
        assert [prompt.frame for prompt in again.prompts] == [1]
        answer = again.answered(track(60), timeline)
        assert [item["frame"] for item in sequence(answer)] == list(range(1, 31))
    answer["value"]["sequence"].append(key(50, BOX))
    answer = Region.of(answer).answered(track(60), timeline)
    assert [item["frame"] for item in sequence(answer)] == [*range(1, 31), *range(50, 61)]


def test_an_end_in_a_gap_is_remembered() -> None:
    timeline, gap = Timeline(24, clip_info(60, 24)), track(60, (20, 21, 22))
    answer = Region.of(region(key(1, BOX), key(22, BOX, enabled=False))).answered(gap, timeline)
    assert [item["frame"] for item in sequence(answer)] == list(range(1, 21))
    again = Region.of(answer).answered(gap, timeline)
    assert [item["frame"] for item in sequence(again)] == list(range(1, 21))
    assert [prompt.frame for prompt in Region.of(again).prompts] == [1]


def test_an_answer_at_another_rate_holds_the_box_of_what_each_frame_shows() -> None:
    timeline = Timeline(25, clip_info(60, 24))
    items = sequence(Region.of(region(key(1, BOX), frames=63)).answered(track(60), timeline))
    assert [item["x"] for item in items[1:4]] == [1, 1, 2] and len(items) == 63
    assert all(item["time"] == item["frame"] / 25 for item in items)


def test_an_object_that_is_nowhere_keeps_its_box_and_says_so() -> None:
    nothing = track(60, tuple(range(60)))
    answer = Region.of(region(key(1, BOX))).answered(nothing, Timeline(24, clip_info(60, 24)))
    assert [item["frame"] for item in sequence(answer)] == [1]
    assert answer["meta"]["text"] == [VOICE + "the object was found on no frame: draw its box closer"]


def test_a_region_without_counts_gets_those_of_the_clip() -> None:
    bare = region(key(1, BOX), label=None)
    del bare["value"]["framesCount"], bare["value"]["duration"]
    value = Region.of(bare).answered(track(60), Timeline(24, clip_info(60, 24)))["value"]
    assert (value["framesCount"], value["duration"], "labels" in value) == (60, 2.5, False)


def test_our_text_takes_the_place_of_our_last_one_and_leaves_the_persons() -> None:
    noted: Json = {**region(), "meta": {"text": ["mine"], "other": 1}}
    told = with_text(with_text(noted, "first"), "second")
    assert told["meta"] == {"text": ["mine", VOICE + "second"], "other": 1}
    assert with_text(told, "")["meta"] == {"text": ["mine"], "other": 1}
    assert with_text(region(), "") == region()


any_item = st.fixed_dictionaries(
    {name: st.floats(-50, 150) for name in ("x", "y", "width", "height")} | {"frame": st.integers(1, 40)},
    optional={
        "enabled": st.booleans(),
        "rotation": st.floats(-360, 360),
        STAMP: st.none()
        | st.fixed_dictionaries({"box": st.none() | st.lists(st.floats(0, 99)), "enabled": st.booleans()}),
    },
)


@given(
    st.lists(any_item, max_size=6), st.lists(st.integers(0, 39), max_size=8).map(tuple), st.sampled_from([12, 24, 25])
)
def test_an_answer_asks_for_the_same_again(items: list[Json], hidden: tuple[int, ...], rate: int) -> None:
    timeline, found = Timeline(rate, clip_info(40, 24)), track(40, hidden)
    asked = Region.of(region(*items, frames=round(40 / 24 * rate)))
    answer = asked.answered(found, timeline)
    frames = [item["frame"] for item in sequence(answer)]
    assert frames == sorted(set(frames))
    again = Region.of(answer)
    shown = [prompt for prompt in asked.prompts if prompt.frame in frames]
    assert {prompt.frame: prompt.box for prompt in again.prompts} == {prompt.frame: prompt.box for prompt in shown}
    assert again.answered(found, timeline)["value"] == answer["value"]
