"""A request of Label Studio's, task by task: which regions are to be tracked, and what each of them gets back."""

import logging
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.http_base.answers import Json
from sam2_cog.label_studio.config import Control
from sam2_cog.label_studio.regions import Region, with_text
from sam2_cog.label_studio.tracks import Found, NotYet, Promise, Tracks, Wanted
from sam2_cog.label_studio.videos import LabelStudio

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Task:
    """One task: its data, and the regions that were sent or saved, of whatever kind."""

    data: Json
    regions: list[Any]
    is_saved: bool
    """Whether the regions are those of a saved annotation, not of the editor."""


def read_tasks(body: Json) -> list[Task]:
    """The tasks of a request: the one that the editor has open with its regions, or saved ones with their annotations.

    Raises InvalidRequest for what is no request of Label Studio's.
    """
    tasks, params = body.get("tasks"), body.get("params") or {}
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise InvalidRequest("tasks: they must be a list of objects")
    context = params.get("context") if isinstance(params, dict) else params
    regions = context.get("result", []) if isinstance(context, dict) else context
    if regions is None:
        return [Task(_data(task), _annotated(task), True) for task in tasks]
    if not isinstance(params, dict) or not isinstance(regions, list):
        raise InvalidRequest("params: its context must be an object with a list of regions under result, or null")
    return [Task(_data(task), regions, False) for task in tasks[:1]]


class Answer:
    """The answer for one task: begun when made; `futures` are to be waited for before `regions` is asked."""

    def __init__(self, task: Task, controls: dict[str, Control], studio: LabelStudio, tracks: Tracks) -> None:
        self.is_saved = task.is_saved
        self.has_failed = self.is_unfinished = False
        """Known once `regions` was asked: whether a region got a sentence in the place of its boxes, and why."""
        self._asked = [region for region in task.regions if _is_rectangle(region, controls)]
        wanted = [_wanted(region, controls[region["from_name"]], task.data, studio) for region in self._asked]
        promises = iter(tracks.start([one for one in wanted if isinstance(one, Wanted)]))
        self._promises = [next(promises) if isinstance(one, Wanted) else one for one in wanted]

    @property
    def futures(self) -> "list[Future[Found]]":
        """What is done when all regions are."""
        return [promise.future for promise in self._promises if isinstance(promise, Promise)]

    def regions(self) -> list[Json]:
        """Each region that was asked for, with its boxes, or as it came with a sentence about what is wrong."""
        return [self._answered(region, promise) for region, promise in zip(self._asked, self._promises, strict=True)]

    def _answered(self, region: Json, promise: Promise | InvalidRequest) -> Json:
        try:
            if isinstance(promise, InvalidRequest):
                raise promise
            found = promise.result()
            return promise.wanted.region.answered(found.track, found.timeline)
        except NotYet as state:
            self.is_unfinished = True
            return with_text(region, f"{state}; ask again in a while to get the boxes")
        except (InvalidRequest, UnreadableVideo, OSError) as error:
            return self._failed(region, str(error))
        except Exception:
            logger.exception("a region could not be answered")
            return self._failed(region, "the backend made a mistake, which its log describes")

    def _failed(self, region: Json, sentence: str) -> Json:
        self.has_failed = True
        logger.warning("region %s: %s", region.get("id"), sentence)
        return with_text(region, sentence)


def _wanted(region: Json, control: Control, data: Json, studio: LabelStudio) -> Wanted | InvalidRequest:
    try:
        return Wanted(studio.address(control.address(data)), control.rate(data), Region.of(region))
    except InvalidRequest as error:
        return error


def _is_rectangle(region: Any, controls: dict[str, Control]) -> bool:
    return isinstance(region, dict) and region.get("type") == "videorectangle" and region.get("from_name") in controls


def _annotated(task: Json) -> list[Json]:
    """The regions of the task's newest annotation that was not skipped."""
    kept = [one for one in task.get("annotations") or [] if not one.get("was_cancelled")]
    newest: Json = max(kept, key=lambda one: (str(one.get("updated_at") or ""), one.get("id") or 0), default={})
    return list(newest.get("result") or [])


def _data(task: Json) -> Json:
    data = task.get("data")
    return data if isinstance(data, dict) else {}
