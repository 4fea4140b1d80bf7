"""Prompts and shapes of the client."""

from typing import Any

import numpy as np
import pytest

from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.x_anylabeling.shapes import read_prompt, shapes, tolerance
from tests.label_studio.editor import clip_info
from tests.x_anylabeling.client import prompt_body

INFO = clip_info(10, 24, (100, 50))


def test_points_are_shares_of_the_frame() -> None:
    (one,) = read_prompt(prompt_body("s", 3, [(0.125, 0.5), (1, 1)], (1, 0)), INFO)
    (prompt,) = one.prompts
    assert (prompt.frame_index, prompt.points, prompt.labels) == (3, ((12.5, 25), (99, 49)), (1, 0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text_prompt": "dog"}, "text_prompt: "),
        ({"frame_index": 10}, "frame_index: 10 is not allowed, it must be from 0 to 9"),
        ({"frame_index": None}, "frame_index: None"),
        ({"points": [[0.5, 0.5], [0.1, 0.1]]}, "points: there must be as many"),
        ({"points": [[0.5, 1.5]]}, "points: "),
        ({"points": ["a"]}, "points: 'a' is not"),
        ({"points": [[float("nan"), 0]]}, "points: "),
        ({"point_labels": [2]}, "point_labels: a label is 1"),
        ({"point_labels": [0]}, "point_labels: every point is negative"),
        ({"points": [], "point_labels": []}, "point_labels: every point"),
    ],
)
def test_a_prompt_that_does_not_fit_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{sentence}"):
        read_prompt(prompt_body("s", 3, [(0.5, 0.5)]) | change, INFO)


def test_each_part_is_a_closed_polygon_and_specks_are_left_out() -> None:
    mask = np.zeros((50, 100), bool)
    mask[5:25, 10:40] = mask[30:45, 60:90] = True
    mask[0:2, 0:2] = True
    found = FrameMasks(0, (ObjectMask.of(mask),), np.array([0.75], np.float32), np.ones(1, np.float32))
    first, second = shapes(found, 7, 0.001)
    assert first["points"] == [[10, 5], [10, 24], [39, 24], [39, 5], [10, 5]]
    assert {key: second[key] for key in ("label", "shape_type", "score", "group_id")} == {
        "label": "AUTOLABEL_OBJECT",
        "shape_type": "polygon",
        "score": 0.75,
        "group_id": 7,
    }


def test_the_tolerance_is_the_clients_within_reason() -> None:
    assert [tolerance({"params": {"epsilon_factor": value}}) for value in (0.005, 5, -1, "x", float("nan"))] == [
        0.005,
        0.1,
        0,
        0.001,
        0.001,
    ]
    assert tolerance({}) == 0.001
