"""The maker of the demo checkpoint: clips, prompts, losses and a few steps of training."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tools.train_demo import clips, losses, prompts
from tools.train_demo.batches import Batches
from tools.train_demo.train import Settings, Trainer


def _thing(label: int, brightness: int, x: float) -> clips.Thing:
    """A disc of one brightness and a radius of 0.2 at (x, 0.5)."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    surface = np.full((clips.TEXTURE, clips.TEXTURE, 3), brightness, np.uint8)
    part = clips.Part(points, surface, (0.0, 0.0), (0.0, 0.0), 1.0, (0.0, 0.0, 0.0), (0.0, 2, 0.0, 0.0))
    return clips.Thing(label, (part,), clips._affine(0.2, 0.0, x, 0.5)[None])


def test_labels_are_exactly_the_visible_pixels() -> None:
    things = [_thing(1, 50, 0.4), _thing(2, 100, 0.5), _thing(0, 200, 0.65)]
    image, labels = clips._scene(np.zeros((160, 160, 3), np.uint8), things, np.eye(3), 0, 0.0, 100)
    assert np.array_equal(labels == 1, image[..., 0] == 50)
    assert np.array_equal(labels == 2, image[..., 0] == 100)
    assert (labels[image[..., 0] == 200] == 0).all()
    disc = 100**2 * np.pi * 0.2**2
    assert (image[..., 0] == 200).sum() == pytest.approx(disc, rel=0.05)  # in front: whole
    assert 0.1 * disc < (labels == 1).sum() < 0.7 * disc  # behind the second: partly hidden


def test_things_are_drawn_where_they_are() -> None:
    _, labels = clips._scene(np.zeros((160, 160, 3), np.uint8), [_thing(1, 9, 0.3)], np.eye(3), 0, 0.0, 100)
    ys, xs = np.nonzero(labels)
    assert (xs.mean(), ys.mean()) == (pytest.approx(30, abs=1), pytest.approx(50, abs=1))


