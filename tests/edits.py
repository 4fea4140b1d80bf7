"""Random edits of clicked objects, as somebody makes them who mends what he sees."""

import random
from dataclasses import dataclass, field

from sam2_cog.prompts import FramePrompt, ObjectPrompts

Click = tuple[float, float, int]
"""x, y and label."""


@dataclass
class Clicks:
    """What one object is told, by frame."""

    prompts: dict[int, list[Click]]
    corrections: dict[int, list[Click]] = field(default_factory=dict)


class Edits:
    """Objects on a clip of this size; each `edit` changes one thing."""

    def __init__(self, seed: int, width: int, height: int, frame_count: int) -> None:
        self.chance = random.Random(seed)
        self._size = width, height
        self._frame_count = frame_count
        self._objects = {name: Clicks({self._frame(): [self._click(1)]}) for name in ("red", "blue")}

    def objects(self) -> tuple[ObjectPrompts, ...]:
        """The objects as they are told now."""
        return tuple(
            ObjectPrompts(name, index, _frames(clicks.prompts), _frames(clicks.corrections))
            for index, (name, clicks) in enumerate(self._objects.items())
        )

    def edit(self) -> str:
        """Change something; returns what."""
        name, frame = self.chance.choice(list(self._objects)), self._frame()
        clicks = self._objects[name]
        kind = self.chance.choices(("correct", "prompt", "unclick", "add", "remove"), weights=(50, 15, 15, 10, 10))[0]
        if kind == "correct" and frame not in clicks.prompts:
            clicks.corrections.setdefault(frame, []).append(self._click(self.chance.randint(0, 1)))
        elif kind in ("correct", "prompt"):
            clicks.corrections.pop(frame, None)
            clicks.prompts.setdefault(frame, []).append(self._click(1))
        elif kind == "unclick" and clicks.corrections:
            del clicks.corrections[self.chance.choice(list(clicks.corrections))]
        elif kind == "remove" and len(self._objects) > 1:
            del self._objects[name]
        else:
            kind, name = "add", f"object_{self.chance.randrange(1000)}"
            self._objects[name] = Clicks({frame: [self._click(1)]})
            if len(self._objects) > 3:
                del self._objects[next(iter(self._objects))]
        return f"{kind} {name} on frame {frame}"

    def _frame(self) -> int:
        return self.chance.randrange(self._frame_count)

    def _click(self, label: int) -> Click:
        width, height = self._size
        return self.chance.uniform(0, width - 1), self.chance.uniform(0, height - 1), label


def _frames(clicks: dict[int, list[Click]]) -> tuple[FramePrompt, ...]:
    return tuple(
        FramePrompt(frame, tuple((x, y) for x, y, _ in told), tuple(label for _, _, label in told), None)
        for frame, told in sorted(clicks.items())
    )
