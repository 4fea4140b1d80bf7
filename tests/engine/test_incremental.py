"""Whatever was tracked, broken off or edited before: the masks are those of a fresh run, bit for bit."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np
import pytest

from sam2_cog.engine import journal
from sam2_cog.engine.incremental import IncrementalTracker, Tracks
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.steps import Features
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.edits import Edits
from tests.scenarios import MemoryClip, moving_blocks

PLENTY = 1 << 30


def click(frame: int, x: float, y: float, label: int = 1) -> FramePrompt:
    return FramePrompt(frame, ((x, y),), (label,), None)


def one(name: str, *prompts: FramePrompt, corrections: tuple[FramePrompt, ...] = ()) -> ObjectPrompts:
    return ObjectPrompts(name, 0, prompts, corrections)


class Bench:
    """An incremental tracker on a clip, and what a fresh run finds."""

    def __init__(self, model: LoadedModel, clip: MemoryClip, journal_bytes: int = PLENTY) -> None:
        self.model, self.clip = model, clip
        self.tracker = IncrementalTracker(model, clip, journal_bytes)

    def begin(self, *objects: ObjectPrompts, propagation: str = "both") -> Tracks:
        return self.tracker.begin(objects, Passes.of(objects, self.clip.frame_count, propagation))

    def track(self, *objects: ObjectPrompts, propagation: str = "both") -> list[int]:
        """Track, and compare every frame with a fresh run; the frames that were tracked."""
        tracks = self.begin(*objects, propagation=propagation)
        found = {masks.frame_index: masks for masks in self.tracker.advance(tracks)}
        for frame, expected in Tracker(self.model).track(self.clip, objects, propagation):
            assert_same(self.tracker.masks(tracks, frame.index), expected)
            if frame.index in found:
                assert_same(found[frame.index], expected)
        return list(found)

    def preview(self, frame: int, *objects: ObjectPrompts) -> list[FrameMasks]:
        passes = Passes.of(objects, self.clip.frame_count, "both")
        return [self.tracker.preview(each, passes, frame, self.encoded) for each in objects]

    def encoded(self, frame: int) -> Features:
        image = self.model.steps.prepare(self.clip.images[frame])
        with self.model.autocast():
            return self.model.steps.encode(image)


def assert_same(found: FrameMasks | None, expected: FrameMasks) -> None:
    assert found is not None and found.frame_index == expected.frame_index
    assert found.objects == expected.objects
    assert np.array_equal(found.scores, expected.scores)
    assert np.array_equal(found.presence, expected.presence)


@pytest.fixture
def bench(small_model: LoadedModel) -> Iterator[Bench]:
    made = Bench(small_model, moving_blocks(3, 20, 64, 48))
    yield made
    made.tracker.close()


@pytest.mark.parametrize("seed", range(2))
def test_random_edits_give_the_masks_of_a_fresh_run(bench: Bench, seed: int) -> None:
    edits = Edits(seed, bench.clip.width, bench.clip.height, bench.clip.frame_count)
    for _ in range(5):
        propagation = edits.chance.choice(["both", "both", "forward"])
        if edits.chance.random() < 0.5:
            with closing(bench.tracker.advance(bench.begin(*edits.objects(), propagation=propagation))) as found:
                for _ in islice(found, edits.chance.randint(1, 25)):
                    pass
        bench.track(*edits.objects(), propagation=propagation)
        edits.edit()


def test_random_edits_of_objects_that_run_in_a_batch(demo_model: LoadedModel) -> None:
    bench, edits = Bench(demo_model, moving_blocks(4, 8, 64, 48)), Edits(7, 64, 48, 8)
    for _ in range(4):
        bench.track(*edits.objects())
        edits.edit()
    bench.tracker.close()


def test_random_edits_with_a_journal_that_is_too_small(
    small_model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "THINNED", 16)
    bench = Bench(small_model, moving_blocks(5, 36, 64, 48), journal_bytes=100_000)
    for objects in (
        (one("a", click(20, 30, 20)), one("b", click(25, 50, 40))),
        (one("a", click(20, 30, 20), corrections=(click(34, 10, 10),)), one("b", click(25, 50, 40))),
        (one("a", click(20, 30, 20), corrections=(click(3, 10, 10, 0),)), one("b", click(25, 50, 40))),
    ):
        bench.track(*objects)
    assert bench.tracker._journal._spacing > 1
    assert bench.preview(30, objects[0], objects[1])
    bench.tracker.close()


def test_only_what_an_edit_changes_is_tracked_again(bench: Bench) -> None:
    red, blue = one("red", click(0, 20, 20)), one("blue", click(0, 50, 30))
    everything = list(range(20))
    assert bench.track(red, blue) == everything
    assert bench.track(red, blue) == []
    corrected = one("red", click(0, 20, 20), corrections=(click(12, 5, 5),))
    assert bench.track(corrected, blue) == everything[12:]
    assert bench.track(red, blue) == [], "an undo brings the masks back"
    assert bench.track(corrected, blue, one("new", click(0, 9, 9))) == everything
    assert bench.track(corrected, blue) == []
    assert bench.track(one("renamed", *corrected.prompts, corrections=corrected.corrections)) == []
    assert bench.track(red, one("blue", click(0, 50, 30), click(7, 40, 30))) == everything
    assert bench.track(one("red", click(5, 20, 20))) == [4, 3, 2, 1, 0, *range(5, 20)]


def test_a_correction_before_the_start_leaves_the_frames_between_alone(bench: Bench) -> None:
    assert bench.track(one("red", click(10, 20, 20))) == [*range(9, -1, -1), *range(10, 20)]
    corrected = one("red", click(10, 20, 20), corrections=(click(4, 30, 30, 0),))
    assert bench.track(corrected) == [4, 3, 2, 1, 0, *range(10, 20)]


def test_objects_join_where_they_are_stale(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    red, blue = one("red", click(0, 20, 20)), one("blue", click(0, 50, 30))
    bench.track(red)
    corrected = one("red", click(0, 20, 20), corrections=(click(15, 5, 5),))
    tracked: list[tuple[str, int]] = []
    add = journal.Journal.add

    def counted(self: journal.Journal, recording: journal.Recording, step: int, *rest: Any) -> None:
        tracked.append((recording.prompts.name, step))
        add(self, recording, step, *rest)

    monkeypatch.setattr(journal.Journal, "add", counted)
    assert bench.track(corrected, blue) == list(range(20))
    assert sorted(tracked) == [("blue", step) for step in range(20)] + [("red", step) for step in range(15, 20)]


@pytest.mark.parametrize("after", [1, 5, 6, 14])
def test_what_was_broken_off_goes_on_where_it_was(bench: Bench, after: int) -> None:
    objects = (one("red", click(5, 20, 20)), one("blue", click(8, 50, 30)))
    with closing(bench.tracker.advance(bench.begin(*objects))) as found:
        first = [masks.frame_index for masks in islice(found, after)]
    assert first + bench.track(*objects) == [4, 3, 2, 1, 0, *range(5, 20)]


def test_while_an_object_is_stale_its_earlier_masks_are_seen(bench: Bench) -> None:
    red = one("red", click(0, 20, 20))
    bench.track(red)
    before = bench.tracker.masks(bench.begin(red), 15)
    corrected = bench.begin(one("red", click(0, 20, 20), corrections=(click(10, 5, 5),)))
    assert before is not None
    assert_same(bench.tracker.masks(corrected, 15), before)
    new = bench.tracker.masks(bench.begin(red, one("new", click(0, 50, 30))), 15)
    assert new is not None and new.objects[0] == before.objects[0] and new.objects[1].tight is None
    assert bench.tracker.masks(bench.begin(one("other", click(1, 2, 3))), 15) is None


@pytest.mark.parametrize("frame", [3, 6, 12])
def test_a_preview_is_what_tracking_finds(bench: Bench, frame: int) -> None:
    prompted = one("red", click(6, 20, 20), click(9, 10, 10))
    tracks = bench.begin(prompted)
    if frame == 6:
        (early,) = bench.preview(6, prompted)
    list(bench.tracker.advance(tracks))
    if frame == 6:
        assert_same(bench.tracker.masks(tracks, 6), early)
        return
    corrected = one("red", *prompted.prompts, corrections=(click(frame, 30, 30),))
    (early,) = bench.preview(frame, corrected)
    tracks = bench.begin(corrected)
    list(bench.tracker.advance(tracks))
    assert_same(bench.tracker.masks(tracks, frame), early)


def test_a_correction_on_the_start_of_all_objects_is_previewed(bench: Bench) -> None:
    blue = one("blue", click(4, 50, 30))
    bench.track(one("red", click(9, 20, 20)), blue)
    corrected = one("red", click(9, 20, 20), corrections=(click(4, 30, 30),))
    early = bench.preview(4, corrected, blue)
    tracks = bench.begin(corrected, blue)
    list(bench.tracker.advance(tracks))
    found = bench.tracker.masks(tracks, 4)
    assert found is not None
    assert_same(found.alone(0), early[0])
    assert_same(found.alone(1), early[1])


def test_a_preview_without_a_track_up_to_there_is_empty(bench: Bench) -> None:
    (found,) = bench.preview(7, one("red", click(0, 20, 20), corrections=(click(7, 30, 30),)))
    assert found.frame_index == 7 and found.objects[0].tight is None


def test_a_preview_is_answered_while_another_thread_tracks(bench: Bench) -> None:
    red, blue = one("red", click(0, 20, 20)), one("blue", click(3, 50, 30))
    tracks = bench.begin(red)
    tracked: list[float] = []

    def track() -> None:
        for _ in bench.tracker.advance(tracks):
            tracked.append(time.monotonic())

    thread = threading.Thread(target=track)
    thread.start()
    answered: list[float] = []
    for _ in range(3):
        bench.preview(3, blue)
        answered.append(time.monotonic())
    thread.join()
    assert answered[0] < tracked[-1], "the first answer comes before the last frame"
    bench.track(red)


def test_two_threads_track_the_same_objects(bench: Bench) -> None:
    objects = (one("red", click(5, 20, 20)), one("blue", click(8, 50, 30)))
    tracks = bench.begin(*objects)
    threads = [threading.Thread(target=lambda: list(bench.tracker.advance(tracks))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bench.track(*objects) == []


def test_a_closed_tracker_refuses(bench: Bench) -> None:
    red = one("red", click(0, 20, 20))
    found = bench.tracker.advance(bench.begin(red))
    next(found)
    bench.tracker.close()
    with pytest.raises(InvalidRequest, match="closed"):
        next(found)
    with pytest.raises(InvalidRequest, match="closed"):
        bench.begin(red)
