"""Are our masks the official ones? Random jobs through both on the CPU in float32: `python -m benchmarks.equality`."""

import argparse
import time
import warnings

from sam2_cog.engine.model import LoadedModel, build_network, load_model, place_network
from tests.official import official_predictor
from tests.scenarios import Difference, compare, random_scenario, worst


def main() -> None:
    """Run the jobs and print one line for each and one for all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=("demo", "tiny"), default="demo", help="tiny: random weights, 256 pixels")
    parser.add_argument("--first", type=int, default=0, help="seed of the first job")
    parser.add_argument("--jobs", type=int, default=100)
    parser.add_argument("--frames", type=int, nargs=2, default=(5, 60), metavar=("LEAST", "MOST"))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    model = _model(arguments.network)
    predictor = official_predictor(model.name, model.network)
    found: list[Difference] = []
    for seed in range(arguments.first, arguments.first + arguments.jobs):
        scenario = random_scenario(seed, frames=tuple(arguments.frames))
        begin = time.perf_counter()
        found.append(compare(model, predictor, scenario))
        print(f"{seed:5d}  {scenario}: {_text(found[-1])}, {time.perf_counter() - begin:.0f} s", flush=True)
    equal = sum(difference.pixels == 0 for difference in found)
    print(f"{arguments.network}: {equal} of {len(found)} jobs with equal masks; all: {_text(worst(found))}")


def _model(network: str) -> LoadedModel:
    if network == "demo":
        return load_model("demo", device="cpu")
    return place_network("tiny", build_network("tiny", image_size=256), "cpu")


def _text(difference: Difference) -> str:
    return f"{difference.pixels} of {difference.compared} pixels differ, logits by at most {difference.logits:g}"


if __name__ == "__main__":
    main()
