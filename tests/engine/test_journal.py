"""Recordings on disk: what comes back, what is shared, and what goes when there is no room."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from sam2_cog.engine.journal import STATES_KEPT, THINNED, Journal, Recording
from sam2_cog.engine.object_memory import Conditioning, ObjectMemory
from sam2_cog.engine.passes import Passes
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.prompts import FramePrompt, ObjectPrompts

MAP, POINTER = (4, 8), (16,)
ENTRY = 512  # bytes of a step's memory on disk
PLENTY = 1 << 30


def new_memory() -> ObjectMemory:
    return ObjectMemory(6, 15)


def made(budget: int = PLENTY) -> Journal:
    return Journal(new_memory, torch.device("cpu"), budget)


def told(name: str = "red", frame: int = 0, corrections: tuple[int, ...] = ()) -> ObjectPrompts:
    def click(frame: int) -> FramePrompt:
        return FramePrompt(frame, ((1.0, 2.0),), (1,), None)

    return ObjectPrompts(name, 0, (click(frame),), tuple(click(each) for each in corrections))


def found(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.full(MAP, step, dtype=torch.bfloat16), torch.full(POINTER, step + 0.1)


def masks(frame: int, step: int) -> FrameMasks:
    mask = np.zeros((6, 8), bool)
    mask[step % 6, : step % 8] = True
    return FrameMasks(frame, (ObjectMask.of(mask),), np.array([step], np.float32), np.zeros(1, np.float32))


def record(journal: Journal, recording: Recording, until: int, *, soft: bool = False) -> None:
    """Let a run go on to a step; the start is conditioned, and what is corrected becomes conditioned."""
    memory = journal.memory(recording, journal.resumable(len(recording.steps)))
    passes, corrected = recording.passes, {each.frame_index for each in recording.prompts.corrections}
    for step in range(len(recording.steps), until):
        frame, _ = passes.visit(step)
        if frame != passes.start:
            memory.remember(frame, *found(step))
        if frame in corrected or frame == passes.start:
            memory.condition(frame, Conditioning(*found(step), *(torch.zeros(1),) * 3))
        found_masks = masks(frame, step)
        if soft:
            found_masks = replace(found_masks, soft=np.full((1, 4, 4), step, np.float16))
        journal.add(recording, step, found_masks, memory)


def opened(journal: Journal, *objects: ObjectPrompts, frames: int = 200, propagation: str = "both") -> list[Recording]:
    return list(journal.open(objects, Passes.of(objects, frames, propagation)))


def test_a_memory_comes_back_as_it_was() -> None:
    journal = made()
    (recording,) = opened(journal, told(frame=20, corrections=(10, 40)), frames=60)
    record(journal, recording, len(recording.passes))
    for step in range(1, len(recording.passes)):
        frame, reverse = recording.passes.visit(step)
        recall = journal.memory(recording, step).recall(frame, reverse=reverse)
        near = [frame + (steps if reverse else -steps) for steps, _ in recall.maps if steps]
        expected = [recording.passes.first(index) for index in near]
        assert [float(each[0, 0]) for steps, each in recall.maps if steps] == expected
        assert all(each.dtype == torch.bfloat16 and each.shape == MAP for _, each in recall.maps)
        assert all(each.dtype == torch.float32 and each.shape == POINTER for _, each in recall.pointers)
        conditioned = {20, *(index for index in (10, 40) if recording.passes.first(index) < step)}
        assert set(journal.memory(recording, step).conditioned) == conditioned
    journal.close()


def test_masks_come_back_by_frame() -> None:
    journal = made()
    (recording,) = opened(journal, told(frame=3), frames=8)
    record(journal, recording, 6)
    for frame in range(8):
        step = recording.passes.last(frame)
        assert recording.knows(frame) == (step < 6)
        if step < 6:
            assert journal.masks(recording, frame).objects == masks(frame, step).objects
            assert journal.masks(recording, frame).scores.tolist() == [step]
    journal.close()


def test_how_much_is_found_again() -> None:
    journal = made()
    (recording,) = opened(journal, told(frame=5, corrections=(30,)), frames=60)
    record(journal, recording, 50)
    passes = recording.passes
    for prompts, steps in (
        (told(frame=5, corrections=(30,)), 50),
        (told("other", frame=5, corrections=(30,)), 50),
        (told(frame=5), passes.first(30)),
        (told(frame=5, corrections=(20, 30)), passes.first(20)),
        (told(frame=5, corrections=(2, 30)), passes.first(2)),
        (told(frame=5, corrections=(30, 59)), 50),
        (told(frame=4, corrections=(30,)), -1),
    ):
        assert recording.repeats(prompts, passes) == steps
    assert recording.repeats(told(frame=5, corrections=(30,)), Passes(4, 60, True)) == -1
    journal.close()


def test_a_mask_is_another_prompt_than_another_mask() -> None:
    journal = made()
    first, same, other = (
        ObjectPrompts("red", 0, (FramePrompt(0, (), (), None, ObjectMask.of(np.eye(6, width, dtype=bool))),), ())
        for width in (8, 8, 9)
    )
    (recording,) = opened(journal, first, frames=9)
    record(journal, recording, 9)
    assert recording.repeats(same, recording.passes) == 9
    assert recording.repeats(other, recording.passes) == -1
    journal.close()


def test_an_edit_shares_what_comes_before_it_and_an_undo_finds_it() -> None:
    journal = made()
    (first,) = opened(journal, told())
    record(journal, first, 200)
    size = journal._memories.size
    (second,) = opened(journal, told(corrections=(150,)))
    assert len(second.steps) == 150 and journal._memories.size == size
    record(journal, second, 200)
    assert opened(journal, told()) == [first]
    assert opened(journal, told(corrections=(150,))) == [second]
    journal.close()


def test_states_are_forgotten_in_the_end() -> None:
    journal = made()
    (first,) = opened(journal, told())
    record(journal, first, 200)
    del first
    for frame in range(1, STATES_KEPT + 1):
        opened(journal, told(frame=frame))
    assert journal.find(told(), Passes(0, 200, False)) is None
    assert journal._memories.size == journal._masks.size == 0
    journal.close()


@pytest.mark.parametrize("entries", [30, 70, 130])
def test_above_the_budget_some_windows_are_kept(entries: int) -> None:
    """The journal stays within its budget, and every step that it names has what a run reads there."""
    journal = made(budget=entries * ENTRY)
    (recording,) = opened(journal, told(frame=20), frames=600)
    whole = made()
    (reference,) = opened(whole, told(frame=20), frames=600)
    for until in range(25, 600, 25):
        record(journal, recording, until)
        record(whole, reference, until)
        assert journal._memories.size <= entries * ENTRY
        step = journal.resumable(until)
        assert until - step < journal._spacing
        frame, reverse = recording.passes.visit(step)
        recalls = [
            kept.memory(each, step).recall(frame, reverse=reverse)
            for kept, each in ((journal, recording), (whole, reference))
        ]
        assert recalls[0].shape == recalls[1].shape
        assert all(torch.equal(a, b) for (_, a), (_, b) in zip(recalls[0].maps, recalls[1].maps, strict=True))
    assert journal._spacing >= THINNED
    journal.close()
    whole.close()


def test_earlier_states_go_before_windows_do() -> None:
    journal = made(budget=300 * ENTRY)
    (first,) = opened(journal, told())
    record(journal, first, 200)
    del first
    (second,) = opened(journal, told(frame=1), frames=200)
    record(journal, second, 200)
    assert journal._spacing == 1
    assert journal.find(told(), Passes(0, 200, False)) is None
    journal.close()


def test_logits_go_before_windows_do() -> None:
    journal = made(budget=250 * ENTRY)
    (recording,) = opened(journal, told())
    record(journal, recording, 100, soft=True)
    assert recording.has_logits
    logits = journal.masks(recording, 7, soft=True).soft
    assert logits is not None and logits.dtype == np.float16 and np.array_equal(logits, np.full((1, 4, 4), 7))
    record(journal, recording, 200, soft=True)
    assert not recording.has_logits and journal._spacing == 1
    assert journal.masks(recording, 7).soft is None
    with pytest.raises(InvalidRequest, match="room"):
        journal.masks(recording, 7, soft=True)
    journal.close()


def test_a_step_that_is_found_again_changes_nothing() -> None:
    journal = made()
    (recording,) = opened(journal, told())
    record(journal, recording, 50)
    steps = list(recording.steps)
    journal.add(recording, 10, masks(10, 99), new_memory())
    assert recording.steps == steps
    assert all(a is not b for a, b in pairwise(recording.steps))
    journal.close()
