"""Right and how fast on this GPU? In nine minutes and one command: `python -m benchmarks.gpu [--minutes 9]`.

Needs this repository, what it is tested with (`pip install -e '.[dev,bench]'`), ffmpeg and a CUDA device; no checkpoint
and no internet. The most important part comes first: are the masks right; then how fast, what the time goes to, and how
soon a server is ready. Each part is a process of its own with an end of its own, so that none takes the others along:
one that fails or is too slow prints a line. Markdown goes to the screen and, as it comes, into a file.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

import torch

from benchmarks.gpu.paper import peak_of
from benchmarks.gpu.schedule import Part, parts

LEAST_SECONDS = 5.0
"""A part that would have less than this is left out."""


def main() -> None:
    """Run the parts until the time is over."""
    arguments = _parse()
    end = time.monotonic() + 60 * arguments.minutes
    title = ""
    with arguments.out.open("w", encoding="utf-8") as file:
        for line in _machine(arguments.device):
            _say(line, file)
        for part in parts(arguments.device, quick=arguments.quick):
            if part.title != title:
                title = part.title
                for line in ("", f"## {title}", "", *part.head):
                    _say(line, file)
            for line in _run(part, end - time.monotonic()):
                _say(line, file)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop, whatever is done by then")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="the demo network and a few frames: does all of it run?")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="where the Markdown is kept, too")
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: torch finds no CUDA device")
    return arguments


def _machine(device: str) -> Iterator[str]:
    card = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    peak = peak_of(card)
    yield f"# {card}"
    yield ""
    yield f"torch {torch.__version__}, CUDA {torch.version.cuda}, Python {sys.version.split()[0]}, random weights"
    yield f"dense bfloat16 peak on paper: {f'{peak:g} TFLOP/s' if peak else 'not in our table, so no share of it'}"


def _run(part: Part, seconds_left: float) -> Iterator[str]:
    """The lines of a part as they come; at the end of its time it is ended."""
    seconds = min(part.seconds, seconds_left)
    if seconds < LEAST_SECONDS:
        yield f"not reached: {part.name}"
        return
    command = [sys.executable, "-m", *part.command, "--seconds", f"{seconds:.0f}"]
    environment = {**os.environ, **dict.fromkeys(part.switches, "1")}
    with (
        TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process,
    ):
        timer = Timer(seconds + LEAST_SECONDS, process.kill)
        timer.start()
        try:
            assert process.stdout
            yield from (line.rstrip() for line in process.stdout)
            status = process.wait()
        finally:
            timer.cancel()
            process.kill()
        if status:
            yield f"not finished: {part.name}: {_reason(status, seconds, errors)}"


def _reason(status: int, seconds: float, errors: IO[str]) -> str:
    if status == -9:
        return f"stopped after {seconds:.0f} s"
    errors.seek(0)
    return (errors.read().strip().splitlines() or [f"exit status {status}"])[-1]


def _say(line: str, file: IO[str]) -> None:
    print(line, flush=True)
    print(line, file=file, flush=True)


if __name__ == "__main__":
    main()
