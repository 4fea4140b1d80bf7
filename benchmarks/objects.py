"""What does one more object cost? Ours and the official predictor in one run: `python -m benchmarks.objects`."""

import argparse
import time
import warnings
from collections.abc import Callable

import torch

from benchmarks.peers import click_on
from sam2_cog.engine.model import LoadedModel, load_model
from sam2_cog.engine.tracker import Tracker
from sam2_cog.prompts import ObjectPrompts
from tests.official import official_pixels, official_predictor, official_run
from tests.scenarios import MemoryClip, moving_blocks

Run = Callable[[tuple[ObjectPrompts, ...]], None]


def main() -> None:
    """Time every number of objects with both, in turn, and print milliseconds per frame."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--size", type=int, nargs=2, default=(640, 360), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    clip = moving_blocks(0, arguments.frames, *arguments.size)
    model = load_model("demo", device="cpu")
    ours, official = _ours(model, clip), _official(model, clip)
    print(f"{'objects':>7}  {'ours ms':>8}  {'official ms':>11}  {'ratio':>6}", flush=True)
    rows = [(count, *_both(ours, official, count, clip, arguments.repeats)) for count in arguments.objects]
    first, last = rows[0], rows[-1]
    growth = [(last[side] - first[side]) / (last[0] - first[0]) for side in (1, 2)]
    print(f"each further object: {growth[0]:.1f} ms, official {growth[1]:.1f} ms, ratio {growth[0] / growth[1]:.2f}")


def _both(ours: Run, official: Run, count: int, clip: MemoryClip, repeats: int) -> tuple[float, float]:
    objects = click_on(clip, count)
    times = [(_seconds(ours, objects), _seconds(official, objects)) for _ in range(repeats)]
    best = tuple(1000 * min(side) / clip.frame_count for side in zip(*times, strict=True))
    print(f"{count:>7}  {best[0]:8.1f}  {best[1]:11.1f}  {best[0] / best[1]:6.2f}", flush=True)
    return best[0], best[1]


def _seconds(run: Run, objects: tuple[ObjectPrompts, ...]) -> float:
    begin = time.perf_counter()
    run(objects)
    return time.perf_counter() - begin


def _ours(model: LoadedModel, clip: MemoryClip) -> Run:
    def run(objects: tuple[ObjectPrompts, ...]) -> None:
        for _ in Tracker(model).track(clip, objects):
            pass

    return run


def _official(model: LoadedModel, clip: MemoryClip) -> Run:
    predictor = official_predictor("demo", model.network)

    def run(objects: tuple[ObjectPrompts, ...]) -> None:
        pixels = torch.stack([official_pixels(image, predictor.image_size) for image in clip.images])
        for _, logits in official_run(predictor, pixels, (clip.height, clip.width), objects, "both"):
            (logits > 0).numpy()

    return run


if __name__ == "__main__":
    main()