def test_the_same_seed_makes_the_same_clip() -> None:
    first, again, other = (clips.make_clip(seed, 4, 64, 3) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert (first[0].shape, first[0].dtype, first[1].shape) == ((4, 64, 64, 3), np.uint8, (4, 64, 64))


def test_a_larger_step_shows_later_moments() -> None:
    assert np.array_equal(clips.make_clip(7, 3, 64, 2, step=4)[1], clips.make_clip(7, 9, 64, 2)[1][::4])


def _own_middles(crowded: bool) -> int:
    """Of 20 clips of two objects, how many objects show where the middle of their box on the first frame is."""
    count = 0
    for seed in range(20):
        _, labels = clips.make_clip(seed, 1, 64, 2, crowded=crowded)
        for label in (1, 2):
            ys, xs = np.nonzero(labels[0] == label)
            count += labels[0][(ys.min() + ys.max()) // 2, (xs.min() + xs.max()) // 2] == label
    return count


def test_in_crowded_clips_other_things_are_in_the_middle_of_the_box() -> None:
    assert _own_middles(crowded=True) < 21 < 34 < _own_middles(crowded=False) <= 40


@pytest.mark.parametrize("seed", [3, 900_001])
def test_every_object_can_be_clicked_on_the_first_frame_and_moves(seed: int) -> None:
    _, labels = clips.make_clip(seed, 20, 96, 3)
    areas = np.bincount(labels[0].ravel(), minlength=4)[1:]
    assert (areas >= clips.SMALLEST_START * 96 * 96).all()
    assert all(((labels[0] == k) != (labels[-1] == k)).any() for k in (1, 2, 3))


def test_the_test_set_is_fixed_and_closed() -> None:
    assert len(clips.TEST_SEEDS) == 100
    assert clips.test_clip(900_001, 48)[1].max() == 3
    with pytest.raises(ValueError, match="not in the test set"):
        clips.test_clip(1)


def test_photographs_are_used() -> None:
    photo = np.zeros((80, 90, 3), np.uint8)
    photo[..., 0] = 255
    red = [clips.make_clip(seed, 1, 48, 2, [photo])[0][0] for seed in range(8)]
    assert any((image[..., 0] > 200).mean() > 0.5 and (image[..., 1] < 40).mean() > 0.5 for image in red)


MASK = np.zeros((64, 64), bool)
MASK[10:30, 20:50] = True
BELOW = np.roll(MASK, 30, axis=0)


@pytest.mark.parametrize("kind", [k for k in prompts.KINDS if k != "mask"])
def test_prompts_say_what_the_mask_says(kind: str) -> None:
    for seed in range(20):
        made = prompts.prompt(np.random.default_rng(seed), kind, np.stack([MASK, BELOW]))
        assert made.points is not None and made.labels is not None
        for points, labels, mask in zip(made.points, made.labels, (MASK, BELOW), strict=True):
            for (x, y), label in zip(points, labels, strict=True):
                assert label > 1 or mask[int(y), int(x)] == (label == 1)


def test_a_box_encloses_the_mask_closely() -> None:
    made = prompts.prompt(np.random.default_rng(0), "box", MASK[None])
    assert made.points is not None
    assert np.allclose(made.points[0], [[20, 10], [50, 30]], atol=1.5)


def test_a_background_click_is_on_the_other_thing_in_the_box_and_of_the_same_clip() -> None:
    masks = np.stack([MASK, BELOW, MASK])  # the third is alone in its clip
    made = prompts.prompt(np.random.default_rng(0), "box_background", masks, np.array([0, 0, 1]))
    assert made.points is not None
    assert np.allclose(made.points[:2, :2], [[20, 10], [50, 60]], atol=2.5)
    assert np.allclose(made.points[2, :2], [[20, 10], [50, 30]], atol=1.5)
    (x, y), (u, v), _ = made.points[:, 2].astype(int)
    assert BELOW[y, x] and MASK[v, u]


def test_a_correction_clicks_on_the_larger_error() -> None:
    missing, spilled = MASK & (np.arange(64) < 40), MASK | (np.arange(64) > 55)
    made = prompts.correction(np.random.default_rng(0), np.stack([missing, spilled]), np.stack([MASK, MASK]))
    assert made.points is not None and made.labels is not None
    (x, y), (u, v) = made.points[:, 0].astype(int)
    assert made.labels.tolist() == [[1], [0]]
    assert MASK[y, x] and not missing[y, x]
    assert spilled[v, u] and not MASK[v, u]


def test_the_loss_prefers_the_right_mask_and_score() -> None:
    truth = torch.zeros(2, 1, 64, 64)
    truth[0, :, 10:30, 20:50] = 1  # the second object is gone
    right = (torch.nn.functional.avg_pool2d(truth, 4) * 20 - 10).expand(2, 4, 16, 16)
    ious = torch.ones(2, 4)
    score = torch.tensor([[5.0], [-5.0]])
    best = losses.frame_loss(right, ious, score, truth)
    assert best < 0.2
    assert losses.frame_loss(-right, ious, score, truth) > best + 1
    assert losses.frame_loss(right, ious, -score, truth) > best + 1
    assert torch.isfinite(losses.frame_loss(right, ious, score, torch.zeros_like(truth)))


def test_the_loss_weighs_the_mask_that_is_taken() -> None:
    truth = torch.zeros(1, 1, 64, 64)
    truth[..., 10:30, 20:50] = 1
    right = (torch.nn.functional.avg_pool2d(truth, 4) * 20 - 10).expand(1, 4, 16, 16)
    ious, score = torch.ones(1, 4), torch.tensor([[5.0]])
    for wrong, costs_more_when_ambiguous in ((0, False), (slice(1, 4), True)):
        masks = right.clone()
        masks[:, wrong] *= -1
        ambiguous = losses.frame_loss(masks, ious, score, truth, ambiguous=True)
        certain = losses.frame_loss(masks, ious, score, truth, ambiguous=False)
        assert (ambiguous > certain + 1) == costs_more_when_ambiguous
        assert (certain > ambiguous + 1) == (not costs_more_when_ambiguous)


def _trainer(folder: Path) -> Trainer:
    trainer = Trainer(Settings(out=folder / "demo.pt", runs=folder, validation_clips=1, minutes=10, rate=2e-3))
    trainer.resize(64)
    return trainer


def test_training_learns_and_resumes(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    trainer, batch = _trainer(tmp_path), Batches(0, 2, 3, 64)[4]
    first = [trainer.train_on(batch) for _ in range(3)]
    later = [trainer.train_on(batch) for _ in range(12)]
    assert np.isfinite(first + later).all()
    assert np.mean(later[-3:]) < 0.9 * np.mean(first)
    trainer.save()
    again = _trainer(tmp_path)
    assert again.step == 15 and again.progress == pytest.approx(trainer.seconds / 600)
    assert again.train_on(batch) == pytest.approx(trainer.train_on(batch), rel=1e-4)
    for name, value in trainer.network.state_dict().items():
        assert torch.allclose(value, again.network.state_dict()[name], atol=1e-6), name


def test_single_frames_are_seen_with_a_box_and_with_another_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, batch = _trainer(tmp_path), Batches(0, 1, 4, 64)[5]
    step, seen = trainer.tracker._step, []

    def record(index: int, features: Any, given: prompts.Prompt, *rest: Any) -> Any:
        assert given.labels is not None
        seen.append(given.labels.tolist())
        return step(index, features, given, *rest)

    monkeypatch.setattr(trainer.tracker, "_step", record)
    assert np.isfinite(trainer.train_on(batch))
    boxes, others = seen
    assert boxes == [[2, 3]] * len(batch.truth) and others != boxes
