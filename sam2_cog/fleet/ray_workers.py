"""Many GPUs, of this machine or of a cluster: Ray holds a worker on each, and the clips are handed out here.

Only paths and numbers go through Ray: jobs there, events back, never a frame or a mask.
"""

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2_cog.errors import InvalidRequest, first_line
from sam2_cog.fleet.batch import DIED, Watch
from sam2_cog.fleet.manifest import Job
from sam2_cog.fleet.status import MOST_ATTEMPTS, Event, Status
from sam2_cog.fleet.storage import is_address
from sam2_cog.fleet.worker import Worker
from sam2_cog.held import HeldFolder

os.environ |= {  # read when Ray is imported or started, here and in its workers
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # what it would print among our own lines: who died is said below
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
import ray
from ray.exceptions import ActorUnavailableError, OutOfMemoryError, RayError, RayTaskError

logger = logging.getLogger(__name__)

MOST_FAILED_STARTS = 3
_OBJECT_STORE_BYTES = 80 << 20  # nearly the least that Ray takes: nothing is put there
_LOST = "its node has died"  # Ray's words: the machine went, which is no fault of the clip
_SECONDS_TO_ANSWER = 10
_SECONDS_TO_STOP = 10
_SECONDS_TO_WAIT = 60


def run_on_ray(
    jobs: Sequence[Job],
    status: Status,
    watch: Watch,
    *,
    model: str | None,
    place: str,
    address: str,
    workers: int,
    checkpoint: float | None = None,
) -> None:
    """Carry out the jobs on many workers, and write down what became of each.

    place: where results go, a folder that all machines share or an address. address: of the cluster; without one that
    of RAY_ADDRESS, else Ray is started for this run alone. workers: how many; 0 for one on each GPU, or one without a
    GPU. checkpoint: as of `Results`.

    Raises:
        InvalidRequest: there is no such cluster.
        CheckpointError: a worker cannot load the model.
        OSError: workers cannot be started.
    """
    place = place if is_address(place) else str(Path(place).absolute())
    with _connected(address or os.environ.get("RAY_ADDRESS", ""), workers) as scratch:
        count, needs = _shares(workers)
        fleet = _Fleet(jobs, status, watch, count, needs, (model, place, scratch, checkpoint))
        try:
            fleet.run()
        finally:
            fleet.close()


@dataclass
class _Seat:
    """A worker; `job` is what it works on, `following` what it makes ready meanwhile.

    lost: it could not be reached, so that nobody knows what it made of what it was last told.
    """

    worker: Any
    job: Job | None = None
    following: Job | None = None
    lost: bool = False


class _Fleet:
    """Hands out jobs to `count` workers; `needs` is what each asks Ray for, `arguments` are those of `Worker`."""

    def __init__(
        self, jobs: Sequence[Job], status: Status, watch: Watch, count: int, needs: dict[str, Any], arguments: Any
    ) -> None:
        self._queue, self._status, self._watch = deque(jobs), status, watch
        self._count, self._needs, self._arguments = count, needs, arguments
        self._calls: dict[Any, _Seat] = {}
        self._idle: list[_Seat] = []
        self._failed_starts = 0

    def run(self) -> None:
        """Until every job is done or has failed."""
        self._hand_out()
        while self._queue or any(seat.job for seat in self._calls.values()):
            answered, _ = ray.wait(list(self._calls), timeout=_SECONDS_TO_WAIT)
            if not answered and not any(seat.job for seat in self._calls.values()):
                logger.warning("no worker could be started yet: each needs %s, there is %s", *self._wanted())
            for call in answered:
                self._hear(self._calls.pop(call), call)
            self._hand_out()

    def close(self) -> None:
        """Let no worker and no half of a result stay behind."""
        seats = [*self._calls.values(), *self._idle]
        stops = [seat.worker.stop.remote() for seat in seats]
        if stops:
            ray.wait(stops, num_returns=len(stops), timeout=_SECONDS_TO_STOP)
        for seat in seats:
            ray.kill(seat.worker)
            if seat.job is not None:
                self._add("stopped", seat.job)

    def _hand_out(self) -> None:
        """Work for those who have none, and workers in the place of those that died, as long as there is work."""
        idle, self._idle = self._idle, []
        for seat in idle:
            job = self._next(seat)
            if job is None:
                self._idle.append(seat)
            else:
                self._give(seat, job)
        loading = sum(seat.job is None for seat in self._calls.values())
        for _ in range(min(self._count - len(self._calls), len(self._queue) - loading)):
            worker = ray.remote(Worker).options(**self._needs, max_restarts=0, max_concurrency=2)
            seat = _Seat(worker.remote(*self._arguments))
            self._calls[seat.worker.load.remote()] = seat

    def _next(self, seat: _Seat) -> Job | None:
        """The job that it has made ready, else the first in the queue; one that was tried too often has failed."""
        while seat.following is not None or self._queue:
            job, seat.following = seat.following or self._queue.popleft(), None
            deaths = self._status.deaths(job.name, job.digest)
            if deaths < MOST_ATTEMPTS:
                return job
            self._ended(Event(job.name, "failed", job.digest, deaths, error=DIED))
        return None

    def _give(self, seat: _Seat, job: Job) -> None:
        if len(self._queue) > self._count:  # near the end nothing waits behind a long clip
            seat.following = self._queue.popleft()
        seat.job, attempt = job, self._status.deaths(job.name, job.digest) + 1
        self._status.add(Event(job.name, "started", job.digest, attempt))
        self._calls[seat.worker.run.remote(job, attempt, seat.following)] = seat

    def _hear(self, seat: _Seat, call: Any) -> None:
        try:
            event: Event | None = ray.get(call)
        except ActorUnavailableError:  # next it is said to be dead, or it answers
            seat.lost = True
            time.sleep(1)
            self._calls[seat.worker.ping.remote()] = seat
        except RayTaskError as error:
            self._idle.append(seat)
            raise error.cause from None
        except OutOfMemoryError as error:  # Ray itself ends a worker before the kernel ends anything
            self._died(seat, False, "was ended: its machine has no memory left", error)
        except RayError as error:
            lost = getattr(error, "preempted", False) or _LOST in str(error)
            self._died(seat, lost, "went with its machine" if lost else "died", error)
        else:
            if seat.lost:
                ray.kill(seat.worker)
                self._died(seat, True, "could not be reached for a while")
                return
            self._failed_starts = 0
            if event is not None:
                self._ended(event)
            seat.job = None
            self._idle.append(seat)

    def _died(self, seat: _Seat, lost: bool, how: str, error: RayError | None = None) -> None:
        """Its jobs come next; a machine that went (`lost`) does not count against the one in work."""
        if seat.following is not None:
            self._queue.appendleft(seat.following)
        if seat.job is not None:
            logger.warning("%s: its worker %s", seat.job.name, how)
            self._add("stopped" if lost else "died", seat.job)
            self._queue.appendleft(seat.job)
        elif not lost:
            self._failed_starts += 1
            if self._failed_starts >= MOST_FAILED_STARTS:
                reason = (str(error).splitlines() or [""])[-1][:300]
                raise OSError(f"{MOST_FAILED_STARTS} workers could not start, the last one {how}: {reason}")

    def _ended(self, event: Event) -> None:
        self._status.add(event)
        self._watch(event)

    def _add(self, what: str, job: Job) -> None:
        self._status.add(Event(job.name, what, job.digest, self._status.attempts(job.name, job.digest)))

    def _wanted(self) -> tuple[str, str]:
        there = ray.cluster_resources()
        wanted = " and ".join(f"{amount} {name.removeprefix('num_')}" for name, amount in self._needs.items())
        return wanted, f"{there.get('GPU', 0):g} gpus and {there.get('CPU', 0):g} cpus in all"


@contextmanager
def _connected(address: str, workers: int) -> Iterator[str | None]:
    """Ray at the address; or one of our own, which leaves nothing behind: then the folder for temporary files."""
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    unwind = signal.getsignal(signal.SIGTERM)  # Ray puts its own there
    # sockets lie in it, and the path of one has at most 107 bytes
    held = None if address else HeldFolder(Path(os.environ.get("RAY_TMPDIR", "/tmp")))
    try:
        if held is None:
            _join(address, quiet)
        else:
            cpus = max(os.cpu_count() or 1, workers)
            own = {"num_cpus": cpus, "object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
            ray.init("local", **own, **quiet, _temp_dir=str(held.path))
        signal.signal(signal.SIGTERM, unwind)
        yield str(held.path) if held else None
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, unwind)
        if held is not None:
            held.close()


def _join(address: str, options: dict[str, Any]) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdigit():  # where nobody answers, Ray itself would ask for minutes
            socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
        ray.init(address, **options)
    except (OSError, ValueError, OverflowError, ImportError, RuntimeError) as error:
        raise InvalidRequest(f"ray: there is no cluster at {address!r}: {first_line(error)}") from None


def _shares(workers: int) -> tuple[int, dict[str, Any]]:
    """How many workers, and what each asks for: a GPU, or its part of the processors."""
    there = ray.cluster_resources()
    if there.get("GPU"):
        return workers or int(there["GPU"]), {"num_gpus": 1, "num_cpus": 1}
    sizes = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    count, smallest = workers or 1, min((size for size in sizes if size), default=1.0)
    return count, {"num_cpus": max(1, int(min(smallest, sum(sizes) / count)))}
