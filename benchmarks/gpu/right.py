"""Are the masks right on this device? Against the official predictor, and each operation of ours against its model."""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sam2_cog.engine import logits, pillow_bicubic
from sam2_cog.engine.checkpoints import fetch_checkpoint
from sam2_cog.engine.model import LoadedModel, build_network, load_weights, place_network
from sam2_cog.limits import SWITCHES
from tests.official import official_predictor
from tests.scenarios import Difference, compare, random_scenario, worst

JOBS = 200
"""As many as `benchmarks.equality` has; as many of them as fit the time."""

LEAST_IOU = {torch.float32: 0.999, torch.bfloat16: 0.99}
"""Of every object in every job; a GPU sums in another order for a batch than for one object."""


def main() -> None:
    """Print a row, or a few."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("float32", "bfloat16", "operations"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    end = time.monotonic() + arguments.seconds
    warnings.simplefilter("ignore")
    torch.backends.cudnn.allow_tf32 = False  # the comparison is of float32
    device = torch.device(arguments.device)
    if arguments.what == "operations":
        for row in _operations(device, quick=arguments.quick):
            print(row, flush=True)
    else:
        print(_jobs(device, getattr(torch, arguments.what), 1 if arguments.quick else JOBS, end))


def _jobs(device: torch.device, dtype: torch.dtype, most: int, end: float) -> str:
    """The random jobs of the tests through both, as many as there is time for."""
    model = _demo(device, dtype)
    predictor = official_predictor("demo", model.network)
    found: list[Difference] = []
    while len(found) < most and (not found or time.monotonic() < end):
        scenario = random_scenario(len(found), frames=(5, 6) if most == 1 else (5, 60))
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16):
            found.append(compare(model, predictor, scenario))
    all_of_them = worst(found)
    within = all_of_them.iou >= LEAST_IOU[dtype]
    mark = "equal" if all_of_them.pixels == 0 else "within bounds" if within else "DIFFERS"
    difference = f"{all_of_them.pixels} pixels, logits by up to {all_of_them.logits:.3g}, IoU {all_of_them.iou:.4f}"
    compared = f"{len(found)} jobs, {all_of_them.compared} pixels"
    switches = "".join(f", {switch.variable}" for switch in SWITCHES if switch.on)
    return f"| {str(dtype)[6:]}{switches} with the official predictor | {compared} | {mark}: {difference} |"


def _demo(device: torch.device, dtype: torch.dtype) -> LoadedModel:
    """The trained demo network, in this type on any device."""
    network = build_network("demo")
    load_weights(network, fetch_checkpoint("demo"), "demo")
    return place_network("demo", network, device, dtype)


def _operations(device: torch.device, *, quick: bool) -> Iterator[str]:
    """Each against what it must equal, on random input and every size that is usual."""
    chance = np.random.default_rng(0)
    sizes = [(36, 64)] if quick else [(480, 640), (720, 1280), (1080, 1920), (1920, 1080), (2160, 3840)]
    target = 64 if quick else 1024
    for height, width in sizes:
        image = chance.integers(0, 256, (height, width, 3), np.uint8)
        expected = np.asarray(Image.fromarray(image).resize((target, target)))
        found = pillow_bicubic.resize(torch.from_numpy(image)[None].to(device), target)[0].cpu().numpy()
        yield _row(f"resize {width}x{height} with Pillow", int((found != expected).sum()), expected.size)
    yield _against_the_host("hole filling", logits.fill_holes, _noise(chance, target // 4), device)
    for height, width in sizes:
        expected_masks, found_masks = (
            [mask.full() for mask in logits.cut(_noise(chance, target // 4, seed=1).to(where), height, width)()]
            for where in ("cpu", device)
        )
        wrong = sum(int((one != other).sum()) for one, other in zip(expected_masks, found_masks, strict=True))
        yield _row(f"scaling, cutting, packing to {width}x{height}", wrong, height * width * len(found_masks))


def _noise(chance: np.random.Generator, side: int, seed: int | None = None) -> Tensor:
    """Smooth shapes with holes of all sizes: (4, 1, side, side) float32."""
    chance = chance if seed is None else np.random.default_rng(seed)
    coarse = torch.from_numpy(chance.normal(size=(4, 1, side // 4, side // 4)).astype(np.float32))
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear") + 0.2


def _against_the_host(name: str, function: Callable[[Tensor], Tensor], values: Tensor, device: torch.device) -> str:
    expected, found = function(values), function(values.to(device)).cpu()
    return _row(name, int((expected != found).sum()), expected.numel())


def _row(name: str, wrong: int, compared: int) -> str:
    return f"| {name} | {compared} values | {f'DIFFERS: {wrong} values' if wrong else 'equal'} |"


if __name__ == "__main__":
    main()
