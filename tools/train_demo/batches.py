"""Training batches: clips from the maker with the masks of all their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from .clips import TEST_SEEDS, make_clip

STEPS = (1, 1, 2, 3, 4)  # moments between two frames: short clips must also show large movements


@dataclass(frozen=True)
class Batch:
    """Images (clips, T, H, W, 3) uint8; truth (N, T, H, W) bool of all their objects; the clip of each object (N,)."""

    images: np.ndarray
    truth: np.ndarray
    clip_of: np.ndarray


class Batches(Dataset[Batch]):
    """Batch i is the same for the same seed. Training seeds lie above those of the test clips.

    Every other batch holds as many single frames instead: they show more things, and the first mask decides most.
    """

    def __init__(self, seed: int, clips: int, frames: int, size: int, photos: Sequence[np.ndarray] = ()) -> None:
        self.seed, self.clips, self.frames, self.size, self.photos = seed, clips, frames, size, photos

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self.seed, index])
        images, truth, clip_of = [], [], []
        clips, frames = (self.clips, self.frames) if index % 2 else (self.clips * self.frames, 1)
        for clip in range(clips):
            objects, step = int(rng.integers(2, 4)), int(rng.choice(STEPS))
            seed = int(rng.integers(TEST_SEEDS.stop, 2**40))
            pictures, labels = make_clip(seed, frames, self.size, objects, self.photos, step)
            images.append(pictures)
            truth.append(labels[None] == np.arange(1, objects + 1)[:, None, None, None])
            clip_of += [clip] * objects
        return Batch(np.stack(images), np.concatenate(truth), np.array(clip_of))

    def __len__(self) -> int:
        return 2**31
