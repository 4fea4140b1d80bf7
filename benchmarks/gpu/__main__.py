"""Right and how fast on this GPU? In nine minutes and one command: `python -m benchmarks.gpu [--minutes 9]`.

Needs this repository, what it is tested with (`pip install -e '.[dev,bench]'`), ffmpeg and a CUDA device; no checkpoint
and no internet. The most important part comes first: are the masks right; then how fast, what the time goes to, and how
soon a server is ready. Each part is a process of its own with an end of its own, so that none takes the others along:
one that fails or is too slow prints a line. Markdown goes to the screen and, as it comes, into a file. `--parts` runs
some of them alone, by the names that such lines give: those that were not reached, or one again.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO

import torch

from benchmarks.gpu.paper import peak_of
from benchmarks.gpu.schedule import Part, parts
from sam2_cog.engine.quick import AS_IT_IS

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
        last = ""
        for part in parts(arguments.device, quick=arguments.quick):
            if arguments.parts and part.name not in arguments.parts:
                continue
            head = ("", f"## {part.title}", "", *part.head) if part.title != title else ()
            if not head and part.head and not last.startswith("|"):
                head = ("", *part.head)  # a line between two rows ends a table
            title = part.title
            for last in chain(head, _run(part, end - time.monotonic())):
                _say(last, file)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="when to stop, whatever is done by then")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="the demo network and a few frames: does all of it run?")
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="where the Markdown is kept, too")
    parser.add_argument("--parts", nargs="+", metavar="NAME", help="only these parts, such as 'large, ours'")
    arguments = parser.parse_args()
    names = [part.name for part in parts(arguments.device, quick=arguments.quick)]
    for name in arguments.parts or ():
        if name not in names:
            parser.error(f"--parts: {name!r} is none of {names}")
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
    environment = {**os.environ, **dict(switch.split("=") for switch in part.switches)}
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
        errors.seek(0)
        said = errors.read().strip().splitlines()
        # what could not be compiled or captured was measured without it
        yield from (f"note: {part.name}: {line}" for line in said if AS_IT_IS in line)
        if status:
            yield f"not finished: {part.name}: {_reason(status, seconds, said)}"


def _reason(status: int, seconds: float, said: list[str]) -> str:
    if status == -9:
        return f"stopped after {seconds:.0f} s"
    return (said or [f"exit status {status}"])[-1]


def _say(line: str, file: IO[str]) -> None:
    print(line, flush=True)
    print(line, file=file, flush=True)


if __name__ == "__main__":
    main()
