"""How long from nothing to READY? With `large` and random weights of its size: `python -m benchmarks.ready`.

Each start is a process of its own: Python, the imports, every byte of the checkpoint checked, the network built and
filled. `random first` is what PyTorch does unless told otherwise: random weights, then those of the file over them.
The file is in the system's cache each time. In turn, and the fastest start of each counts.
"""

import argparse
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

ONE_START = "import sys; from benchmarks.ready import start; start(*sys.argv[1:])"


def main() -> None:
    """Start in each way, in turn, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="large")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=3, help="the fastest counts")
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)  # of `benchmarks.gpu`, which ends it itself
    arguments = parser.parse_args()
    for row in ready_rows(arguments.model, arguments.device, arguments.repeats):
        print(row, flush=True)


def ready_rows(model: str, device: str, repeats: int) -> list[str]:
    """The rows of a Markdown table: seconds and processor seconds from the start of a process to READY."""
    rows = ["| start | seconds to READY | of which imports | processor seconds |", "|---|---|---|---|"]
    with TemporaryDirectory() as folder:
        digest = save_random_weights(model, Path(folder))
        starts = [[one_start(way, model, device, folder, digest) for way in WAYS] for _ in range(repeats)]
    for way, runs in zip(WAYS, zip(*starts, strict=True), strict=True):
        whole, imports, processor = min(runs)
        rows.append(f"| {model}, {way} | {whole:.2f} | {imports:.2f} | {processor:.2f} |")
    return rows


def save_random_weights(model: str, folder: Path) -> str:
    """A file of the right name and size; returns its SHA-256."""
    import torch

    from sam2_cog.engine.checkpoints import find_checkpoint
    from sam2_cog.engine.model import build_network

    path = folder / find_checkpoint(model).file
    torch.save({"model": build_network(model).state_dict()}, path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def one_start(*arguments: str) -> tuple[float, float, float]:
    """Seconds in all, seconds of imports, processor seconds of one start."""
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", ONE_START, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        imports, processor = (float(figure) for figure in process.stdout.readline().split())
        whole = time.perf_counter() - begin
    return whole, imports, processor


def start(way: str, model: str, device: str, folder: str, digest: str) -> None:
    """What runs in the process of its own; prints at READY."""
    begin = time.perf_counter()
    import sam2_cog.pipeline  # noqa: F401  # what a server imports
    from sam2_cog.engine import checkpoints

    imports = time.perf_counter() - begin
    known = checkpoints.find_checkpoint(model)
    size = (Path(folder) / known.file).stat().st_size
    checkpoints.CHECKPOINTS[model] = replace(known, published=checkpoints.Published("", size, digest))
    WAYS[way](model, folder, device)
    print(imports, time.process_time(), flush=True)


def _random_first(model: str, folder: str, device: str) -> None:
    import torch

    from sam2_cog.engine.checkpoints import fetch_checkpoint
    from sam2_cog.engine.model import build_network, place_network

    path = fetch_checkpoint(model, folder)
    network = build_network(model)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    place_network(model, network, device)


def _product(model: str, folder: str, device: str) -> None:
    from sam2_cog.engine.model import load_model

    load_model(model, weights_dir=folder, device=device)


WAYS: dict[str, Callable[[str, str, str], None]] = {"random first": _random_first, "the product": _product}

if __name__ == "__main__":
    main()
