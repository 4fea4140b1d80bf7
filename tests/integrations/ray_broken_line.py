"""Run by Ray's own environment: `CALL ARGUMENTS`, the latter of `sam2-cog`, whose connections to a worker break.

Once, when the worker works on CALL (`load` or `run`), which is said; its process lives on, as after a fault of the
network. Its model takes a while to load, as a large one does: longer than it takes to ask whether the worker is alive.
"""

import os
import socket
import sys
import threading
import time

from sam2_cog.__main__ import main
from sam2_cog.fleet import ray_workers
from tests.integrations.ray_runs import BROKEN, descendants

SECONDS_TO_LOAD = 5


class Worker(ray_workers.Worker):
    """It has the other's name, by which Ray calls its process."""

    def load(self) -> None:
        time.sleep(SECONDS_TO_LOAD)
        super().load()


def break_once(call: str) -> None:
    """Shut the sockets that lead to the worker."""
    while True:
        for pid in descendants(os.getpid()):
            if command_of(pid).startswith(f"ray::Worker.{call}") and shut(pid):
                print(BROKEN, flush=True)
                return
        time.sleep(0.05)


def command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read()
    except OSError:
        return ""


def shut(pid: int) -> int:
    """How many there were."""
    import psutil  # type: ignore[import-untyped]  # Ray brings it, and puts it where it is found

    ends = {(one.laddr, one.raddr) for one in psutil.Process(pid).net_connections("inet")}
    own = psutil.Process().net_connections("inet")
    shared = [one.fd for one in own if one.raddr and (one.raddr, one.laddr) in ends]
    for handle in shared:
        with socket.fromfd(handle, socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.shutdown(socket.SHUT_RDWR)
    return len(shared)


if __name__ == "__main__":
    ray_workers.Worker = Worker  # type: ignore[misc]
    threading.Thread(target=break_once, args=(sys.argv[1],), daemon=True).start()
    sys.exit(main(sys.argv[2:]))
