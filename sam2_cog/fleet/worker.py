"""One loaded model, and clips that are handed to it one by one from another process."""

import os
import tempfile
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from sam2_cog.engine.model import load_model
from sam2_cog.fleet.batch import DeviceBroken, Prepared, carry_out, let_go, prepare
from sam2_cog.fleet.manifest import Job
from sam2_cog.fleet.status import Event
from sam2_cog.fleet.storage import Results
from sam2_cog.held import hold


class _CalledOff(BaseException):
    """Not an error: nobody wants the result any more."""


class Worker:
    """`load` it, then let it `run` one job at a time; `stop` may be called meanwhile, from another thread.

    model: the model's name, or None for what the environment says. place: where results go, as `Results` takes it.
    scratch: the folder for its temporary files; None for the system's. checkpoint: as of `Results`.
    """

    def __init__(
        self, model: str | None, place: str, scratch: str | None = None, checkpoint: float | None = None
    ) -> None:
        if scratch is not None:
            hold(Path(scratch))  # until this process ends: whoever made it may be gone before
            tempfile.tempdir = scratch
        self._name, self._results = model, Results(place, checkpoint)
        self._reader = ThreadPoolExecutor(1)
        self._ahead: dict[str, Future[Prepared]] = {}
        self._called_off = threading.Event()
        self._at_work = threading.Lock()

    def load(self) -> None:
        """Load the model; raises CheckpointError."""
        self._model = load_model(self._name)

    def ping(self) -> None:
        """Answer, which says that this is alive."""

    def run(self, job: Job, attempt: int, following: Job | None) -> Event:
        """Carry out a job, or say why not; the files of the one that comes next are fetched meanwhile."""
        with self._at_work:
            prepared = self._ahead.pop(job.name, None) or self._reader.submit(prepare, job)
            if following is not None:
                self._ahead[following.name] = self._reader.submit(prepare, following)
            try:
                return carry_out(job, attempt, prepared.result, self._model, self._results, self._go_on)
            except _CalledOff:
                return Event(job.name, "stopped", job.digest, attempt)
            except DeviceBroken:
                os._exit(1)  # whoever hands out the jobs sees it, and starts another process
            finally:
                let_go(prepared)

    def stop(self) -> None:
        """Break off the job in work at its next frame, and remove what is temporary."""
        self._called_off.set()
        with self._at_work:
            for prepared in self._ahead.values():
                let_go(prepared)
            self._results.close()

    def _go_on(self, done: int, total: int) -> None:
        if self._called_off.is_set():
            raise _CalledOff
