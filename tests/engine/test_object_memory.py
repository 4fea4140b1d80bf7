"""What is remembered of an object: exactly what later frames read."""

import random

import pytest
import torch
from torch import Tensor

from sam2_cog.engine.object_memory import Conditioning, ObjectMemory, Recall

MAPS, POINTERS = 6, 15


def tensor(frame_index: int) -> Tensor:
    return torch.tensor([float(frame_index)])


def conditioning(frame_index: int) -> Conditioning:
    return Conditioning(*(tensor(frame_index) for _ in range(5)))


def frames(pairs: tuple[tuple[int, Tensor], ...]) -> list[tuple[int, int]]:
    return [(distance, int(value)) for distance, value in pairs]


class Everything:
    """The rule of the official code, read off `_prepare_memory_conditioned_features`, with nothing ever forgotten."""

    def __init__(self) -> None:
        self.conditioned: list[int] = []
        self.tracked: set[int] = set()

    def recall(self, frame_index: int, reverse: bool) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        sign = 1 if reverse else -1
        maps = [(0, index) for index in self.conditioned]
        maps += [(d, frame_index + sign * d) for d in range(MAPS, 0, -1) if frame_index + sign * d in self.tracked]
        behind = [index for index in self.conditioned if (index >= frame_index if reverse else index <= frame_index)]
        pointers = [(abs(frame_index - index), index) for index in behind]
        steps = range(1, POINTERS + 1)
        pointers += [(d, frame_index + sign * d) for d in steps if frame_index + sign * d in self.tracked]
        return maps, pointers


def held(memory: ObjectMemory) -> int:
    return len(memory._maps) + len(memory._pointers)


@pytest.mark.parametrize("seed", range(30))
def test_a_bounded_memory_recalls_what_a_complete_one_does(seed: int) -> None:
    chance = random.Random(seed)
    count, start = 80, chance.choice([0, 3, 20, 79])
    memory, everything = ObjectMemory(MAPS, POINTERS), Everything()
    for index in sorted({chance.randrange(start, count) for _ in range(3)}):
        memory.condition(index, conditioning(index))
        everything.conditioned.append(index)
    for reverse in (True, False):
        for index in range(start, -1, -1) if reverse else range(start, count):
            if index in memory.conditioned:
                continue
            recall = memory.recall(index, reverse=reverse)
            assert (frames(recall.maps), frames(recall.pointers)) == everything.recall(index, reverse)
            memory.remember(index, tensor(index), tensor(index))
            everything.tracked.add(index)
            if chance.random() < 0.05:  # a correction on the way
                memory.condition(index, conditioning(index))
                everything.conditioned.append(index)
                everything.tracked.discard(index)
            memory.forget(index, start, reverse=reverse)
            # a reverse pass holds its own window and the one that the forward pass will read
            assert held(memory) <= (MAPS + POINTERS) * (2 if reverse else 1) + 2


def test_the_window_of_a_long_pass_is_full_and_no_more() -> None:
    memory = ObjectMemory(MAPS, POINTERS)
    memory.condition(0, conditioning(0))
    for index in range(1, 200):
        memory.remember(index, tensor(index), tensor(index))
        memory.forget(index, 0, reverse=False)
    assert held(memory) == MAPS + POINTERS
    recall = memory.recall(200, reverse=False)
    assert recall.shape == (1 + MAPS, 1 + POINTERS)
    assert recall.steps == (0, 6, 5, 4, 3, 2, 1)
    assert recall.distances == (200, *range(1, 16))


def test_the_memory_is_steady_once_both_windows_are_full() -> None:
    memory = ObjectMemory(MAPS, POINTERS)
    memory.condition(0, conditioning(0))
    steady = []
    for index in range(1, 60):
        steady.append(memory.recall(index, reverse=False).steady)
        memory.remember(index, tensor(index), tensor(index))
        if index == 30:
            memory.condition(index, conditioning(index))
        memory.forget(index, 0, reverse=False)
    # from frame 16 on, but while a conditioning frame takes the place of a tracked one
    assert steady == [16 <= index <= 30 or index > 30 + POINTERS for index in range(1, 60)]


def test_pointers_of_frames_that_lie_ahead_are_not_read_but_their_maps_are() -> None:
    memory = ObjectMemory(MAPS, POINTERS)
    memory.condition(10, conditioning(10))
    assert memory.recall(4, reverse=False).shape == (1, 0)
    assert memory.recall(4, reverse=True) == Recall(
        ((0, memory.conditioned[10].map),), ((6, memory.conditioned[10].pointer),)
    )


def test_a_condition_replaces_what_was_tracked_on_its_frame() -> None:
    memory = ObjectMemory(MAPS, POINTERS)
    memory.condition(0, conditioning(0))
    memory.remember(1, tensor(1), tensor(1))
    memory.condition(1, conditioning(1))
    assert frames(memory.recall(2, reverse=False).maps) == [(0, 0), (0, 1)]
    assert frames(memory.recall(2, reverse=False).pointers) == [(2, 0), (1, 1)]
