"""The tracking behind the answers: in the background, each object once, kept for the next click on the same label."""

import logging
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest
from sam2_cog.label_studio.regions import Region, Timeline, Track
from sam2_cog.label_studio.videos import VideoCache
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.session import Session

logger = logging.getLogger(__name__)

REPLACED = "this was given up, because the region was asked for with other boxes since: ask again"
KEPT = 1000
"""Tracks that are remembered, 20 bytes a frame each."""
AT_ONCE = 4
"""Videos that are tracked side by side, taking turns at the network; others wait."""


@dataclass(frozen=True)
class Wanted:
    """One region to track: in which video, at the editor's rate."""

    address: str
    rate: float
    region: Region

    @property
    def key(self) -> Hashable:
        """Equal for what gives the same boxes."""
        return self.address, self.rate, tuple((key.frame, key.box, key.rotation) for key in self.region.prompts)

    @property
    def identity(self) -> Hashable:
        """Equal for one region of the editor, however its boxes change."""
        return self.address, self.region.source.get("id")


@dataclass(frozen=True)
class Found:
    """A tracked region, and the clip's timeline in the editor."""

    track: Track
    timeline: Timeline


class NotYet(Exception):
    """The work goes on; the message says how far it is."""


@dataclass(frozen=True)
class Promise:
    """One region's track, found or on its way."""

    job: "_Job"
    wanted: Wanted

    @property
    def future(self) -> "Future[Found]":
        """To wait for; never to be cancelled, because others may wait for it too."""
        return self.job.futures[self.wanted.key]

    def result(self, seconds: float = 0) -> Found:
        """The track, waited for so long.

        Raises:
            NotYet: it takes longer.
            InvalidRequest, UnreadableVideo, OSError: it failed; the next `start` tries again.
        """
        wait([self.future], seconds)
        if not self.future.done():
            raise NotYet(self.job.state)
        return self.future.result()


class Tracks:
    """Safe from several threads."""

    def __init__(self, model: LoadedModel, videos: VideoCache) -> None:
        self._model = model
        self._videos = videos
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._latest: dict[Hashable, Hashable] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "track")

    def start(self, wanted: Sequence[Wanted]) -> list["Promise"]:
        """Begin with what is neither known nor under way, and give up what this makes pointless."""
        with self._lock:
            fresh: dict[tuple[str, float], dict[Hashable, Wanted]] = {}
            for one in wanted:
                self._latest[one.identity] = one.key
                if one.key not in self._jobs or self._jobs[one.key].is_lost(one.key):
                    fresh.setdefault((one.address, one.rate), {})[one.key] = one
            for job in [_Job(list(group.values())) for group in fresh.values()]:
                self._jobs.update(dict.fromkeys(job.futures, job))
                self._pool.submit(self._run, job)
            self._give_up()
            promises = [Promise(self._jobs[one.key], one) for one in wanted]
            self._forget()
            return promises

    def close(self) -> None:
        """Give up all work and wait until it has stopped."""
        with self._lock:
            for job in self._jobs.values():
                job.cancelled = True
        self._pool.shutdown(cancel_futures=True)

    def _run(self, job: "_Job") -> None:
        try:
            with self._videos.video(job.address) as path, Session(path, self._model, one_size=True) as session:
                job.track(session)
        except Exception as error:
            if not isinstance(error, ValueError | OSError):
                logger.exception("%s: tracking failed", job.address)
            job.fail(error)

    def _give_up(self) -> None:
        """Stop the jobs whose regions have all been asked for in another form since."""
        for job in set(self._jobs.values()):
            if not job.done and not any(self._latest.get(one.identity) == one.key for one in job.wanted):
                job.cancelled = True

    def _forget(self) -> None:
        """Keep a bounded number of tracks and of regions' names."""
        for key, job in list(self._jobs.items())[: max(len(self._jobs) - KEPT, 0)]:
            if job.done:
                del self._jobs[key]
        for identity in list(self._latest)[: max(len(self._latest) - 10 * KEPT, 0)]:
            del self._latest[identity]


class _Job:
    """The objects of one video that are tracked together, and the promise of each one's track."""

    def __init__(self, wanted: Sequence[Wanted]) -> None:
        self.wanted = wanted
        self.address, self._rate = wanted[0].address, wanted[0].rate
        self.futures: dict[Hashable, Future[Found]] = {one.key: Future() for one in wanted}
        self.cancelled = False
        self._frames = self._passed = 0

    @property
    def done(self) -> bool:
        return all(future.done() for future in self.futures.values())

    def is_lost(self, key: Hashable) -> bool:
        """Whether this track failed or was given up."""
        future = self.futures[key]
        return self.cancelled or (future.done() and future.exception() is not None)

    @property
    def state(self) -> str:
        """How far it is."""
        if not self._frames:
            return "the video is being fetched and read"
        return f"tracking goes on, {self._passed} of {self._frames} frames are done"

    def track(self, session: Session) -> None:
        """Fill the promises; a region whose boxes do not fit the picture fails alone."""
        timeline = Timeline(self._rate, session.info)
        objects = list(self._objects(timeline))
        count = session.info.frame_count
        boxes = np.full((len(objects), count, 4), np.nan, np.float32)
        scores = np.zeros((len(objects), count), np.float32)
        self._frames = count
        with closing(session.track(objects)) as frames:
            for masks in frames:
                if self.cancelled:
                    raise InvalidRequest(REPLACED)
                self._passed += 1
                scores[:, masks.frame_index] = masks.scores
                for index, mask in enumerate(masks.objects):
                    boxes[index, masks.frame_index] = mask.box or np.nan
        for one, box, score in zip(self._open(), boxes, scores, strict=True):
            self.futures[one.key].set_result(Found(Track(box, score), timeline))

    def fail(self, error: Exception) -> None:
        """Break the promises that are left."""
        for one in self._open():
            self.futures[one.key].set_exception(error)

    def _objects(self, timeline: Timeline) -> Iterable[ObjectPrompts]:
        """The objects of the promises that stay open, in their order."""
        index = 0
        for one in self.wanted:
            try:
                prompts = one.region.frame_prompts(timeline)
            except InvalidRequest as error:
                self.futures[one.key].set_exception(error)
                continue
            yield ObjectPrompts(f"object_{index + 1}", index, prompts, ())
            index += 1

    def _open(self) -> list[Wanted]:
        return [one for one in self.wanted if not self.futures[one.key].done()]
