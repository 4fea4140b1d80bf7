"""`python -m tools.train_demo train ...` trains the demo network; `... score ...` measures a checkpoint."""

import argparse
import json
import socket
from pathlib import Path

import torch

from tools.train_demo.clips import TEST_SEEDS
from tools.train_demo.network import build
from tools.train_demo.prompts import KINDS
from tools.train_demo.score import score
from tools.train_demo.train import Settings, run_worker


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.train_demo", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train; a run whose folder holds a state goes on from there")
    train.add_argument("--out", type=Path, required=True, help="where the checkpoint goes")
    train.add_argument("--runs", type=Path, default=Path("runs/demo"), help="folder of the state and the log")
    train.add_argument("--init", type=Path, help="a checkpoint to start from; skips the half-size stages")
    train.add_argument("--photos", type=Path, help="a folder of photographs to use as backgrounds and textures")
    train.add_argument("--device", default="cpu")
    train.add_argument("--threads", type=int, default=1, help="threads of each worker")
    train.add_argument("--workers", type=int, default=1, help="processes that train together on the CPU")
    train.add_argument("--makers", type=int, default=0, help="processes that make clips for each worker")
    train.add_argument("--minutes", type=float, default=Settings.minutes, help="training time, evaluation not counted")
    train.add_argument("--clips", type=int, default=Settings.clips, help="clips of 8 frames in a worker's batch")
    train.add_argument("--rate", type=float, default=Settings.rate, help="highest learning rate")
    train.add_argument("--seed", type=int, default=Settings.seed)
    measure = commands.add_parser("score", help="mean J on the test clips under the official predictor")
    measure.add_argument("checkpoint", type=Path)
    measure.add_argument("--kinds", nargs="+", choices=KINDS, default=["click", "clicks3", "box"])
    measure.add_argument("--clips", type=int, default=len(TEST_SEEDS))
    measure.add_argument("--device", default="cpu")
    measure.add_argument("--threads", type=int, default=1)
    measure.add_argument("--report", type=Path, help="a folder for pictures of the results")
    return parser.parse_args()


def _score(chosen: argparse.Namespace) -> None:
    torch.set_num_threads(chosen.threads)
    predictor = build(chosen.checkpoint, predictor=True).to(chosen.device)
    for kind in chosen.kinds:
        result = score(predictor, TEST_SEEDS[: chosen.clips], kind, report=chosen.report)
        good = float((result.j > 0.85).mean())
        line = {"kind": kind, "clips": chosen.clips, "j": round(result.mean, 4), "share_above_0.85": round(good, 3)}
        print(json.dumps(line | {"ms_per_frame_all_objects": round(result.milliseconds, 1)}), flush=True)


def _train(chosen: argparse.Namespace) -> None:
    options = {key: value for key, value in vars(chosen).items() if key != "command"}
    settings = Settings(**options)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if settings.workers == 1:
        run_worker(0, settings, port)
    else:
        torch.multiprocessing.spawn(run_worker, (settings, port), nprocs=settings.workers)


if __name__ == "__main__":
    arguments = _arguments()
    _train(arguments) if arguments.command == "train" else _score(arguments)
