"""How well a checkpoint tracks: mean J under the official video predictor, on clips from the maker."""

import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch

from sam2_cog.evaluate.metrics import region_similarity
from tools.train_demo.clips import make_clip
from tools.train_demo.prompts import prompt

VALIDATION_SEEDS = range(800_000, 800_100)


@dataclass(frozen=True)
class Score:
    """J of every clip, object and frame in one row (N,), the frame index of each (N,), and the time a frame took."""

    j: np.ndarray
    frame_of: np.ndarray
    milliseconds: float

    @property
    def mean(self) -> float:
        """Mean J over all objects and frames of all clips."""
        return float(self.j.mean())


def track(predictor: Any, images: np.ndarray, first: np.ndarray, kind: str, seed: int) -> np.ndarray:
    """Masks (objects, T, H, W) bool from prompts of `kind` on the first masks (objects, H, W)."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((len(first), *images.shape[:3]), bool)
    with TemporaryDirectory() as folder, torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hole filling needs the CUDA extension; its absence is expected here
        for index, image in enumerate(images):
            cv2.imwrite(f"{folder}/{index:05d}.jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        state = predictor.init_state(folder)
        for number, mask in enumerate(first):
            given = prompt(rng, kind, mask[None])
            if given.points is None or given.labels is None:
                predictor.add_new_mask(state, 0, number, mask)
            else:
                _add_points(predictor, state, number, given.points[0], given.labels[0])
        for index, _, logits in predictor.propagate_in_video(state):
            masks[:, index] = (logits[:, 0] > 0).cpu().numpy()
    return masks


def _add_points(predictor: Any, state: Any, number: int, points: np.ndarray, labels: np.ndarray) -> None:
    clicks = labels < 2
    box = None if clicks.all() else points[~clicks].reshape(4)
    chosen = {"points": points[clicks], "labels": labels[clicks]} if clicks.any() else {}
    predictor.add_new_points_or_box(state, 0, number, box=box, **chosen)


def score(
    predictor: Any, seeds: Iterable[int], kind: str = "click", frames: int = 48, report: Path | None = None
) -> Score:
    """Track every object of the clips `seeds` (two objects for even seeds, three for odd) from prompts on frame 0.

    With `report`, a folder, each clip also leaves a picture of eight of its frames with the predicted outlines.
    """
    values, frame_of, spent, count = [], [], 0.0, 0
    for seed in seeds:
        images, labels = make_clip(seed, frames, objects=2 + seed % 2)
        truth = labels[None] == np.arange(1, 3 + seed % 2)[:, None, None, None]
        start = time.perf_counter()
        masks = track(predictor, images, truth[:, 0], kind, seed)
        spent, count = spent + time.perf_counter() - start, count + frames
        values += [
            [region_similarity(m, t) for m, t in zip(*pair, strict=True)] for pair in zip(masks, truth, strict=True)
        ]
        frame_of += [range(frames)] * len(truth)
        if report is not None:
            draw(images, masks, report / f"{seed}_{kind}.png")
    return Score(np.ravel(values), np.ravel(frame_of), 1000 * spent / count)


def draw(images: np.ndarray, masks: np.ndarray, path: Path) -> None:
    """Eight frames side by side with the outlines of the predicted masks (objects, T, H, W)."""
    colours = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    picked = []
    for index in np.linspace(0, len(images) - 1, 8).astype(int):
        picture = images[index].copy()
        for mask, colour in zip(masks[:, index], colours, strict=False):
            found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, found, -1, colour, 1)
        picked.append(picture)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.hstack(picked)[..., ::-1])
