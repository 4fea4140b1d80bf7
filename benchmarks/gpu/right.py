"""Are the masks right on this device? Against the official predictor, and each operation of ours against its model."""

import argparse
import os
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
from sam2_cog.limits import COMPILE, CUDA_GRAPHS
from tests.official import official_predictor
from tests.scenarios import Difference, compare, random_scenario, worst

JOBS = 200
"""As many as `benchmarks.equality` has; as many of them as fit the time."""

QUICKER = (COMPILE.variable, CUDA_GRAPHS.variable)

FRAMES = (5, 20)
"""Of a job: each also runs on the CPU."""

MANY_TIMES = 2
"""A GPU sums in another order for several objects than for one, and a later frame multiplies what differs. So much more
than the official predictor differs from itself on the CPU in float32 counts as wrong."""


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
    torch.set_num_threads(1)  # many threads are slower for so small a network
    device = torch.device(arguments.device)
    if arguments.what == "operations":
        for row in _operations(device, quick=arguments.quick):
            print(row, flush=True)
    else:
        print(_jobs(device, getattr(torch, arguments.what), 1 if arguments.quick else JOBS, end))


def _jobs(device: torch.device, dtype: torch.dtype, most: int, end: float) -> str:
    """The random jobs of the tests through both, as many as there is time for.

    Ours on the CPU stands for the official predictor there, which it equals bit for bit (`benchmarks.equality`).
    """
    model, on_the_cpu = _demo(device, dtype), _demo(torch.device("cpu"), torch.float32)
    predictor = official_predictor("demo", model.network)
    found: list[tuple[Difference, Difference]] = []
    while len(found) < most and (not found or time.monotonic() < end):
        scenario = random_scenario(len(found), frames=(5, 6) if most == 1 else FRAMES)
        with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype == torch.bfloat16):
            found.append((compare(model, predictor, scenario), compare(on_the_cpu, predictor, scenario)))
    ours, own = (worst(differences) for differences in zip(*found, strict=True))
    near = ours.pixels <= MANY_TIMES * own.pixels + len(found)
    mark = "equal" if ours.pixels == 0 else "near" if near else "DIFFERS"
    bits = sum(difference.logits == 0 for difference, _ in found)
    compared = f"{len(found)} jobs ({bits} equal to the last bit), {ours.compared} pixels"
    switches = "".join(f", {name}={os.environ[name]}" for name in QUICKER if name in os.environ)
    told = f"{mark}: {_told(ours)}; it from itself on the CPU in float32: {_told(own)}"
    return f"| {str(dtype)[6:]}{switches} with the official predictor | {compared} | {told} |"


def _told(difference: Difference) -> str:
    return f"{difference.pixels} pixels, logits by up to {difference.logits:.3g}, IoU at least {difference.iou:.4f}"


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
