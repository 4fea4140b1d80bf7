"""The order in which a run visits the frames of a clip: back from the first prompt, then forward to the end."""

from collections.abc import Sequence
from dataclasses import dataclass

from sam2_cog.prompts import ObjectPrompts, prompt_frames


@dataclass(frozen=True)
class Passes:
    """Both passes as one row of steps, counted from 0; the first prompt frame, `start`, is visited in each of them.

    What a step finds depends only on the prompts and on the steps before it. Two runs with the same passes therefore
    agree up to the first step whose correction differs.
    """

    start: int
    frame_count: int
    backward: bool
    """Whether the frames before the start are tracked."""

    @classmethod
    def of(cls, objects: Sequence[ObjectPrompts], frame_count: int, propagation: str) -> "Passes":
        """The passes over a clip for all these objects together; propagation: `both` or `forward`."""
        start = prompt_frames(objects)[0]
        return cls(start, frame_count, backward=propagation == "both" and start > 0)

    @property
    def turn(self) -> int:
        """The step at which the forward pass begins."""
        return self.start + 1 if self.backward else 0

    def __len__(self) -> int:
        return self.turn + self.frame_count - self.start

    def visit(self, step: int) -> tuple[int, bool]:
        """The frame of a step, and whether it is visited in reverse."""
        reverse = step < self.turn
        return (self.start - step if reverse else self.start + step - self.turn), reverse

    def first(self, frame: int) -> int:
        """The step at which a frame is reached first, where its correction counts; `len(self)` if it never is."""
        return 0 if frame == self.start else self.last(frame)

    def last(self, frame: int) -> int:
        """The step that finds a frame's masks for good; `len(self)` if none does."""
        if frame >= self.start:
            return self.turn + frame - self.start
        return self.start - frame if self.backward else len(self)

    def unsettled(self, step: int) -> int:
        """The lowest frame whose masks are still to be found when `step` comes next."""
        return 0 if step < self.turn else self.start + step - self.turn

    def frames_from(self, step: int) -> int:
        """How many frames get their masks from this step on."""
        return len(self) - max(step, min(self.turn, 1))

    def remembered(self, step: int, window: int) -> dict[int, int]:
        """The tracked frames that a run may still read at a step, each with the step that found what is read of it.

        window: how many frames away the farthest is. While going back, the frames next to the start count, too: the
        forward pass reads them.
        """
        frame, reverse = self.visit(step)
        if reverse:
            steps = {*range(max(0, step - window), step), *range(min(step, window + 1))}
            return {self.start - earlier: earlier for earlier in steps}
        return {near: self.last(near) for near in range(max(0, frame - window), frame) if self.last(near) < len(self)}
