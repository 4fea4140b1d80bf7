"""Random tracking jobs, and how far our masks are from the official ones in each."""

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from unittest.mock import patch

import numpy as np
import torch.nn.functional as F
from sam2.sam2_video_predictor import SAM2VideoPredictor
from torch import Tensor

from sam2_cog.engine import tracker
from sam2_cog.engine.model import LoadedModel
from sam2_cog.masks import ObjectMask
from sam2_cog.media.video import Frame
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.official import official_logits


@dataclass(frozen=True)
class MemoryClip:
    """A clip in memory, (H, W, 3) uint8 images."""

    images: tuple[np.ndarray, ...]

    @property
    def width(self) -> int:
        return int(self.images[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.images[0].shape[0])

    @property
    def frame_count(self) -> int:
        return len(self.images)

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        for index in range(start, len(self.images) if stop is None else min(stop, len(self.images))):
            yield Frame(index, index / 24, self.images[index])

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        for index in indices:
            yield from self.read(index, index + 1)


@dataclass(frozen=True)
class Scenario:
    """One job for a tracker."""

    clip: MemoryClip
    objects: tuple[ObjectPrompts, ...]
    propagation: str

    def __str__(self) -> str:
        prompts = sum(len(target.prompts) for target in self.objects)
        corrections = sum(len(target.corrections) for target in self.objects)
        return (
            f"{self.clip.frame_count} frames {self.clip.width}x{self.clip.height}, {len(self.objects)} objects, "
            f"{prompts} prompt frames, {corrections} corrections, {self.propagation}"
        )


@dataclass(frozen=True)
class Difference:
    """Ours against the official masks: pixels that differ, pixels compared, the largest difference of the logits.

    iou: of an object's masks on all frames together, the smallest; 1 where neither finds it.
    """

    pixels: int
    compared: int
    logits: float
    iou: float


def random_scenario(seed: int, frames: tuple[int, int] = (5, 60), objects: int = 6) -> Scenario:
    """1 to `objects` objects with 1 to 4 prompt frames each, clicks, boxes, masks, corrections, either propagation."""
    chance = random.Random(seed)
    count = chance.randint(*frames)
    width, height = chance.choice([(96, 64), (65, 49), (128, 72), (64, 96)])
    targets = tuple(_object(chance, index, count, width, height) for index in range(chance.randint(1, objects)))
    propagation = chance.choice(["both", "both", "forward"])
    if propagation == "forward":
        # what lies before the first prompt is never reached; the parser refuses it
        start = min(prompt.frame_index for target in targets for prompt in target.prompts)
        targets = tuple(_from_frame(target, start) for target in targets)
    return Scenario(moving_blocks(seed, count, width, height), targets, propagation)


def _from_frame(target: ObjectPrompts, start: int) -> ObjectPrompts:
    corrections = tuple(correction for correction in target.corrections if correction.frame_index >= start)
    return ObjectPrompts(target.name, target.index, target.prompts, corrections)


def _object(chance: random.Random, index: int, count: int, width: int, height: int) -> ObjectPrompts:
    late = chance.random() < 0.5
    frames = chance.sample(range(count), min(count, chance.randint(1, 4)))
    prompted = sorted(frames) if late else sorted({0, *frames[1:]})
    corrected = sorted(set(chance.sample(range(count), min(count, chance.choice([0, 0, 1, 2])))) - set(prompted))
    return ObjectPrompts(
        f"object_{index}",
        index,
        tuple(_prompt(chance, frame, width, height) for frame in prompted),
        tuple(_correction(chance, frame, width, height) for frame in corrected),
    )


def _prompt(chance: random.Random, frame: int, width: int, height: int) -> FramePrompt:
    if chance.random() < 0.15:
        refined = _clicks(chance, frame, width, height, chance.choice([0, 0, 1, 2]), (0, 1))
        return replace(refined, mask=_ellipse(chance, width, height))
    clicks = _clicks(chance, frame, width, height, chance.randint(1, 3), (0, 1))
    if chance.random() < 0.3:
        x, y = chance.uniform(0, width / 2), chance.uniform(0, height / 2)
        box = (x, y, x + chance.uniform(8, width / 2), y + chance.uniform(8, height / 2))
        extra = chance.randint(0, 1)
        return FramePrompt(frame, clicks.points[:extra], clicks.labels[:extra], box)
    return FramePrompt(frame, clicks.points, (1, *clicks.labels[1:]), None)


def _ellipse(chance: random.Random, width: int, height: int) -> ObjectMask:
    """A mask of some size anywhere on the frame."""
    y, x = np.mgrid[:height, :width]
    centre, radii = (
        (chance.uniform(0, width), chance.uniform(0, height)),
        (chance.uniform(4, 30), chance.uniform(4, 30)),
    )
    return ObjectMask.of(((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1)


def _correction(chance: random.Random, frame: int, width: int, height: int) -> FramePrompt:
    """One or two clicks: background, foreground, or both."""
    return _clicks(chance, frame, width, height, chance.choice([1, 1, 2]), chance.choice([(0,), (1,), (0, 1)]))


def _clicks(
    chance: random.Random, frame: int, width: int, height: int, count: int, labels: tuple[int, ...]
) -> FramePrompt:
    points = tuple((chance.uniform(0, width - 1), chance.uniform(0, height - 1)) for _ in range(count))
    return FramePrompt(frame, points, tuple(chance.choice(labels) for _ in range(count)), None)


def moving_blocks(seed: int, count: int, width: int, height: int) -> MemoryClip:
    """Textured rectangles that drift over a textured ground."""
    generator = np.random.default_rng(seed)
    ground = generator.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    blocks = [
        (generator.integers(0, 256, (height // 3, width // 4, 3)), generator.random(2), generator.normal(0, 0.02, 2))
        for _ in range(4)
    ]
    images = []
    for index in range(count):
        image = ground.astype(np.uint8).copy()
        for texture, place, speed in blocks:
            y, x = ((place + speed * index) % 1 * (height, width)).astype(int)
            part = image[y : y + texture.shape[0], x : x + texture.shape[1]]
            part[:] = texture[: part.shape[0], : part.shape[1]]
        images.append(image)
    return MemoryClip(tuple(images))


def our_logits(model: LoadedModel, scenario: Scenario) -> tuple[dict[int, np.ndarray], dict[int, Tensor]]:
    """Frame -> masks as they leave our tracker, and frame -> the logits (objects, H, W) that they were cut from."""
    seen: list[Tensor] = []
    real = tracker.cut

    def record(logits: Tensor, height: int, width: int) -> Callable[[], tuple[ObjectMask, ...]]:
        seen.append(F.interpolate(logits, size=(height, width), mode="bilinear", align_corners=False)[:, 0])
        return real(logits, height, width)

    masks: dict[int, np.ndarray] = {}
    logits: dict[int, Tensor] = {}
    with patch.object(tracker, "cut", record):
        for frame, found in tracker.Tracker(model).track(scenario.clip, scenario.objects, scenario.propagation):
            assert frame.index == found.frame_index == len(masks)
            masks[frame.index] = found.array()
    # backward from the start, the start itself included, then forward from it
    start = min(prompt.frame_index for target in scenario.objects for prompt in target.prompts)
    backward = range(start, -1, -1) if scenario.propagation == "both" and start else range(0)
    for index, value in zip([*backward, *range(start, len(masks))], seen, strict=True):
        logits[index] = value
    return masks, logits


def compare(model: LoadedModel, predictor: SAM2VideoPredictor, scenario: Scenario) -> Difference:
    """Run one job through both, on whatever devices they are."""
    masks, ours = our_logits(model, scenario)
    official = official_logits(predictor, scenario.clip.images, scenario.objects, scenario.propagation)
    assert set(official) == set(ours), "both reach the same frames"
    assert set(masks) == set(range(scenario.clip.frame_count)), "every frame comes out"
    theirs = {index: (found > 0).cpu().numpy() for index, found in official.items()}
    pixels = sum(int((masks[index] != theirs[index]).sum()) for index in official)
    pixels += sum(int(masks[index].sum()) for index in masks if index not in official)
    largest = max(float((ours[index].cpu() - official[index].cpu()).abs().max()) for index in official)
    both, either = (
        sum(how(masks[index], theirs[index]).sum((1, 2)) for index in theirs) for how in (np.logical_and, np.logical_or)
    )
    iou = float(np.where(either, both / np.maximum(either, 1), 1.0).min())
    return Difference(pixels, sum(value.size for value in masks.values()), largest, iou)


def worst(differences: Sequence[Difference]) -> Difference:
    """All differing and compared pixels, the largest difference of the logits and the smallest IoU."""
    return Difference(
        sum(difference.pixels for difference in differences),
        sum(difference.compared for difference in differences),
        max(difference.logits for difference in differences),
        min(difference.iou for difference in differences),
    )
