"""What a person would give for an object: clicks, background clicks, a box, a mask, and corrections of a wrong mask.

Points are (x, y) pixels of the frame, origin top left; labels as in SAM: 1 foreground, 0 background, 2 and 3 the two
corners of a box.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from tools.train_demo.shapes import Rng

KINDS = ("click", "click_background", "clicks3", "box", "box_click", "box_background", "mask")
SHARES = (0.28, 0.04, 0.12, 0.42, 0.04, 0.06, 0.04)  # of clips; the box is the hardest of the usual three
SHARES_BESIDE_BOX = (0.40, 0.10, 0.20, 0.0, 0.12, 0.18, 0.0)  # of single frames, each of which also gets a box
FOREGROUND = {"click": 1, "click_background": 1, "clicks3": 3, "box": 0, "box_click": 1, "box_background": 0}  # clicks


@dataclass(frozen=True)
class Prompt:
    """The prompts of N objects on one frame: points (N, P, 2) float32 with labels (N, P) int32, or masks."""

    points: np.ndarray | None
    labels: np.ndarray | None
    masks: np.ndarray | None = None  # (N, H, W) bool


def _depth(mask: np.ndarray) -> np.ndarray:
    """Distance of every pixel of the mask to the nearest pixel outside it or outside the frame, (H, W) float32."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return cv2.distanceTransform(padded, cv2.DIST_L2, 3)[1:-1, 1:-1]


def _pick(rng: Rng, choices: np.ndarray) -> tuple[float, float]:
    """A random pixel where `choices` (H, W) holds."""
    ys, xs = np.nonzero(choices)
    chosen = int(rng.integers(len(xs)))
    return float(xs[chosen]), float(ys[chosen])


def inside(rng: Rng, mask: np.ndarray) -> tuple[float, float]:
    """A pixel of the mask as a person would hit it: half of them near its deepest point, the others off its rim."""
    depth = _depth(mask)
    share = 0.8 if rng.random() < 0.5 else 0.25
    return _pick(rng, (depth >= share * depth.max()) & mask)


def outside(rng: Rng, mask: np.ndarray) -> tuple[float, float]:
    """A pixel beside the mask: in half of the cases near it (within a tenth of the frame), else anywhere off it."""
    reach = 2 * (len(mask) // 10) + 1
    near = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    rim = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    choices = near & ~rim if rng.random() < 0.5 else ~rim
    return _pick(rng, choices if choices.any() else np.ones_like(mask))


def box(rng: Rng, mask: np.ndarray, looseness: float = 0.04) -> tuple[tuple[float, float], tuple[float, float]]:
    """The two corners of the mask's box, each side off by up to `looseness` of the box's size."""
    ys, xs = np.nonzero(mask)
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max() + 1, ys.max() + 1])
    slip = (high - low) * looseness
    low, high = low + rng.uniform(-1, 1, 2) * slip, high + rng.uniform(-1, 1, 2) * slip
    (x0, y0), (x1, y1) = np.clip(low, 0, len(mask)), np.clip(high, 0, len(mask))
    return (float(x0), float(y0)), (float(x1), float(y1))


def _points(rng: Rng, kind: str, mask: np.ndarray, other: np.ndarray) -> tuple[list[tuple[float, float]], list[int]]:
    """The points and labels of one object for one of `KINDS` except "mask"; a box comes first."""
    around = mask | other if kind == "box_background" else mask
    boxes = [*box(rng, around)] if kind.startswith("box") else []
    clicks = [inside(rng, mask) for _ in range(FOREGROUND[kind])]
    away = []
    if kind == "click_background":
        away = [outside(rng, mask)]
    elif kind == "box_background":  # the box is around the object and another one, which is clicked away
        away = [inside(rng, other) if other.any() else outside(rng, mask)]
    return boxes + clicks + away, [2, 3][: len(boxes)] + [1] * len(clicks) + [0] * len(away)


def _others(masks: np.ndarray, clip_of: np.ndarray) -> np.ndarray:
    """For each object the next one of the same clip, (N, H, W) bool; empty where it is the only one."""
    others = np.zeros_like(masks)
    for clip in np.unique(clip_of):
        members = np.flatnonzero(clip_of == clip)
        if len(members) > 1:
            others[members] = masks[np.roll(members, -1)]
    return others


def prompt(rng: Rng, kind: str, masks: np.ndarray, clip_of: np.ndarray | None = None) -> Prompt:
    """Prompts of one of `KINDS` for every one of the masks (N, H, W) bool, none of which may be empty.

    `clip_of` (N,) says which objects are in one clip; without it all are.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of prompt {kind!r}")
    if kind == "mask":
        return Prompt(None, None, masks)
    others = _others(masks, np.zeros(len(masks)) if clip_of is None else clip_of)
    made = [_points(rng, kind, mask, other) for mask, other in zip(masks, others, strict=True)]
    return Prompt(np.array([p for p, _ in made], np.float32), np.array([labels for _, labels in made], np.int32))


def correction(rng: Rng, predicted: np.ndarray, truth: np.ndarray) -> Prompt:
    """One click per object, (N, 1, 2), in the larger of what its predicted mask misses and what it wrongly holds.

    Where the mask is right, the click confirms it: inside the object, or outside it when there is none.
    """
    points, labels = [], []
    for guess, mask in zip(predicted, truth, strict=True):
        missed, wrong = mask & ~guess, guess & ~mask
        if missed.sum() >= wrong.sum() and mask.any():
            points.append([inside(rng, missed if missed.any() else mask)])
            labels.append([1])
        else:
            points.append([inside(rng, wrong) if wrong.any() else outside(rng, mask)])
            labels.append([0])
    return Prompt(np.array(points, np.float32), np.array(labels, np.int32))
