"""What lists and files become alike: one click, box or mask of an object on a frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sam2_cog.reading.click_lists import Box, Point

if TYPE_CHECKING:
    from sam2_cog.masks import ObjectMask


@dataclass(frozen=True)
class Entry:
    """One thing that a request says of an object on a frame: a click, a box or a mask.

    One of `point`, `box` and `mask` is given. input, called: how a refusal names it, `click_coordinates: point 3 ...`.
    """

    input: str
    called: str
    frame: int
    name: str
    label: int = 1
    correction: int = 0
    point: Point | None = None
    box: Box | None = None
    mask: "ObjectMask | None" = None
    candidate: int = 0

    @property
    def starts_anew(self) -> bool:
        """Whether this click, box or mask makes its frame a prompt."""
        return bool(self.label) and not self.correction
