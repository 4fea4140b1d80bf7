"""Many clips on one loaded model: each is fetched and scanned while the network still works on the one before."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.fleet.manifest import Job
from sam2_cog.fleet.status import MOST_ATTEMPTS, Event, Status
from sam2_cog.fleet.storage import Results, fetch
from sam2_cog.held import HeldFolder
from sam2_cog.media.frame_archive import HoldsVideos, UnlikeImages
from sam2_cog.media.video import VideoInfo, probe
from sam2_cog.outputs import suffix_of
from sam2_cog.pipeline import Result, segment_video
from sam2_cog.progress import Progress, quiet
from sam2_cog.request import Request
from sam2_cog.runs.resume import last_saved

logger = logging.getLogger(__name__)

DIED = f"its process died while it was in work, {MOST_ATTEMPTS} times in a row"
_BROKEN_DEVICE = ("illegal memory access", "device-side assert")  # CUDA's words: no call works after it

Watch = Callable[[Event], None]
"""Told the last event of each clip."""


@dataclass(frozen=True)
class Prepared:
    """A job whose files are on this machine, its video scanned; `folder` holds what was fetched for it."""

    job: Job
    request: Request
    info: VideoInfo | None
    """None of images of different sizes, and of shots."""
    folder: HeldFolder


class DeviceBroken(RuntimeError):
    """The GPU takes no more work from this process; another one can go on."""


def run_batch(jobs: Sequence[Job], model: LoadedModel, status: Status, results: Results, watch: Watch) -> None:
    """Carry out the jobs one after the other, and write down what became of each.

    Raises:
        DeviceBroken: the process must be left; what is written down is true, and a new run goes on.
    """
    with ThreadPoolExecutor(1) as reader:
        for job, prepared in _prepared_ahead(jobs, reader):
            saved = last_saved(results.path(job.stem + suffix_of(job.request)))
            attempt = status.attempts(job.name, job.digest, saved) + 1
            if attempt > MOST_ATTEMPTS:
                event = Event(job.name, "failed", job.digest, attempt - 1, error=DIED)
                let_go(prepared)
            else:
                status.add(Event(job.name, "started", job.digest, attempt, saved=saved))
                event = _carry_out(job, attempt, prepared, model, results, status)
            status.add(event)
            watch(event)


def carry_out(
    job: Job,
    attempt: int,
    prepared: Callable[[], Prepared],
    model: LoadedModel,
    results: Results,
    progress: Progress = quiet,
) -> Event:
    """One job from its video to its kept result, or to the sentence that says why not; `progress` may break it off."""
    begin = time.perf_counter()
    try:
        result = _segment(prepared(), model, results, progress)
    except (InvalidRequest, UnreadableVideo, OSError) as error:
        return Event(job.name, "failed", job.digest, attempt, error=str(error))
    except CheckpointError:
        raise
    except Exception as error:
        if any(words in str(error) for words in _BROKEN_DEVICE):
            raise DeviceBroken(f"{job.name}: {error}") from error
        logger.exception("%s: an error that is not the request's", job.name)
        return Event(job.name, "failed", job.digest, attempt, error=f"{type(error).__name__}: {error}".split("\n")[0])
    seconds = round(time.perf_counter() - begin, 3)
    output = (result.path.name, "", result.frames, result.objects, seconds)
    return Event(job.name, "done", job.digest, attempt, *output)


def _carry_out(
    job: Job, attempt: int, prepared: "Future[Prepared]", model: LoadedModel, results: Results, status: Status
) -> Event:
    try:
        return carry_out(job, attempt, prepared.result, model, results)
    except (KeyboardInterrupt, SystemExit):
        status.add(Event(job.name, "stopped", job.digest, attempt))
        raise
    finally:
        let_go(prepared)


def _segment(prepared: Prepared, model: LoadedModel, results: Results, progress: Progress) -> Result:
    def place(suffix: str) -> Path:
        return results.path(prepared.job.stem + suffix)

    request, checkpoint = prepared.request, results.checkpoint
    result = segment_video(request, model, place, progress, info=prepared.info, checkpoint=checkpoint)
    results.keep(result.path.name)
    return result


def prepare(job: Job) -> Prepared:
    """Fetch the files where that is needed, and scan the video."""
    folder = HeldFolder()
    try:
        files: dict[str, Any] = {name: fetch(name, source, folder.path / name) for name, source in job.sources.items()}
        request = replace(job.request, **files)
        return Prepared(job, request, _info(request), folder)
    except BaseException:
        folder.close()
        raise


def _prepared_ahead(jobs: Sequence[Job], reader: ThreadPoolExecutor) -> Iterator[tuple[Job, "Future[Prepared]"]]:
    """Each job with its video; that of the next one is prepared meanwhile."""
    ahead: list[tuple[Job, Future[Prepared]]] = []
    try:
        for job in jobs:
            ahead.append((job, reader.submit(prepare, job)))
            if len(ahead) > 1:
                yield ahead.pop(0)
        while ahead:
            yield ahead.pop(0)
    finally:
        for _, prepared in ahead:
            let_go(prepared)


def let_go(prepared: "Future[Prepared]") -> None:
    """Remove what was fetched for a job."""
    if not prepared.cancel() and prepared.exception() is None:
        prepared.result().folder.close()


def _info(request: Request) -> VideoInfo | None:
    try:
        return probe(request.video, request.frame_rate, used=request.part)
    except (UnlikeImages, HoldsVideos):
        return None
