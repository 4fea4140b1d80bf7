"""Steps SAM 2.1 through a clip: frames stream in, masks stream out, in memory that does not grow with the clip.

The masks are those of the official `SAM2VideoPredictor` with `add_all_frames_to_correct_as_cond=True`, run as
`propagate_in_video(reverse=True)` and then `propagate_in_video()` on one state (`both`), or the latter (`forward`).
"""

from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sam2_cog.engine.host_memory import on_its_way
from sam2_cog.engine.logits import cut, fill_holes
from sam2_cog.engine.mask_store import MaskStore
from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.object_memory import Conditioning, ObjectMemory, Recall, RunState
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.run_checkpoint import RunCheckpoint
from sam2_cog.engine.steps import Clicks, Features, Segmentation, Steps
from sam2_cog.masks import FrameMasks, no_masks
from sam2_cog.media.video import Frame
from sam2_cog.prompts import FramePrompt, ObjectPrompts

MAX_OBJECTS_AT_ONCE = 16
"""How many objects run in one batch; more run one batch after the other, which bounds the peak of memory."""

BACKWARD_WINDOW = 32
"""How many frames the backward pass reads at a time; only their resized images are held (3 MiB each at 1024 pixels)."""

_FRAMES_BEHIND = {"cuda": 1, "cpu": 0}
"""How many frames are launched before the masks of one are waited for, so that a GPU has work meanwhile."""

RESIZED_AHEAD = 2
"""How many frames are resized beside the network: a 1080p frame takes a core up to 40 ms, or 1.5 to tell a GPU."""


