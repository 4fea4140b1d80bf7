"""From labelled clips and something that predicts masks to scores: prompts in, J and F per object out."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Protocol

from sam2_cog.errors import InvalidRequest
from sam2_cog.evaluate.clicks import SIMULATED
from sam2_cog.evaluate.datasets import Annotation, LabelledClip, LabelledObject
from sam2_cog.evaluate.metrics import boundary_accuracy, region_similarity
from sam2_cog.masks import Mask
from sam2_cog.prompts import FramePrompt, ObjectPrompts

MASK = "mask"
"""The prompt kind of the official semi-supervised protocol: the true mask of an object's first frame."""
PROMPT_KINDS = (*SIMULATED, MASK)


@dataclass(frozen=True)
class MaskPrompt:
    """The mask that an object is given on the frame on which it is first seen."""

    frame_index: int
    mask: Mask
    """(H, W) bool, in the size of the frame."""


Prompts = Sequence[ObjectPrompts] | Sequence[MaskPrompt]
"""One per object: what is clicked, or the mask that is given."""


class Predict(Protocol):
    """The product as the measure sees it."""

    def __call__(self, clip: LabelledClip, prompts: Prompts) -> Iterator[tuple[int, Mask]]:
        """Yield every frame's number with its masks, (objects, H, W) bool in the order of the prompts."""
        ...


Watch = Callable[[LabelledClip, int, Mask], None]
"""Sees the predicted masks of every frame while they are scored."""


@dataclass(frozen=True)
class ObjectScore:
    """Means over the scored frames of one object, in [0, 1]; not a number where no frame is scored."""

    clip: str
    name: str
    frames: int
    region: float
    boundary: float


@dataclass(frozen=True)
class Summary:
    """Means over objects, each of which counts the same, as in DAVIS; in [0, 1]."""

    name: str
    objects: int
    frames: int
    region: float
    boundary: float

    @property
    def mean(self) -> float:
        """J&F."""
        return (self.region + self.boundary) / 2


def summarise(name: str, scores: Sequence[ObjectScore]) -> Summary:
    """The means over those objects that have a scored frame; not a number where none has."""
    scored = [score for score in scores if score.frames]
    regions, boundaries = [score.region for score in scored], [score.boundary for score in scored]
    return Summary(name, len(scored), sum(score.frames for score in scored), _mean(regions), _mean(boundaries))


def evaluate_clip(
    clip: LabelledClip, kind: str, predict: Predict, *, all_frames: bool, watch: Watch | None = None
) -> tuple[ObjectScore, ...]:
    """Prompt every object on the frame on which it is first seen, predict, and score.

    all_frames: score every labelled frame. Else the protocol of DAVIS, SA-V and MOSE: from the frame on which the
    object is first seen, without the first and the last labelled frame of its sequence.

    Raises:
        InvalidRequest: a mask belongs to no frame of the clip or is not of its size.
    """
    prompts = [_mask_prompt(one) for one in clip.objects] if kind == MASK else _click_prompts(clip.objects, kind)
    wanted: dict[int, list[tuple[int, Annotation]]] = defaultdict(list)
    for index, one in enumerate(clip.objects):
        for annotation in scored_annotations(one, all_frames):
            wanted[annotation.frame_index].append((index, annotation))
    results: list[list[tuple[float, float]]] = [[] for _ in clip.objects]
    for frame_index, masks in predict(clip, prompts):
        if watch:
            watch(clip, frame_index, masks)
        for index, annotation in wanted.pop(frame_index, ()):
            results[index].append(_score(clip, annotation, masks[index]))
    if wanted:
        raise InvalidRequest(f"dataset: clip {clip.name} has a mask for frame {min(wanted)}, but no such frame")
    return tuple(_object_score(clip, one, values) for one, values in zip(clip.objects, results, strict=True))


def scored_annotations(one: LabelledObject, all_frames: bool) -> tuple[Annotation, ...]:
    """The labelled frames of an object that count."""
    return one.annotations if all_frames else one.annotations[max(one.first, 1) : -1]


def _first(one: LabelledObject) -> tuple[int, Mask]:
    annotation = one.annotations[one.first]
    return annotation.frame_index, annotation.read()


def _mask_prompt(one: LabelledObject) -> MaskPrompt:
    return MaskPrompt(*_first(one))


def _click_prompts(objects: Sequence[LabelledObject], kind: str) -> list[ObjectPrompts]:
    prompts: list[FramePrompt] = [SIMULATED[kind](*_first(one)) for one in objects]
    # names of our own: what a data set calls its objects need not be a name that the product takes
    return [ObjectPrompts(f"object_{i + 1}", i, (prompt,), ()) for i, prompt in enumerate(prompts)]


def _score(clip: LabelledClip, annotation: Annotation, mask: Mask) -> tuple[float, float]:
    truth = annotation.read()
    if truth.shape != mask.shape:
        sizes = [f"{width}x{height}" for height, width in (truth.shape, mask.shape)]
        raise InvalidRequest(
            f"dataset: clip {clip.name} has a mask of {sizes[0]} on frame {annotation.frame_index}, "
            f"but its frames are {sizes[1]}"
        )
    return region_similarity(mask, truth), boundary_accuracy(mask, truth)


def _object_score(clip: LabelledClip, one: LabelledObject, values: Sequence[tuple[float, float]]) -> ObjectScore:
    regions, boundaries = [value[0] for value in values], [value[1] for value in values]
    return ObjectScore(clip.name, one.name, len(values), _mean(regions), _mean(boundaries))


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else float("nan")
