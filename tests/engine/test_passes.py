"""Both passes as one row of steps."""

import pytest

from sam2_cog.engine.object_memory import ObjectMemory
from sam2_cog.engine.passes import Passes

PASSES = [Passes(0, 9, False), Passes(4, 9, True), Passes(4, 9, False), Passes(8, 9, True), Passes(0, 1, False)]


@pytest.mark.parametrize("passes", PASSES, ids=str)
def test_steps_go_back_from_the_start_and_then_forward(passes: Passes) -> None:
    visits = [passes.visit(step) for step in range(len(passes))]
    back = [(frame, True) for frame in range(passes.start, -1, -1)] if passes.backward else []
    assert visits == back + [(frame, False) for frame in range(passes.start, passes.frame_count)]


@pytest.mark.parametrize("passes", PASSES, ids=str)
def test_a_frame_is_reached_first_and_last(passes: Passes) -> None:
    for frame in range(passes.frame_count):
        steps = [step for step in range(len(passes)) if passes.visit(step)[0] == frame]
        assert passes.first(frame) == min(steps, default=len(passes))
        assert passes.last(frame) == max(steps, default=len(passes))


@pytest.mark.parametrize("passes", PASSES, ids=str)
def test_what_is_left_at_a_step(passes: Passes) -> None:
    for step in range(len(passes)):
        left = [frame for frame in range(passes.frame_count) if step <= passes.last(frame) < len(passes)]
        assert passes.unsettled(step) == min(left)
        assert passes.frames_from(step) == len(left)
    assert passes.frames_from(len(passes)) == 0


@pytest.mark.parametrize("passes", PASSES, ids=str)
@pytest.mark.parametrize("window", [1, 2, 3, 20])
def test_what_is_remembered_is_what_a_memory_keeps(passes: Passes, window: int) -> None:
    """A memory that is told every step keeps at least this of it, and nothing else is ever read."""
    memory = ObjectMemory(window, window)
    for step in range(len(passes)):
        frame, reverse = passes.visit(step)
        remembered = passes.remembered(step, window)
        assert {near: memory._maps[near] for near in remembered} == remembered
        recall = memory.recall(frame, reverse=reverse)
        assert {found for _, found in recall.maps} <= set(remembered.values())
        memory.remember(frame, step, step)  # type: ignore[arg-type]
        memory.forget(frame, passes.start, reverse=reverse)
