"""The command line in a process of its own, forked from one that has imported everything: a start costs no seconds.

For tests of what signals, kills and pipes do to work that has begun. How the program itself starts is tested with
`python -m sam2_cog`, see test_main.py.
"""

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from sam2_cog.__main__ import main

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["sam2_cog.engine.model", "sam2_cog.pipeline", "sam2_cog.fleet.command"])
STREAMS = {"output": 1, "errors": 2}
PATIENCE_SECONDS = 120.0  # the machine may be busy with other things


@dataclass(frozen=True)
class Program:
    """A command at work, and the files of what it says."""

    process: BaseProcess
    folder: Path

    def send_signal(self, number: int) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so, while the program is at work."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < end and self.process.is_alive(), self.errors
            time.sleep(0.01)

    def wait(self) -> int:
        """The exit code, or minus the number of the signal that ended it."""
        self.process.join(PATIENCE_SECONDS)
        assert self.process.exitcode is not None, f"still at work: {self.errors}"
        return self.process.exitcode

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    @property
    def errors(self) -> str:
        return (self.folder / "errors").read_text()


@contextmanager
def program(*arguments: object, folder: Path, **environment: str) -> Iterator[Program]:
    """`sam2-cog ARGUMENTS` in a folder, with these variables too; it is killed where it has not ended by itself."""
    with tempfile.TemporaryDirectory() as said:
        for name in STREAMS:
            (Path(said) / name).touch()
        words = [str(argument) for argument in arguments]
        process = _FORKS.Process(target=_run, args=(words, folder, environment, Path(said)))
        process.start()
        try:
            yield Program(process, Path(said))
        finally:
            process.kill()
            process.join()


def _run(arguments: list[str], folder: Path, environment: dict[str, str], said: Path) -> None:
    for name, number in STREAMS.items():
        os.dup2(os.open(said / name, os.O_WRONLY), number)
    os.chdir(folder)
    os.environ.update(environment)
    tempfile.tempdir = None  # by TMPDIR anew
    sys.exit(main(arguments))
