"""Do boxes mean the object? IoU of boxes of tracked masks with the exact masks' boxes: `python -m benchmarks.boxes`.

Each object is prompted once, on frame 0, with a box or a click as the measure simulates them. `tight` holds every
pixel of the mask, `box` leaves specks out, and `cleaned` is `box` of masks with `smallest_part` 10.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from sam2_cog.engine.model import load_model
from sam2_cog.engine.tracker import Tracker
from sam2_cog.evaluate.clicks import SIMULATED
from sam2_cog.masks import Box, FrameMasks, mask_box
from sam2_cog.prompts import ObjectPrompts
from tests.clips import draw_frame
from tests.scenarios import MemoryClip
from tools.train_demo.clips import TEST_SEEDS, test_clip

SMALLEST_PART = 10.0
WRONG = 0.6


def main() -> None:
    """Print a row for each kind of prompt, over the sample and over the made clips."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=20, help="how many made clips")
    arguments = parser.parse_args()
    print(
        f"{'clips':>10} {'prompt':>7} {'boxes':>6}   mean IoU: tight   box  cleaned   wrong (IoU < {WRONG}): tight  box"
    )
    for kind in ("box", "click", "clicks"):
        _print_row("sample", kind, _ious([_sample()], kind))
    seeds = range(TEST_SEEDS.start, TEST_SEEDS.start + arguments.clips)
    for kind in ("box", "click", "clicks"):
        _print_row(f"{len(seeds)} made", kind, _ious((test_clip(seed) for seed in seeds), kind))


def _print_row(name: str, kind: str, ious: np.ndarray) -> None:
    tight, box, cleaned = ious.mean(axis=0)
    wrong = (ious < WRONG).sum(axis=0)
    print(f"{name:>10} {kind:>7} {len(ious):6}   {tight:16.3f} {box:6.3f} {cleaned:7.3f}   {wrong[0]:16} {wrong[1]:5}")


def _ious(
    clips: Iterator[tuple[np.ndarray, np.ndarray]] | list[tuple[np.ndarray, np.ndarray]], kind: str
) -> np.ndarray:
    """(boxes, 3): IoU with the exact mask's box of `tight`, `box` and `box` of the cleaned mask, where any is seen."""
    rows = []
    for images, labels in clips:
        truth = labels == np.arange(1, labels.max() + 1)[:, None, None, None]
        for masks in _track(images, truth[:, 0], kind):
            cleaned = masks.without_parts_below(SMALLEST_PART)
            for one, clean, exact in zip(masks.objects, cleaned.objects, truth[:, masks.frame_index], strict=True):
                if (box := mask_box(exact)) is not None:
                    rows.append([_iou(found, box) for found in (one.tight, one.box, clean.box)])
    return np.array(rows)


def _track(images: np.ndarray, first: np.ndarray, kind: str) -> Iterator[FrameMasks]:
    objects = [
        ObjectPrompts(f"object_{number + 1}", number, (SIMULATED[kind](0, mask),), ())
        for number, mask in enumerate(first)
    ]
    for _, masks in Tracker(load_model("demo", device="cpu")).track(MemoryClip(tuple(images)), objects):
        yield masks


def _sample() -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, H, W, 3) and labels (T, H, W) of the two birds."""
    drawn = [draw_frame(index) for index in range(120)]
    labels = [sum((mask * np.uint8(n) for n, mask in enumerate(masks.values(), 1)), np.uint8(0)) for _, masks in drawn]
    return np.stack([image for image, _ in drawn]), np.stack(labels)


def _iou(found: Box | None, exact: Box) -> float:
    if found is None:
        return 0.0
    width = min(found[2], exact[2]) - max(found[0], exact[0])
    height = min(found[3], exact[3]) - max(found[1], exact[1])
    both = max(0, width) * max(0, height)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (found, exact)]
    return float(Fraction(both, sum(areas) - both))


if __name__ == "__main__":
    main()
