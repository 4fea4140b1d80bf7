"""Ends the whole service when its worker has died or hangs, so that whatever started the service starts it again.

Cog's server does not: it stays up without a worker and answers 409 for ever. So the worker starts this file as a
process beside both. The worker holds the other end of its standard input: a line is the number of seconds that the work
which begins now may take (0: nothing runs), and the end of the input is the end of the worker.
"""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

GRACE_SECONDS = 2.0
"""How long a server without a worker may take to answer its client, or to end by itself as it does when told to."""
OVERTIME_SECONDS = 5
"""How long after the deadline the worker may take to notice it."""


class Watchdog:
    """The worker's end of it; does nothing unless `active`, when the parent of this process must be the server."""

    def __init__(self, *, active: bool) -> None:
        self._input: IO[bytes] | None = None
        if active and hasattr(os, "pidfd_open"):  # Linux
            command = [sys.executable, "-I", __file__, str(os.getppid()), str(os.getpid())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, bufsize=0, start_new_session=True
            )
            self._input = self._process.stdin

    @contextmanager
    def deadline(self, seconds: int) -> Iterator[None]:
        """What happens inside ends within so many seconds, or the service does."""
        self._tell(seconds + OVERTIME_SECONDS)
        try:
            yield
        finally:
            self._tell(0)

    def _tell(self, seconds: int) -> None:
        if self._input is not None:
            with suppress(BrokenPipeError):  # it was killed: the work goes on without it
                self._input.write(b"%d\n" % seconds)


def watch(server: int, worker: int) -> None:
    """Wait for one of the ends, and bring about the others."""
    server_handle = os.pidfd_open(server)
    reason = _reason_to_end(server_handle)
    if reason == "":  # the server has ended: its worker goes too, if it still can
        time.sleep(GRACE_SECONDS)
        _kill_tree(worker)
        return
    _kill_tree(worker)
    if select.select([server_handle], [], [], GRACE_SECONDS)[0]:
        return
    with suppress(OSError), open(f"/proc/{server}/fd/2", "a") as log:
        log.write(f"sam2-cog: {reason}, so the service ends, to be started again\n")
    for which in (signal.SIGKILL, signal.SIGTERM):  # the first process of a container takes only the second
        signal.pidfd_send_signal(server_handle, which)
        if select.select([server_handle], [], [], GRACE_SECONDS)[0]:
            return


def _reason_to_end(server_handle: int) -> str:
    """Why the service must end; empty when the server has ended already."""
    deadline: float | None = None
    while True:
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = select.select([server_handle, sys.stdin], [], [], left)[0]
        if server_handle in ready:
            return ""
        if not ready:
            return "the worker hangs"
        told = os.read(sys.stdin.fileno(), 1 << 16).split()
        if not told:
            return "the worker has died"
        deadline = time.monotonic() + int(told[-1]) if int(told[-1]) else None


def _kill_tree(pid: int) -> None:
    """Kill a process, and first those that it has started."""
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                if int(child) != os.getpid():
                    os.kill(int(child), signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch(int(sys.argv[1]), int(sys.argv[2]))
