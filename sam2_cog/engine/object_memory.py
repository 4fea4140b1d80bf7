"""What is remembered of one object: every conditioning frame, and two bounded windows of tracked frames.

SAM 2 reads of the past (facebookresearch/sam2, `sam2_base.py`, `_prepare_memory_conditioned_features`): the maps of all
conditioning frames; the maps of the 6 tracked frames before this one; the pointers of the conditioning frames that lie
behind this one and of the 15 tracked frames before it. "Before" means later frames while tracking in reverse. Keeping
exactly those gives the masks that keeping everything gives, in memory that does not grow with the clip.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch import Tensor


@dataclass(frozen=True)
class Conditioning:
    """An object on a frame that the user prompted or corrected.

    map: (tokens, memory channels) bfloat16. pointer: (channels,). logits: (1, h, w) float32, holes filled.
    iou: () the network's own estimate of the mask's quality. presence: (1,) logit.
    """

    map: Tensor
    pointer: Tensor
    logits: Tensor
    iou: Tensor
    presence: Tensor


@dataclass(frozen=True)
class Recall:
    """What one object reads on one frame, in the order in which SAM 2 reads it.

    maps: pairs (steps, map); 0 steps marks a conditioning frame, else 6 .. 1 frames away, the farthest first.
    pointers: pairs (frames away, pointer); conditioning frames first, then 1 .. 15 frames away.
    steady: whether both windows of tracked frames are full, so that the next frames read as much.
    """

    maps: tuple[tuple[int, Tensor], ...]
    pointers: tuple[tuple[int, Tensor], ...]
    steady: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """Objects with the same numbers of maps and pointers can run in one batch."""
        return len(self.maps), len(self.pointers)

    @property
    def distances(self) -> tuple[int, ...]:
        """How many frames away each pointer is."""
        return tuple(distance for distance, _ in self.pointers)

    @property
    def steps(self) -> tuple[int, ...]:
        """How many frames away each map is; 0 for a conditioning frame."""
        return tuple(steps for steps, _ in self.maps)


@dataclass
class ObjectMemory:
    """The memory of one object.

    map_window: tracked frames whose map is read (6 for SAM 2.1). pointer_window: tracked frames whose pointer is read
    (15, or fewer where the clip has fewer than 16 frames).
    """

    map_window: int
    pointer_window: int
    conditioned: dict[int, Conditioning] = field(default_factory=dict)
    _maps: dict[int, Tensor] = field(default_factory=dict)
    _pointers: dict[int, Tensor] = field(default_factory=dict)

    def copy(self) -> "ObjectMemory":
        """The same, which stays as it is when this one changes; tensors are shared, for nothing writes into them."""
        return replace(self, conditioned=dict(self.conditioned), _maps=dict(self._maps), _pointers=dict(self._pointers))

    def condition(self, frame_index: int, output: Conditioning) -> None:
        """Keep a prompted or corrected frame for good; a tracked output of the same frame is replaced by it."""
        self.conditioned[frame_index] = output
        self._maps.pop(frame_index, None)
        self._pointers.pop(frame_index, None)

    def remember(self, frame_index: int, map_tokens: Tensor, pointer: Tensor) -> None:
        """Keep a tracked frame until `forget` drops it."""
        self._maps[frame_index] = map_tokens
        self._pointers[frame_index] = pointer

    def tracked(self, frame_index: int) -> tuple[Tensor, Tensor] | None:
        """The map and the pointer that are remembered of a tracked frame; None of a conditioning or forgotten one."""
        if frame_index not in self._maps:
            return None
        return self._maps[frame_index], self._pointers[frame_index]

    def forget(self, frame_index: int, start: int, *, reverse: bool) -> None:
        """Drop what no later frame reads, once `frame_index` is done in a pass that began at frame `start`.

        A reverse pass keeps the frames next to its start too: the forward pass that follows reads them.
        """
        for kept, window in ((self._maps, self.map_window), (self._pointers, self.pointer_window)):
            near = (
                range(frame_index, frame_index + window)
                if reverse
                else range(frame_index - window + 1, frame_index + 1)
            )
            for index in [index for index in kept if index not in near and not (reverse and index >= start - window)]:
                del kept[index]

    def recall(self, frame_index: int, *, reverse: bool) -> Recall:
        """What the network reads of this object on a frame; nothing is changed."""
        sign = 1 if reverse else -1
        maps = tuple(_at(self._maps, frame_index, sign, reversed(range(1, self.map_window + 1))))
        pointers = tuple(_at(self._pointers, frame_index, sign, range(1, self.pointer_window + 1)))
        return Recall(
            maps=tuple((0, output.map) for output in self.conditioned.values()) + maps,
            pointers=tuple(self._conditioned_pointers(frame_index, sign)) + pointers,
            steady=len(maps) == self.map_window and len(pointers) == self.pointer_window,
        )

    def _conditioned_pointers(self, frame_index: int, sign: int) -> Iterator[tuple[int, Tensor]]:
        """Pointers of the conditioning frames that lie behind this frame in the direction of the pass."""
        for index, output in self.conditioned.items():
            distance = sign * (index - frame_index)
            if distance >= 0:
                yield distance, output.pointer


@dataclass(frozen=True)
class RunState:
    """All that a run needs to go on, of a bounded size: the step that comes next, each object's memory before it."""

    step: int
    memories: tuple[ObjectMemory, ...]

    def copy(self) -> "RunState":
        """The same, which stays as it is when the run goes on."""
        return RunState(self.step, tuple(memory.copy() for memory in self.memories))


def _at(
    kept: dict[int, Tensor], frame_index: int, sign: int, distances: Iterator[int] | range
) -> Iterator[tuple[int, Tensor]]:
    """The kept tensors at these distances from a frame; frames that are not kept are passed over."""
    for distance in distances:
        tensor = kept.get(frame_index + sign * distance)
        if tensor is not None:
            yield distance, tensor
