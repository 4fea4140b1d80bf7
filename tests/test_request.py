"""Each input by itself: what is taken, and how a refusal reads."""

from dataclasses import MISSING, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sam2_cog.errors import InvalidRequest
from sam2_cog.outputs import OUTPUTS
from sam2_cog.request import FILES, Request, option

NUMBERS = ("output_quality", "output_frame_interval", "video_fps", "smallest_part")
FLAGS = ("separate_objects",)
TEXTS = [item.name for item in fields(Request) if item.name not in (*NUMBERS, *FLAGS, *FILES)]
CHOICES = [name for name in TEXTS if option(name).choices]


def request(**inputs: Any) -> Request:
    needed: dict[str, Any] = {"video": Path("clip.mp4"), "click_coordinates": "[1,2]"}
    return Request(**needed | inputs)


def refusal(**inputs: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        request(**inputs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_defaults_are_those_of_the_design() -> None:
    assert {item.name: item.default for item in fields(Request) if item.default is not MISSING} == {
        "click_labels": "1",
        "click_frames": "0",
        "click_object_ids": "",
        "click_corrections": "0",
        "click_candidates": "0",
        "click_coordinates": "",
        "masks": None,
        "mask_frames": "",
        "boxes": None,
        "mask_type": "highlighted",
        "annotation_type": "mask",
        "background_color": "#00ff00",
        "output_format": "mp4",
        "separate_objects": False,
        "output_quality": 80,
        "frame_images": "jpg",
        "output_frame_interval": 1,
        "video_fps": 0,
        "smallest_part": 0.0,
        "propagation": "both",
    }


def test_every_output_can_be_chosen() -> None:
    assert option("output_format").choices == tuple(OUTPUTS)


@pytest.mark.parametrize("name", CHOICES)
def test_each_choice_is_taken_and_nothing_else(name: str) -> None:
    for choice in option(name).choices:
        assert getattr(request(**{"output_format": "png", name: choice}), name) == choice
    for other in ("", "MP4", "mask ", "other", "é" * 500):
        message = refusal(**{name: other})
        assert message.startswith(f"{name}: ")
        assert all(choice in message for choice in option(name).choices)
        assert len(message) < 220


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", [None, 1, 1.5, True, ["a"], {"a": 1}])
def test_a_text_must_be_a_text(name: str, value: object) -> None:
    assert refusal(**{name: value}).startswith(f"{name}: ")


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value",
    [None, "1", True, [1], [1] * 500, float("nan"), float("inf"), float("-inf"), -1, 10**400, 1 << 20000],
    ids=lambda value: "huge" if value == 1 << 20000 else str(value)[:20],
)
def test_a_number_must_be_a_number_within_its_limits(name: str, value: object) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: ") and len(message) < 200


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.float32, np.float64])
def test_numbers_of_numpy_are_numbers(kind: type[np.number[Any]]) -> None:
    taken = request(output_quality=kind(90), output_frame_interval=kind(2), video_fps=kind(25))
    assert (taken.output_quality, taken.output_frame_interval, taken.video_fps) == (90, 2, 25)
    assert [type(value) for value in (taken.output_quality, taken.output_frame_interval, taken.video_fps)] == [
        int,
        int,
        float,
    ]
    assert refusal(output_quality=kind(0)).startswith("output_quality: 0")


def test_texts_of_numpy_are_texts() -> None:
    assert type(request(click_labels=np.str_("1,0")).click_labels) is str
    assert refusal(output_quality=np.bool_(True)).startswith("output_quality: np.True_ is not allowed")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("output_quality", 0, "it must be a whole number from 1 to 100"),
        ("output_quality", 101, "it must be a whole number from 1 to 100"),
        ("output_quality", 79.5, "it must be a whole number from 1 to 100"),
        ("output_frame_interval", 0, "it must be a whole number of at least 1"),
        ("output_frame_interval", 1.5, "it must be a whole number of at least 1"),
        ("video_fps", 240.5, "it must be a number from 0 to 240"),
        ("video_fps", 0.001, "it must be 0 or at least 0.01"),
        ("smallest_part", 100.5, "it must be a number from 0 to 100"),
    ],
)
def test_a_refusal_names_the_input_the_value_and_what_is_allowed(name: str, value: float, allowed: str) -> None:
    assert refusal(**{name: value}) == f"{name}: {value} is not allowed, {allowed}"


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_is_true_or_false(name: str) -> None:
    assert getattr(request(**{name: True}), name) is True
    others: list[object] = [None, 1, "true", "", []]
    for value in others:
        assert refusal(**{name: value}) == f"{name}: {value!r} is not allowed, it must be true or false"


