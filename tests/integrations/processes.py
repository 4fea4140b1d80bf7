"""Processes of the integration tests: our own doors, started as a user does, and the tools that they serve."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CLIP = ROOT / "samples" / "two_birds.mp4"


def peer(name: str, program: str) -> Path:
    """A program of a tool's own environment."""
    path = ROOT / ".integrations" / name / "bin" / program
    assert path.exists(), f"{path} is missing: make test-integrations installs it"
    return path


class Door:
    """One of our doors as a process of its own; `log` is where it writes."""

    def __init__(self, name: str, port: int, log: Path, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "sam2_cog", name, "--model", "demo", "--port", str(port)]
        self._environment = {"OMP_NUM_THREADS": "1", **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def listen_everywhere(self) -> None:
        """Let others in, who must bring the token in SAM2_TOKEN."""
        self._command += ["--host", "0.0.0.0"]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = spawn(self._command, self._log, self._environment)
        wait_for(lambda: answers(self.url + "/health"), 120, self._log)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, in good order or not."""
        if self._process:
            end(self._process, how)

    @property
    def log(self) -> str:
        return self._log.read_text()


@contextmanager
def running(door: Door) -> Iterator[Door]:
    """The door, open; closed in good order and without a trace of an error on the way out."""
    door.start()
    try:
        yield door
    finally:
        door.stop()
    assert "Traceback" not in door.log, door.log


def spawn(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """A process in a group of its own, its output at the end of `log`."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, cwd=ROOT, env={**os.environ, **environment}, start_new_session=True
        )


def end(process: "subprocess.Popen[bytes]", how: signal.Signals = signal.SIGTERM) -> None:
    """Stop the process and those that it started."""
    if process.poll() is None:
        os.killpg(process.pid, how)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_for(ready: Callable[[], bool], seconds: float, log: Path | None = None) -> None:
    """Wait until `ready`; the end of the log says why where that takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, log.read_text()[-3000:] if log else "it takes too long"
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except (urllib.error.URLError, OSError):
        return False