class Clip(Protocol):
    """Frames that can be read again from any place. Sizes in pixels."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def frame_count(self) -> int: ...
    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        """Yield the frames [start, stop)."""
        ...

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        """Yield the frames with these ascending indices."""
        ...


@runtime_checkable
class ClipOfShots(Clip, Protocol):
    """A clip whose frames are not all of one size."""

    def size(self, index: int) -> tuple[int, int]:
        """(height, width) of a frame."""
        ...


def frame_size(clip: Clip, index: int) -> tuple[int, int]:
    """(height, width) of a frame of any clip."""
    return clip.size(index) if isinstance(clip, ClipOfShots) else (clip.height, clip.width)


class Tracker:
    """Tracks objects through clips with one loaded model. Holds no state from one clip to the next."""

    def __init__(self, model: LoadedModel) -> None:
        self._model = model

    def track(
        self,
        clip: Clip,
        objects: Sequence[ObjectPrompts],
        propagation: str = "both",
        *,
        soft: bool = False,
        checkpoint: RunCheckpoint | None = None,
    ) -> Generator[tuple[Frame, FrameMasks], None, None]:
        """Yield every frame of the clip, in order, with the masks of all objects in the order of `objects`.

        propagation: `both` tracks back from the earliest prompt frame and then forward; with `forward` the frames
        before it get empty masks. soft: hand out the masks' logits too (`FrameMasks.soft`).
        checkpoint: an open one; what it holds is handed out first, without the network, and the rest is added to it.
        Closing the generator stops the work and frees all of it.
        """
        with ThreadPoolExecutor(RESIZED_AHEAD) as resizers, MaskStore() as earlier:
            passes = Passes.of(objects, clip.frame_count, propagation)
            state, known = (checkpoint.state, checkpoint.found()) if checkpoint else (None, iter(()))
            behind = _FRAMES_BEHIND.get(self._model.device.type, 0)
            run = Run(
                self._model, clip, objects, passes, resizers, state, soft=soft, checkpoint=checkpoint, behind=behind
            )
            if state is None:
                run.condition()
            for masks in chain(islice(known, passes.turn), run.backward()):
                earlier.put(masks)
            with closing(clip.read()) as frames:
                for frame in islice(frames, passes.start):
                    yield frame, earlier.take(frame.index) if passes.backward else run.empty(frame.index)
                for masks, frame in zip(known, frames, strict=False):  # in this order: no frame is taken in vain
                    yield frame, masks
                yield from run.forward(frames)


def new_memory(model: LoadedModel, clip: Clip) -> ObjectMemory:
    """The memory of an object of which nothing is known yet."""
    # a clip of fewer than 16 frames has fewer pointers, and the network's time code is scaled to that
    pointer_window = min(clip.frame_count, model.network.max_obj_ptrs_in_encoder) - 1
    return ObjectMemory(model.network.num_maskmem - 1, pointer_window)


@dataclass(frozen=True)
class _Found:
    """One object on one frame: logits (1, h, w) float32 with holes filled, iou () and presence (1,)."""

    logits: Tensor
    iou: Tensor
    presence: Tensor


@dataclass
class _Target:
    """One object while it is tracked."""

    memory: ObjectMemory
    prompts: dict[int, FramePrompt]
    corrections: dict[int, FramePrompt]


def _target(prompts: ObjectPrompts, memory: ObjectMemory) -> _Target:
    return _Target(
        memory,
        {prompt.frame_index: prompt for prompt in prompts.prompts},
        {prompt.frame_index: prompt for prompt in prompts.corrections},
    )


class Run:
    """One clip with its objects while they are tracked, from the first step of the passes or from a state on.

    Inference mode and autocast are entered for each step and left before a result is handed out, so that neither is
    ever on in the caller's code between two frames.
    """

    def __init__(
        self,
        model: LoadedModel,
        clip: Clip,
        objects: Sequence[ObjectPrompts],
        passes: Passes,
        resizers: ThreadPoolExecutor,
        state: RunState | None = None,
        *,
        soft: bool = False,
        checkpoint: RunCheckpoint | None = None,
        behind: int = 0,
    ) -> None:
        """passes: those of all objects of the clip, of which `objects` may be a part.
        state: what an earlier run of the same objects and passes knew, which goes over to this one; without it,
        `condition` comes first. checkpoint: told each step. behind: by how many steps the masks that are handed out
        may lag behind `state`.
        """
        self._model = model
        self._clip = clip
        self._passes = passes
        self._resizers = resizers
        self._soft = soft
        self._checkpoint = checkpoint
        self._behind = behind
        self._steps = model.steps
        state = state or RunState(0, tuple(new_memory(model, clip) for _ in objects))
        self._step = state.step
        self._targets = [_target(*pair) for pair in zip(objects, state.memories, strict=True)]
        self._pointer_window = self._targets[0].memory.pointer_window
        self._objects_that_fit = MAX_OBJECTS_AT_ONCE

    @property
    def state(self) -> RunState:
        """Where the run is between two steps; it changes as the run goes on."""
        return RunState(self._step, tuple(target.memory for target in self._targets))

    def condition(self) -> None:
        """Encode every prompt frame, wherever it lies: frames before it read it too."""
        with closing(
            self._clip.pick(sorted({index for target in self._targets for index in target.prompts}))
        ) as frames:
            for frame in frames:
                image = self._steps.prepare(frame.image)
                with self._model.autocast():
                    self._condition(frame.index, self._steps.encode(image))

    def look(self, index: int, features: Features, *, reverse: bool) -> FrameMasks:
        """Masks of a frame that the state's step visits, or on which every object has a prompt. Ends the run."""
        with self._model.autocast():
            self._condition(index, features)
            masks = self._track(index, features, reverse=reverse)
        return masks()

    def rest(self) -> Generator[FrameMasks, None, None]:
        """Masks of every step that is left; the start of both passes comes twice, and the second time counts."""
        yield from self.backward()
        with closing(self._clip.read(self._passes.visit(self._step)[0])) as frames:
            for _, masks in self.forward(frames):
                yield masks

    def backward(self) -> Iterator[FrameMasks]:
        """Masks of what is left of the backward pass, from the last frame to the first."""
        begin = self._passes.turn - self._step
        for stop in range(begin, 0, -BACKWARD_WINDOW):
            with closing(self._clip.read(max(0, stop - BACKWARD_WINDOW), stop)) as frames:
                window = [(frame.index, image) for frame, image in self._resized(frames)]
            yield from self._pass(reversed(window), reverse=True)

    def forward(self, frames: Iterator[Frame]) -> Iterator[tuple[Frame, FrameMasks]]:
        """Each of these frames, which begin where the forward pass is, with its masks."""
        ahead: deque[Frame] = deque()

        def images() -> Iterator[tuple[int, Tensor]]:
            for frame, image in self._resized(frames):
                ahead.append(frame)
                yield frame.index, image

        for masks in self._pass(images(), reverse=False):
            yield ahead.popleft(), masks

    def empty(self, frame_index: int) -> FrameMasks:
        """No object on a frame."""
        return no_masks(frame_index, len(self._targets), frame_size(self._clip, frame_index))

    def _resized(self, frames: Iterator[Frame]) -> Iterator[tuple[Frame, Tensor]]:
        """Each frame with its image in the network's size; the next ones are resized meanwhile."""
        waiting: deque[tuple[Frame, Future[Tensor]]] = deque()
        for frame in frames:
            waiting.append((frame, self._resizers.submit(self._steps.prepare, frame.image)))
            if len(waiting) > RESIZED_AHEAD:
                first, image = waiting.popleft()
                yield first, image.result()
        for first, image in waiting:
            yield first, image.result()

    def _pass(self, images: Iterator[tuple[int, Tensor]], *, reverse: bool) -> Iterator[FrameMasks]:
        """Track through (frame index, resized image) pairs in the order of the pass."""
        launched: deque[tuple[Callable[[], FrameMasks], RunState | None]] = deque()
        for index, image in images:
            with self._model.autocast():
                masks = self._track(index, self._encode(index, image), reverse=reverse)
            self._step += 1
            launched.append((masks, self.state.copy() if self._checkpoint else None))
            if len(launched) > self._behind:
                yield self._arrived(*launched.popleft())
        for masks, going_on in launched:
            yield self._arrived(masks, going_on)

    def _arrived(self, masks: Callable[[], FrameMasks], going_on: RunState | None) -> FrameMasks:
        """Wait for the masks of a step, and note them with the state after it."""
        found = masks()
        if self._checkpoint:
            self._checkpoint.add(found, going_on)
        return found

    def _encode(self, index: int, image: Tensor) -> Features | None:
        """Features of a frame on which any object is still to be tracked."""
        if all(index in target.memory.conditioned for target in self._targets):
            return None
        return self._steps.encode(image)

    def _track(self, index: int, features: Features | None, *, reverse: bool) -> Callable[[], FrameMasks]:
        """Masks of all objects on one frame; what later frames read of it is remembered, the rest forgotten.

        Nothing here waits for a GPU; what is returned does, and gives the masks.
        """
        found: dict[int, _Found] = {}
        for group in self._groups(index, reverse=reverse):
            assert features is not None, "a frame with an object to track is always encoded"
            found |= self._track_in_parts(index, features, group)
        for number, target in enumerate(self._targets):
            target.memory.forget(index, self._passes.start, reverse=reverse)
            if (output := target.memory.conditioned.get(index)) is not None:
                found[number] = _Found(output.logits, output.iou, output.presence)
        return self._frame_masks(index, [found[number] for number in range(len(self._targets))])

    def _frame_masks(self, index: int, found: Sequence[_Found]) -> Callable[[], FrameMasks]:
        logits = torch.stack([one.logits for one in found])
        scores, presence = torch.stack([one.iou for one in found]), torch.cat([one.presence for one in found])
        masks = cut(logits, *frame_size(self._clip, index))
        estimates = on_its_way(torch.stack((scores.float(), presence.float())))
        soft = on_its_way(logits[:, 0].half()) if self._soft else None

        def finished() -> FrameMasks:
            score_of_each, presence_of_each = estimates()
            return FrameMasks(index, masks(), score_of_each, presence_of_each, soft() if soft else None)

        return finished

    def _groups(self, index: int, *, reverse: bool) -> Iterator[list[tuple[int, Recall]]]:
        """Objects to track on a frame, as (number, what it reads), in batches that read equally much."""
        groups: defaultdict[tuple[int, int], list[tuple[int, Recall]]] = defaultdict(list)
        for number, target in enumerate(self._targets):
            if index not in target.memory.conditioned:
                recall = target.memory.recall(index, reverse=reverse)
                groups[recall.shape].append((number, recall))
        for group in groups.values():
            size = min(MAX_OBJECTS_AT_ONCE, self._objects_that_fit)
            for first in range(0, len(group), size):
                yield group[first : first + size]

    def _track_in_parts(self, index: int, features: Features, group: Sequence[tuple[int, Recall]]) -> dict[int, _Found]:
        """Track a group at once, or in halves where the memory of the device is not enough for that."""
        try:
            return self._track_group(index, features, group)
        except torch.OutOfMemoryError:
            if len(group) == 1:
                raise
        half = len(group) // 2
        self._objects_that_fit = min(self._objects_that_fit, half)
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()  # what is free lies in pieces
        return self._track_in_parts(index, features, group[:half]) | self._track_in_parts(index, features, group[half:])

    def _track_group(self, index: int, features: Features, group: Sequence[tuple[int, Recall]]) -> dict[int, _Found]:
        tracked = self._steps.track(features, [recall for _, recall in group], self._pointer_window)
        fused, found, filled = tracked.fused, tracked.found, tracked.filled
        for row, (number, _) in enumerate(group):
            memory = self._targets[number].memory
            memory.remember(index, tracked.maps[row], found.pointer[row])
            if (correction := self._targets[number].corrections.get(index)) is not None:
                memory.condition(
                    index, self._corrected(features, fused[row : row + 1], filled[row : row + 1], correction)
                )
        return {
            number: _Found(filled[row], found.iou[row], found.presence[row]) for row, (number, _) in enumerate(group)
        }

    def _condition(self, index: int, features: Features) -> None:
        for target in self._targets:
            if index in target.prompts:
                target.memory.condition(index, self._prompted(features, target.prompts[index]))

    def _prompted(self, features: Features, prompt: FramePrompt) -> Conditioning:
        """An object on a frame with a mask, a foreground click or a box: no memory is read; clicks refine a mask.

        A chosen candidate is the mask of the first click alone, which the others refine.
        """
        fused, so_far = self._steps.without_memory(features), None
        if prompt.mask is not None:
            given = self._steps.segment_mask(features, prompt.mask.full())
            if not prompt.points and prompt.box is None:
                return self._conditioning(features, given)
            so_far = fill_holes(given.logits).clamp(-32.0, 32.0)
        elif prompt.candidate:
            first = self._clicks(replace(prompt, points=prompt.points[:1], labels=prompt.labels[:1]))
            chosen = self._steps.segment(features, fused, first, candidate=prompt.candidate)
            if len(prompt.points) == 1:
                return self._conditioning(features, chosen)
            so_far = fill_holes(chosen.logits).clamp(-32.0, 32.0)
        return self._conditioning(features, self._steps.segment(features, fused, self._clicks(prompt), so_far))

    def _corrected(self, features: Features, fused: Tensor, logits: Tensor, correction: FramePrompt) -> Conditioning:
        """A tracked object with a correction on this frame; its mask so far guides the decoder."""
        so_far = logits.clamp(-32.0, 32.0)
        return self._conditioning(features, self._steps.segment(features, fused, self._clicks(correction), so_far))

    def _conditioning(self, features: Features, found: Segmentation) -> Conditioning:
        filled = fill_holes(found.logits)
        maps = self._steps.encode_memory(features, filled, found.presence, prompted=True)
        return Conditioning(maps[0], found.pointer[0], filled[0], found.iou[0], found.presence[0])

    def _clicks(self, prompt: FramePrompt) -> Clicks:
        height, width = frame_size(self._clip, prompt.frame_index)
        return clicks_of(prompt, width, height, self._steps)


def clicks_of(prompt: FramePrompt, width: int, height: int, steps: Steps) -> Clicks:
    """Clicks in the network's input pixels; a box comes first, as two points with the labels 2 and 3."""
    corners = [] if prompt.box is None else [prompt.box[:2], prompt.box[2:]]
    points = torch.tensor([*corners, *prompt.points], dtype=torch.float32)
    labels = torch.tensor([*range(2, 2 + len(corners)), *prompt.labels], dtype=torch.int32)
    points = points / torch.tensor([width, height]) * steps.image_size
    return Clicks(points[None].to(steps.device), labels[None].to(steps.device))