@pytest.mark.parametrize(("text", "rgb"), [("#00FF00", (0, 255, 0)), (" 1a2B3c", (26, 43, 60))])
def test_a_colour_is_red_green_and_blue(text: str, rgb: tuple[int, int, int]) -> None:
    assert request(background_color=text).background == rgb


@pytest.mark.parametrize("text", ["", "green", "#0f0", "#00ff0g", "#00ff00ff", "\u0660" * 6])
def test_what_is_no_colour_is_refused(text: str) -> None:
    assert refusal(background_color=text) == f"background_color: {text!r} is not a colour, it must be like #00ff00"


@pytest.mark.parametrize("output_format", ["mp4", "jpg"])
def test_what_cannot_be_transparent_says_what_can(output_format: str) -> None:
    assert refusal(mask_type="cutout", output_format=output_format) == (
        f"mask_type: cutout has a transparent background, which {output_format} cannot hold, "
        "so output_format must be one of mov, webm, png, webp"
    )
    for other in ("mov", "webm", "png", "webp"):
        assert request(mask_type="cutout", output_format=other).wants_logits


def test_probabilities_are_kept_exactly_or_not_at_all() -> None:
    assert refusal(mask_type="probability") == (
        "mask_type: probability is exact, which mp4 is not for, so output_format must be one of png, npz"
    )
    assert request(mask_type="probability", output_format="png").wants_logits
    assert request(output_format="npz").wants_logits and not request().wants_logits


def test_whole_numbers_may_come_as_floats() -> None:
    taken = request(output_quality=80.0, output_frame_interval=2.0, video_fps=25)
    assert (taken.output_quality, taken.output_frame_interval, taken.video_fps) == (80, 2, 25.0)
    assert isinstance(taken.output_quality, int) and isinstance(taken.output_frame_interval, int)
    assert isinstance(taken.video_fps, float)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "value", ["", 5, ["clip.mp4"], "A" * 5000, "/".join(["A" * 300] * 3), "a\ud800.mp4", "a\0.mp4"]
)
def test_files_must_be_paths(name: str, value: object) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name}: ")
    assert len(message) < 200


def test_the_inputs_are_told_without_the_places_of_files() -> None:
    assert request(masks="/home/somebody/m.zip").inputs["masks"] == "m.zip"
    assert request().inputs["masks"] is None and "video" not in request().inputs


def test_without_clicks_masks_and_boxes_there_is_nothing_to_follow() -> None:
    for text in ("", " \n"):
        assert refusal(click_coordinates=text).startswith("click_coordinates: there is no point, but at least one is")
        assert request(click_coordinates=text, boxes="b.csv") and request(click_coordinates=text, masks="m.zip")


def test_masks_may_be_missing_but_not_a_video_and_frames_choose_among_masks_only() -> None:
    assert request(masks=None).masks is None and request(masks="m.zip", mask_frames="3").masks == Path("m.zip")
    assert refusal(video=None).startswith("video: None is not a file's path")
    assert refusal(mask_frames="3") == "mask_frames: '3' chooses among masks, but there are no masks"


def test_a_path_may_be_a_text() -> None:
    assert request(video="a/clip.mp4").video == Path("a/clip.mp4")


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        (0, None),
        (25, Fraction(25)),
        (0.01, Fraction(1, 100)),
        (12.5, Fraction(25, 2)),
        (23.976, Fraction(24000, 1001)),
        (23.98, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (30000 / 1001, Fraction(30000, 1001)),
        (47.952, Fraction(48000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (119.88, Fraction(120000, 1001)),
        (29.9, Fraction(299, 10)),
        (240, Fraction(240)),
    ],
)
def test_the_frame_rate_is_exact(fps: float, rate: Fraction | None) -> None:
    assert request(video_fps=fps).frame_rate == rate


@given(st.floats(0.01, 240))
def test_any_frame_rate_that_is_taken_is_one(fps: float) -> None:
    rate = request(video_fps=fps).frame_rate
    assert rate is not None
    assert rate > 0
    assert abs(rate - Fraction(fps)) <= Fraction(1, 1001)


def test_a_request_does_not_change() -> None:
    with pytest.raises(AttributeError):
        request().output_quality = 1  # type: ignore[misc]
