"""What was tracked of a clip, on disk: enough to show it, to go on from any step of it, and to undo.

A run that goes on at a step reads, of each object, the conditioning frames and two short windows of tracked frames
(`object_memory`). The journal keeps what those windows hold for every step, 513 KiB for each frame and object with the
official networks, the logits, 128 KiB, and the masks, some hundred bytes. Where that is more than its budget it lets go
of earlier states first, then of the logits, and then keeps only the window before every 64th step (128th, ...): a run
goes on from the last of those.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from sam2_cog.engine.mask_store import pack, unpack
from sam2_cog.engine.object_memory import Conditioning, ObjectMemory
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.scratch_file import Place, ScratchFile
from sam2_cog.errors import InvalidRequest
from sam2_cog.masks import FrameMasks
from sam2_cog.prompts import FramePrompt, ObjectPrompts

STATES_KEPT = 10
"""How many of the states that were tracked last are kept, so that an undo brings their masks back."""

THINNED = 64
"""Steps between two windows that are kept where not all of them fit; twice as many each time that is still too much."""


@dataclass(slots=True)
class _Step:
    masks: Place
    memory: Place | None
    logits: Place | None


@dataclass(eq=False)
class Recording:
    """What a run found of one object, step by step."""

    prompts: ObjectPrompts
    passes: Passes
    conditioned: dict[int, Conditioning]
    steps: list[_Step]

    @property
    def complete(self) -> bool:
        """Whether every step was found."""
        return len(self.steps) == len(self.passes)

    @property
    def has_logits(self) -> bool:
        """Whether the logits of every step were kept."""
        return all(step.logits for step in self.steps)

    def repeats(self, prompts: ObjectPrompts, passes: Passes) -> int:
        """How many of the steps a run of these prompts would find again, bit for bit; -1: not even what is prompted."""
        if passes != self.passes or _told(prompts.prompts) != _told(self.prompts.prompts):
            return -1
        old, new = _told(self.prompts.corrections), _told(prompts.corrections)
        changed = (frame for frame in old.keys() | new.keys() if old.get(frame) != new.get(frame))
        return min([len(self.steps), *map(passes.first, changed)])

    def knows(self, frame: int) -> bool:
        """Whether the masks of a frame were found."""
        return self.passes.last(frame) < len(self.steps)


def _told(prompts: Sequence[FramePrompt]) -> dict[int, FramePrompt]:
    """What an object is told by frame."""
    return {prompt.frame_index: prompt for prompt in prompts}


class Journal:
    """The recordings of one clip: those of the state tracked last, and of a few before it. Not safe in several threads.

    new_memory: makes the memory of an object of which nothing is known. device: where memories live.
    budget: bytes of memories and logits on disk.
    """

    def __init__(self, new_memory: Callable[[], ObjectMemory], device: torch.device, budget: int) -> None:
        self._new_memory = new_memory
        self._window = max(new_memory().map_window, new_memory().pointer_window)
        self._device = device
        self._budget = budget
        self._spacing = 1
        self._keeps_logits = True
        self._masks, self._memories = ScratchFile(), ScratchFile()
        self._layout: tuple[tuple[torch.Size, torch.dtype], ...] = ()
        self._logits_size = (0, 0)
        self._states: deque[tuple[Recording, ...]] = deque(maxlen=STATES_KEPT)

    def close(self) -> None:
        """Give everything back to the disk."""
        self._states.clear()
        self._masks.close()
        self._memories.close()

    def find(self, prompts: ObjectPrompts, passes: Passes) -> tuple[Recording, int] | None:
        """The recording that a run of these prompts would repeat the most of, and how many of its steps; or None."""
        found = [(recording, recording.repeats(prompts, passes)) for recording in self._recordings()]
        useful = [(recording, steps) for recording, steps in found if steps >= 0 and recording.steps]
        return max(useful, key=lambda pair: pair[1], default=None)

    def latest(self, name: str, frame: int) -> FrameMasks | None:
        """The masks that were found last of a frame for an object of this name, whatever it was told."""
        for recording in self._recordings():
            if recording.prompts.name == name and recording.knows(frame):
                return self.masks(recording, frame)
        return None

    def open(self, objects: Sequence[ObjectPrompts], passes: Passes) -> tuple[Recording, ...]:
        """For each object the recording to go on with, begun from the best one; together they are the present state."""
        state = tuple(self._open(prompts, passes) for prompts in objects)
        if not self._states or self._states[-1] != state:
            self._states.append(state)
        return state

    def resumable(self, step: int) -> int:
        """The last step at which a run can go on, up to this one."""
        return step // self._spacing * self._spacing

    def memory(self, recording: Recording, step: int) -> ObjectMemory:
        """What a run knows of the object when it comes to a step that `resumable` names."""
        memory = self._new_memory()
        memory.conditioned = _conditioned(recording, step)
        for frame, earlier in recording.passes.remembered(step, self._window).items():
            place = recording.steps[earlier].memory
            if place is not None:
                memory.remember(frame, *self._load(place.read()))
        return memory

    def add(self, recording: Recording, step: int, masks: FrameMasks, memory: ObjectMemory) -> None:
        """Record what a run found at a step: the masks of this one object, and its memory afterwards."""
        if step < len(recording.steps):
            return  # found once more on the way from an earlier step
        tracked = memory.tracked(masks.frame_index)
        kept = self._memories.put(self._dump(tracked)) if tracked and self._kept(step) else None
        logits = None
        if masks.soft is not None and self._keeps_logits:
            self._logits_size = masks.soft.shape[1:]
            logits = self._memories.put(masks.soft.tobytes())
        recording.steps.append(_Step(self._masks.put(pack(replace(masks, soft=None))), kept, logits))
        recording.conditioned = memory.conditioned
        self._make_room(len(recording.passes))

    def masks(self, recording: Recording, frame: int, *, soft: bool = False) -> FrameMasks:
        """The masks of a frame that the recording knows, of its one object.

        soft: with their logits; raises InvalidRequest if they had to make room.
        """
        step = recording.steps[recording.passes.last(frame)]
        masks = unpack(frame, step.masks.read())
        if not soft:
            return masks
        if step.logits is None:
            raise InvalidRequest("output: the room on disk for the edges of the masks is used up, ask for it again")
        logits = np.frombuffer(step.logits.read(), np.float16).reshape(1, *self._logits_size)
        return replace(masks, soft=logits)

    def _recordings(self) -> Iterator[Recording]:
        """All recordings, each once, the newest first."""
        return iter(dict.fromkeys(recording for state in reversed(self._states) for recording in state))

    def _open(self, prompts: ObjectPrompts, passes: Passes) -> Recording:
        found = self.find(prompts, passes)
        if found is None:
            return Recording(prompts, passes, {}, [])
        best, repeats = found
        if repeats == len(best.steps) and _told(best.prompts.corrections) == _told(prompts.corrections):
            return best
        return Recording(prompts, passes, _conditioned(best, repeats), best.steps[:repeats])

    def _kept(self, step: int) -> bool:
        """Whether a later run may read the memory of a step; the forward pass reads the first of the backward pass."""
        return step <= self._window or step % self._spacing >= self._spacing - self._window

    def _make_room(self, steps: int) -> None:
        while self._memories.size > self._budget and len(self._states) > 1:
            self._states.popleft()
        if self._memories.size > self._budget and self._keeps_logits:
            self._keeps_logits = False
            for recording in self._recordings():
                for step in recording.steps:
                    step.logits = None
        while self._memories.size > self._budget and self._spacing < steps:
            self._spacing = max(THINNED, 2 * self._spacing)
            for recording in self._recordings():
                for number, step in enumerate(recording.steps):
                    step.memory = step.memory if self._kept(number) else None

    def _dump(self, tensors: tuple[Tensor, ...]) -> bytes:
        self._layout = tuple((tensor.shape, tensor.dtype) for tensor in tensors)
        flat = [tensor.contiguous().view(torch.uint8).flatten() for tensor in tensors]
        return torch.cat(flat).cpu().numpy().tobytes()

    def _load(self, data: bytes) -> tuple[Tensor, Tensor]:
        flat = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self._device)
        (map_shape, map_type), (pointer_shape, pointer_type) = self._layout
        size = map_shape.numel() * map_type.itemsize
        return flat[:size].view(map_type).view(map_shape), flat[size:].view(pointer_type).view(pointer_shape)


def _conditioned(recording: Recording, step: int) -> dict[int, Conditioning]:
    """The conditioning frames that a run knows when it comes to a step: all prompts, and what was corrected by then."""
    prompted = {prompt.frame_index for prompt in recording.prompts.prompts}
    return {
        frame: output
        for frame, output in list(recording.conditioned.items())
        if frame in prompted or recording.passes.first(frame) < step
    }
