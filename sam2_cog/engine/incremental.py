"""Tracks a clip whose objects are edited: after each edit only what the edit changes is tracked again."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from threading import Lock

from sam2_cog.engine.journal import Journal, Recording
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.object_memory import ObjectMemory, RunState
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.steps import Features
from sam2_cog.engine.tracker import RESIZED_AHEAD, Clip, Run, frame_size, new_memory
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks, joined, no_masks
from sam2_cog.prompts import FramePrompt, ObjectPrompts


@dataclass(frozen=True)
class Tracks:
    """Objects as they are told at a time, and what was found of each; position i is the object with index i."""

    objects: tuple[ObjectPrompts, ...]
    passes: Passes
    recordings: tuple[Recording, ...]

    @property
    def complete(self) -> bool:
        """Whether every object is tracked to the end."""
        return all(recording.complete for recording in self.recordings)

    @property
    def has_logits(self) -> bool:
        """Whether `masks` can give the logits of all that is tracked; where disk is short it cannot."""
        return all(recording.has_logits for recording in self.recordings)


class IncrementalTracker:
    """Gives the masks that `Tracker` gives, bit for bit on the CPU, whatever was tracked or broken off before.

    Safe in several threads; the network and the journal are taken for one step at a time. After `close` everything
    raises InvalidRequest, also what is in the middle of tracking.
    """

    def __init__(self, model: LoadedModel, clip: Clip, journal_bytes: int) -> None:
        self._model = model
        self._clip = clip
        self._journal = Journal(self._new_memory, model.device, journal_bytes)
        self._lock = Lock()
        self._closed = False

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._journal.close()

    def known_steps(self, one: ObjectPrompts, passes: Passes) -> int:
        """How many steps of an object are already found."""
        with self._using() as journal:
            found = journal.find(one, passes)
        return found[1] if found else 0

    def stale(self, objects: Sequence[ObjectPrompts], passes: Passes) -> dict[str, int]:
        """Name -> the first frame whose masks `advance` would find; without the objects that are up to date."""
        known = {one.name: self.known_steps(one, passes) for one in objects}
        return {name: passes.unsettled(steps) for name, steps in known.items() if steps < len(passes)}

    def frames_to_track(self, objects: Sequence[ObjectPrompts], passes: Passes) -> int:
        """How many frames `advance` would yield."""
        known = min(self.known_steps(one, passes) for one in objects)
        with self._using() as journal:
            return passes.frames_from(known if known == len(passes) else journal.resumable(known))

    def begin(self, objects: Sequence[ObjectPrompts], passes: Passes) -> Tracks:
        """The tracks of these objects, with all that is already known of them."""
        with self._using() as journal:
            return Tracks(tuple(objects), passes, journal.open(objects, passes))

    def advance(self, tracks: Tracks) -> Generator[FrameMasks, None, None]:
        """Find what is missing; yield each frame with the masks of all objects as soon as it is found.

        The frames before the start come first, from the last to the first, then the others in order. Objects run
        together as far as they are stale: one joins the others at the step from which it is.
        """
        with ThreadPoolExecutor(RESIZED_AHEAD) as resizers:
            while stretch := self._next_stretch(tracks):
                yield from self._run(tracks, *stretch, resizers)

    def masks(self, tracks: Tracks, frame: int, *, soft: bool = False) -> FrameMasks | None:
        """The masks of all objects on a frame; None while nothing of it is known.

        Where an object is still stale it has what was found last under its name, or an empty mask. soft: with the
        logits; InvalidRequest if they had to make room.
        """
        with self._using() as journal:
            return self._masks(journal, tracks, frame, soft=soft)

    def preview(self, one: ObjectPrompts, passes: Passes, frame: int, encoded: Callable[[int], Features]) -> FrameMasks:
        """The mask of an object on one frame, as tracking would find it so far as this frame alone tells.

        Exact where the object has a prompt on the frame, and where it was tracked up to there with what it is told now;
        else it is what was found last under its name, or an empty mask. encoded: gives the features of a frame.
        """
        with self._using() as journal:
            recording, repeats = journal.find(one, passes) or (None, -1)
            if recording and passes.last(frame) < repeats:
                return journal.masks(recording, frame)
        first = passes.first(frame)
        if _on(frame, one.prompts):
            state = RunState(0, (self._new_memory(),))
        elif recording and first <= repeats and _on(frame, one.corrections):
            state = self._before(first, one, recording)
        else:
            with self._using() as journal:
                return journal.latest(one.name, frame) or self._empty(frame)
        with ThreadPoolExecutor(1) as resizers:
            run = Run(self._model, self._clip, [one], passes, resizers, state)
            return run.look(frame, encoded(frame), reverse=first < passes.turn)

    def _new_memory(self) -> ObjectMemory:
        return new_memory(self._model, self._clip)

    def _empty(self, frame: int) -> FrameMasks:
        return no_masks(frame, 1, frame_size(self._clip, frame))

    @contextmanager
    def _using(self) -> Iterator[Journal]:
        with self._lock:
            if self._closed:
                raise InvalidRequest("video: it is closed, open it again")
            yield self._journal

    def _next_stretch(self, tracks: Tracks) -> tuple[int, int, list[int]] | None:
        """The first step that is missing, the step at which more objects join, and the objects until there."""
        with self._using() as journal:
            begins = {
                number: journal.resumable(len(recording.steps))
                for number, recording in enumerate(tracks.recordings)
                if not recording.complete
            }
        if not begins:
            return None
        first = min(begins.values())
        until = min((begin for begin in begins.values() if begin > first), default=len(tracks.passes))
        return first, until, [number for number, begin in begins.items() if begin == first]

    def _run(
        self, tracks: Tracks, first: int, until: int, numbers: Sequence[int], resizers: ThreadPoolExecutor
    ) -> Generator[FrameMasks, None, None]:
        """Track some of the objects from one step to another; each step is in the journal before it is seen."""
        objects = [tracks.objects[number] for number in numbers]
        recordings = [tracks.recordings[number] for number in numbers]
        with self._using() as journal:
            state = RunState(first, tuple(journal.memory(recording, first) for recording in recordings))
        run = Run(self._model, self._clip, objects, tracks.passes, resizers, state, soft=True)
        if first == 0:
            run.condition()
        with closing(run.rest()) as found:
            for step, masks in enumerate(islice(found, until - first), first):
                with self._using() as journal:
                    for row, (recording, memory) in enumerate(zip(recordings, state.memories, strict=True)):
                        journal.add(recording, step, masks.alone(row), memory)
                    shown = self._masks(journal, tracks, masks.frame_index)
                if shown and step == tracks.passes.last(masks.frame_index):
                    yield shown

    def _before(self, step: int, one: ObjectPrompts, recording: Recording) -> RunState:
        """What a run of an object knows when it comes to a step that is recorded up to there."""
        with self._using() as journal:
            nearest = journal.resumable(step)
            state = RunState(nearest, (journal.memory(recording, nearest),))
        with ThreadPoolExecutor(RESIZED_AHEAD) as resizers:
            run = Run(self._model, self._clip, [one], recording.passes, resizers, state)
            with closing(run.rest()) as found:
                for _ in islice(found, step - nearest):
                    pass
        return run.state

    def _masks(self, journal: Journal, tracks: Tracks, frame: int, *, soft: bool = False) -> FrameMasks | None:
        if tracks.passes.last(frame) == len(tracks.passes):
            return joined([self._empty(frame)] * len(tracks.objects))
        found = [
            journal.masks(recording, frame, soft=soft) if recording.knows(frame) else journal.latest(one.name, frame)
            for one, recording in zip(tracks.objects, tracks.recordings, strict=True)
        ]
        return joined([part or self._empty(frame) for part in found]) if any(found) else None


def _on(frame: int, prompts: Sequence[FramePrompt]) -> bool:
    return any(prompt.frame_index == frame for prompt in prompts)
