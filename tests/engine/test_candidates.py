"""The three masks of a prompt against the official image predictor, and a chosen one against the official video one."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from sam2.modeling.sam.mask_decoder import MaskDecoder
from sam2.sam2_image_predictor import SAM2ImagePredictor

from sam2_cog.engine.candidates import Candidate, find_candidates
from sam2_cog.engine.model import LoadedModel, build_network, place_network
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.official import official_pixels, official_predictor
from tests.scenarios import Scenario, compare, moving_blocks

CLICK = FramePrompt(0, ((31.5, 20.25),), (1,), None)
PROMPTS = [
    CLICK,
    FramePrompt(0, ((40.0, 30.0), (10.0, 50.0)), (1, 0), None),
    FramePrompt(0, (), (), (8.0, 9.5, 60.0, 41.0)),
    FramePrompt(0, ((40.0, 30.0),), (0,), (8.0, 9.5, 60.0, 41.0)),
]


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return place_network("tiny", build_network("tiny", image_size=256), "cpu")


def picture(width: int, height: int) -> np.ndarray:
    return moving_blocks(3, 1, width, height).images[0]


def found(model: LoadedModel, image: np.ndarray, prompt: FramePrompt) -> tuple[Candidate, ...]:
    height, width = image.shape[:2]
    with model.autocast():
        features = model.steps.encode(model.steps.prepare(image))
    return find_candidates(model, features, prompt, width, height)


def official(
    model: LoadedModel, image: np.ndarray, prompt: FramePrompt, pixels: Callable[[Any], torch.Tensor] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Masks (3, H, W) bool and scores (3,). pixels: what makes the network's input; None: the predictor's own way."""
    predictor = SAM2ImagePredictor(model.network)
    size = model.network.image_size
    predictor._bb_feat_sizes = [(size // 4,) * 2, (size // 8,) * 2, (size // 16,) * 2]  # it knows those of 1024 only
    if pixels:
        predictor._transforms.to_tensor, predictor._transforms.transforms = pixels, torch.nn.Identity()
    predictor.set_image(image)
    points, labels = (np.array(prompt.points), np.array(prompt.labels)) if prompt.points else (None, None)
    box = np.array(prompt.box) if prompt.box else None
    masks, scores, _ = predictor.predict(points, labels, box, multimask_output=True)
    return masks.astype(bool), scores


def assert_equal(ours: tuple[Candidate, ...], masks: np.ndarray, scores: np.ndarray) -> None:
    assert np.array_equal(np.stack([one.mask.full() for one in ours]), masks)
    assert [one.score for one in ours] == scores.tolist()
    assert len({mask.tobytes() for mask in masks}) > 1, "the masks say nothing if they are all alike"


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("size", [(96, 64), (65, 130), (700, 300)])
def test_the_same_pixels_give_the_masks_and_scores_of_the_image_predictor(
    demo_model: LoadedModel, size: tuple[int, int], prompt: FramePrompt
) -> None:
    image = picture(*size)
    pixels = official_pixels(image, demo_model.network.image_size)
    assert_equal(found(demo_model, image, prompt), *official(demo_model, image, prompt, lambda _: pixels))


@pytest.mark.parametrize("prompt", PROMPTS[:3])
def test_a_picture_of_the_size_of_the_network_needs_nothing_of_ours(tiny: LoadedModel, prompt: FramePrompt) -> None:
    image = picture(256, 256)
    assert_equal(found(tiny, image, prompt), *official(tiny, image, prompt, None))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_chosen_one_is_tracked_as_if_the_official_predictor_had_rated_it_best(
    demo_model: LoadedModel, number: int
) -> None:
    """With further clicks on its frame, too: they refine it, as those of a later call do there."""
    clip = moving_blocks(7, 8, 96, 64)
    alone = FramePrompt(3, ((40.0, 30.0),), (1,), None, candidate=number)
    refined = FramePrompt(5, ((60.0, 20.0), (5.0, 5.0)), (1, 0), None, candidate=number)
    objects = (ObjectPrompts("a", 0, (alone,), ()), ObjectPrompts("b", 1, (refined,), ()))
    real = MaskDecoder.forward

    def partial(self: Any, *arguments: Any, **options: Any) -> Any:
        masks, scores, *others = real(self, *arguments, **options)
        if partial.prefers and options["multimask_output"]:  # type: ignore[attr-defined]
            scores = scores + torch.eye(3)[number - 1] * 100
        return masks, scores, *others

    partial.prefers = False  # type: ignore[attr-defined]
    predictor = official_predictor("demo", demo_model.network)
    add = predictor.add_new_points_or_box

    def one_by_one(state: Any, frame: int, name: int, points: np.ndarray, labels: np.ndarray, **options: Any) -> Any:
        partial.prefers = True  # type: ignore[attr-defined]
        shown = add(state, frame, name, points[:1], labels[:1], **options)
        partial.prefers = False  # type: ignore[attr-defined]
        if len(points) > 1:
            shown = add(state, frame, name, points[1:], labels[1:], clear_old_points=False)
        return shown

    with patch.object(MaskDecoder, "forward", partial), patch.object(predictor, "add_new_points_or_box", one_by_one):
        difference = compare(demo_model, predictor, Scenario(clip, objects, "both"))
    assert difference.pixels == 0 and difference.logits == 0
