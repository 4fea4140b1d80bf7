"""Training batches: clips from the maker with the masks of all their objects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset

from tools.train_demo.clips import SMALLEST_START, TEST_SEEDS, make_clip

STEPS = (1, 1, 2, 4, 8)  # moments between two frames: short clips must also show things hide, leave and come back
APART = (12, 40)  # moments between the two single frames that are made of one scene, which takes less time than two


@dataclass(frozen=True)
class Batch:
    """Images (clips, T, H, W, 3) uint8; truth (N, T, H, W) bool of their objects; the clip of each object (N,)."""

    images: np.ndarray
    truth: np.ndarray
    clip_of: np.ndarray


class Batches(Dataset[Batch]):
    """Batch i is the same for the same seed. Training seeds lie above those of the test clips.

    Every other batch holds as many single frames of crowded scenes instead: they take less time, the first mask
    decides much, and a box fails where something else fills its middle, as in a clip one object of nine shows. Half of
    the clips start crowded too.
    """

    def __init__(self, seed: int, clips: int, frames: int, size: int, photos: Sequence[np.ndarray] = ()) -> None:
        self.seed, self.clips, self.frames, self.size, self.photos = seed, clips, frames, size, photos

    def __getitem__(self, index: int) -> Batch:
        rng = np.random.default_rng([self.seed, index])
        if index % 2 == 0:
            return _joined(
                [
                    self._scene(rng, self.frames, int(rng.choice(STEPS)), crowded=rng.random() < 0.5)
                    for _ in range(self.clips)
                ]
            )
        scenes = [
            self._scene(rng, 2, int(rng.integers(*APART)), crowded=True)
            for _ in range(max(self.clips * self.frames // 2, 1))
        ]
        return _joined(
            [(images[i : i + 1], truth[:, i : i + 1]) for images, truth in scenes for i in (0, 1) if truth[:, i].any()]
        )

    def __len__(self) -> int:
        return 2**31

    def _scene(
        self, rng: np.random.Generator, frames: int, step: int, crowded: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Images (T, H, W, 3) and the masks (objects, T, H, W) of two or three objects."""
        objects = int(rng.integers(2, 4))
        seed = int(rng.integers(TEST_SEEDS.stop, 2**40))
        images, labels = make_clip(seed, frames, self.size, objects, self.photos, step, crowded)
        return images, labels[None] == np.arange(1, objects + 1)[:, None, None, None]


def _joined(scenes: Sequence[tuple[np.ndarray, np.ndarray]]) -> Batch:
    """Scenes in one batch; objects that a person could not click on in their first frame are left out."""
    kept = [truth[truth[:, 0].mean((-2, -1)) >= SMALLEST_START] for _, truth in scenes]
    clip_of = np.repeat(np.arange(len(scenes)), [len(truth) for truth in kept])
    return Batch(np.stack([images for images, _ in scenes]), np.concatenate(kept), clip_of)
