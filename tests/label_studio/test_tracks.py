"""The work in the background: each object once, joined by whoever asks for it too, given up when nobody wants it."""

import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import InvalidRequest, UnreadableVideo
from sam2_cog.label_studio import tracks as module
from sam2_cog.label_studio.regions import Region
from sam2_cog.label_studio.tracks import NotYet, Tracks, Wanted
from sam2_cog.label_studio.videos import VideoCache
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import VideoInfo
from sam2_cog.prompts import ObjectPrompts
from tests.label_studio.editor import clip_info, key, region

FRAMES = 6


class PacedSession:
    """Finds every object's own box on every frame, but waits for `go` before the second one."""

    opened: ClassVar[list[list[int]]] = []
    go = threading.Event()
    stopped = threading.Event()
    error: Exception | None = None

    def __init__(self, path: Path, model: LoadedModel, *, one_size: bool) -> None:
        self.info: VideoInfo = clip_info(FRAMES, Fraction(24), (100, 50))

    def __enter__(self) -> "PacedSession":
        return self

    def __exit__(self, *error: Any) -> None:
        pass

    def track(self, objects: Sequence[ObjectPrompts]) -> Generator[FrameMasks, None, None]:
        PacedSession.opened.append([len(one.prompts) for one in objects])
        if PacedSession.error:
            raise PacedSession.error
        try:
            for frame in range(FRAMES):
                if frame:
                    assert PacedSession.go.wait(30)
                nothing = np.zeros(len(objects), np.float32)
                yield FrameMasks(frame, tuple(_mask(one, frame) for one in objects), nothing + 0.5, nothing)
        finally:
            PacedSession.stopped.set()


def _mask(one: ObjectPrompts, frame: int) -> ObjectMask:
    mask = np.zeros((50, 100), bool)
    assert one.prompts[0].box
    x0, y0, x1, y1 = (round(number) for number in one.prompts[0].box)
    mask[y0:y1, x0:x1] = frame != 3
    return ObjectMask.of(mask)


class AnyVideo:
    """Stands for the cache; the paced session opens no file."""

    def video(self, address: str) -> Any:
        return nullcontext(Path("clip.mp4"))


@pytest.fixture
def tracks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracks]:
    monkeypatch.setattr(module, "Session", PacedSession)
    PacedSession.opened, PacedSession.go, PacedSession.stopped = [], threading.Event(), threading.Event()
    PacedSession.error = None
    with closing(Tracks(cast(LoadedModel, None), cast(VideoCache, AnyVideo()))) as made:
        yield made
        PacedSession.go.set()


def wanted(name: str = "r1", x: float = 10, y: float = 20, address: str = "a") -> Wanted:
    return Wanted(address, 24, Region.of(region(key(1, (x, y, 30, 40)), name=name)))


def wait_for_sessions(count: int) -> None:
    deadline = time.monotonic() + 30
    while len(PacedSession.opened) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_track_has_the_boxes_and_none_where_the_object_is_hidden(tracks: Tracks) -> None:
    PacedSession.go.set()
    found = tracks.start([wanted(), wanted("r2", x=50)])[1].result(30)
    assert found.track.boxes[0].tolist() == [50, 10, 80, 30] and np.isnan(found.track.boxes[3]).all()
    assert found.timeline.info.frame_count == FRAMES and found.track.score == 0.5
    assert PacedSession.opened == [[1, 1]]


def test_the_same_boxes_are_tracked_once_and_a_further_object_alone(tracks: Tracks) -> None:
    PacedSession.go.set()
    for asked in ([wanted()], [wanted()], [wanted("renamed")], [wanted(), wanted("r2", x=50)]):
        assert [promise.result(30).track.score for promise in tracks.start(asked)] == [0.5] * len(asked)
    assert PacedSession.opened == [[1], [1]]


def test_work_that_takes_longer_goes_on_and_says_how_far_it_is(tracks: Tracks) -> None:
    (promise,) = tracks.start([wanted()])
    with pytest.raises(NotYet, match=r"^(tracking goes on, [01] of 6 frames|the video is being fetched)"):
        promise.result(0.2)
    (promise,) = tracks.start([wanted()])
    PacedSession.go.set()
    assert promise.result(30).track.is_seen
    assert PacedSession.opened == [[1]]


def test_a_corrected_region_stops_the_work_on_its_old_boxes(tracks: Tracks) -> None:
    (old,) = tracks.start([wanted()])
    wait_for_sessions(1)
    (new,) = tracks.start([wanted(x=12)])
    PacedSession.go.set()
    assert new.result(30).track.boxes[0, 0] == 12
    assert PacedSession.stopped.wait(30)
    with pytest.raises(InvalidRequest, match="given up"):
        old.result(30)
    assert tracks.start([wanted()])[0].result(30).track.boxes[0, 0] == 10


def test_work_that_another_region_still_wants_goes_on(tracks: Tracks) -> None:
    _, other = tracks.start([wanted(), wanted("r2", x=50)])
    tracks.start([wanted(x=12)])
    PacedSession.go.set()
    assert other.result(30).track.is_seen


def test_two_users_on_two_videos_are_served_side_by_side(tracks: Tracks) -> None:
    promises = tracks.start([wanted()]) + tracks.start([wanted(address="b")])
    wait_for_sessions(2)
    PacedSession.go.set()
    assert all(promise.result(30).track.is_seen for promise in promises)


def test_a_region_that_does_not_fit_fails_alone(tracks: Tracks) -> None:
    PacedSession.go.set()
    outside, inside = tracks.start([wanted("r2", x=100), wanted()])
    assert inside.result(30).track.is_seen
    with pytest.raises(InvalidRequest, match="outside the picture"):
        outside.result(30)


@pytest.mark.parametrize("error", [UnreadableVideo("video: a.mp4 is empty"), TimeoutError("is empty")])
def test_a_failure_is_told_and_the_next_click_tries_again(tracks: Tracks, error: Exception) -> None:
    PacedSession.error = error
    (promise,) = tracks.start([wanted()])
    with pytest.raises(type(error), match="is empty"):
        promise.result(30)
    PacedSession.error = None
    PacedSession.go.set()
    assert tracks.start([wanted()])[0].result(30).track.is_seen


def test_only_so_many_tracks_are_kept(tracks: Tracks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    PacedSession.go.set()
    for x in (10, 20, 30):
        tracks.start([wanted(x=x)])[0].result(30)
    tracks.start([])
    assert len(tracks._jobs) == 2
