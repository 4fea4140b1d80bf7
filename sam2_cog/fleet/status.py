"""`status.jsonl`: what became of each clip, one line an event, so that a run that is started again knows what is left.

A line is written whole and flushed when the event happens; the last line of a clip counts. A line that a killed
process left half written is passed over.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from sam2_cog.errors import InvalidRequest
from sam2_cog.fleet.manifest import Job
from sam2_cog.fleet.storage import Results
from sam2_cog.held import lock_alone

MOST_ATTEMPTS = 2
"""A clip that was in work when its process died is tried so often in all; then it has failed."""


@dataclass(frozen=True)
class Event:
    """A clip was `started`, `done`, `failed`, or `stopped` from outside, which is no failure; or its worker `died`."""

    id: str
    status: str
    digest: str
    attempt: int
    output: str = ""
    error: str = ""
    frames: int = 0
    objects: int = 0
    seconds: float = 0.0
    saved: int = 0
    """When it was started: when its checkpoint had been saved, in nanoseconds since 1970; 0 without one."""


class Status:
    """The status file of one run. Only one process may hold it: `with Status(path) as status`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, Event] = {}
        self._made: dict[str, str] = {}

    def __enter__(self) -> "Status":
        self._file = self._path.open("a+b")
        try:
            lock_alone(self._file, self._path)
        except BlockingIOError:
            self._file.close()
            raise InvalidRequest(
                f"output: {self._path.name} is in use by another run, wait for it or stop it"
            ) from None
        self._file.seek(0)
        content = self._file.read()
        for line in content.splitlines():
            event = _event(line)
            if event is not None:
                self._remember(event)
        if content and not content.endswith(b"\n"):
            self._file.write(b"\n")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def last(self, name: str) -> Event | None:
        """The last event of a clip."""
        return self._last.get(name)

    def made(self, output: str) -> str:
        """Which clip a file is the result of; "" if of none."""
        return self._made.get(output, "")

    def attempts(self, name: str, digest: str, saved: int = 0) -> int:
        """How often in a row this very request was in work when its process died.

        saved: when its checkpoint was saved last; whoever came further than the one before is not counted with it.
        """
        event = self._last.get(name)
        begun = event and event.status in ("started", "died") and event.digest == digest and event.saved == saved
        return event.attempt if event and begun else 0

    def deaths(self, name: str, digest: str) -> int:
        """How often in a row a worker was seen to die of it; that of one who hands out clips is no such death."""
        event, attempts = self._last.get(name), self.attempts(name, digest)
        return attempts - 1 if attempts and event and event.status == "started" else attempts

    def add(self, event: Event) -> None:
        """Write an event down for good."""
        self._file.write(json.dumps(asdict(event), ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        self._remember(event)

    def _remember(self, event: Event) -> None:
        self._last[event.id] = event
        if event.status == "done":
            self._made[event.output] = event.id


def left_to_do(jobs: Sequence[Job], status: Status, results: Results) -> list[Job]:
    """The jobs whose result is missing, or was made from another request."""

    def is_done(job: Job) -> bool:
        event = status.last(job.name)
        if event is None or event.status != "done" or event.digest != job.digest:
            return False
        named = event.output.rpartition(".")[0] == job.stem  # that may depend on other rows, as of `Dog` and `dog`
        return named and status.made(event.output) == job.name and results.has(event.output)

    return [job for job in jobs if not is_done(job)]


def _event(line: bytes) -> Event | None:
    try:
        return Event(**json.loads(line))
    except (ValueError, TypeError):
        return None
