"""Runs of `sam2-cog batch --ray`, and the processes that belong to one.

Ray has an environment of its own, which holds nothing else: all other packages are those that run the tests.
"""

import json
import os
import signal
import subprocess
import sysconfig
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integrations.processes import ROOT, end, peer, spawn, wait_for

BROKEN = "the line is broken"
"""What `ray_broken_line` says when it has done that."""
PACKAGES = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])


def environment(folder: Path) -> dict[str, str]:
    """What Ray needs to find our packages, and to put its own files into `folder`."""
    return {"PYTHONPATH": PACKAGES, "OMP_NUM_THREADS": "1", "RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"}


class RayRun:
    """`batch --ray` in a folder with a `jobs.jsonl`; the results go to `out` in there."""

    def __init__(self, folder: Path, temporary: Path, *arguments: str, program: Sequence[str] = ("sam2_cog",)) -> None:
        """program: the module to run, and what it takes before the arguments of `sam2-cog`."""
        self.log, self._status, self._temporary = folder / "log", folder / "out/status.jsonl", temporary
        command = [str(peer("ray", "python")), "-m", *program, "batch", str(folder / "jobs.jsonl")]
        self._command = [*command, "--output", str(folder / "out"), "--model", "demo", "--ray", *arguments]

    @contextmanager
    def running(self) -> "Iterator[subprocess.Popen[bytes]]":
        process = spawn(self._command, self.log, environment(self._temporary))
        try:
            yield process
        finally:
            end(process, signal.SIGKILL)

    def finish(self) -> int:
        """Run to the end; the exit code."""
        with self.running() as process:
            return process.wait(240)

    def events(self) -> list[dict[str, Any]]:
        """What was written down so far."""
        lines = self._status.read_bytes().splitlines() if self._status.exists() else []
        return [json.loads(line) for line in lines]

    def count(self, status: str) -> Counter[str]:
        """How often each clip had this event."""
        return Counter(event["id"] for event in self.events() if event["status"] == status)

    def wait_for(self, status: str, events: int = 1) -> None:
        wait_for(lambda: self.count(status).total() >= events, 120, self.log)


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    """The processes of a run that are working on a clip."""
    return [pid for pid in descendants(process.pid) if _command_line(pid).startswith(b"ray::Worker.run")]


def descendants(pid: int) -> list[int]:
    """The processes below one, as /proc knows them."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: list[int] = []
    below = {pid}
    while below:
        below = {child for child, parent in parents.items() if parent in below}
        found += below
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def alive(pid: int) -> bool:
    """Whether a process runs; a dead one that nobody has asked after does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
