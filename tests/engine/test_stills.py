"""Objects on separate images: what is found on one is what a clip of it alone gives, and is found once."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from sam2_cog.engine.model import LoadedModel
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.stills import ABSENT_LOGIT, Stills, find_on_image
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.media.video import Frame
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.clips import numbered_frames

SIZES = ((48, 64), (80, 48))  # (height, width)


@dataclass(frozen=True)
class Pictures:
    """Images as a tracker reads them; `read_from` is told each that is read."""

    images: tuple[np.ndarray, ...]
    read_from: list[int]

    @property
    def width(self) -> int:
        return max(image.shape[1] for image in self.images)

    @property
    def height(self) -> int:
        return max(image.shape[0] for image in self.images)

    @property
    def frame_count(self) -> int:
        return len(self.images)

    def size(self, index: int) -> tuple[int, int]:
        height, width = self.images[index].shape[:2]
        return height, width

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        for index in range(len(self.images))[start:stop]:
            self.read_from.append(index)
            yield Frame(index, 0.0, self.images[index])

    def pick(self, indices: Sequence[int]) -> Generator[Frame, None, None]:
        for index in indices:
            yield from self.read(index, index + 1)


def click(number: int, x: float, y: float) -> FramePrompt:
    return FramePrompt(number, ((x, y),), (1,), None)


RED = ObjectPrompts("red", 0, (click(0, 20, 20), click(1, 10, 60)), ())
BLUE = ObjectPrompts("blue", 1, (click(1, 30, 30),), ())
PASSES = Passes.of([RED, BLUE], 2, "both")


@pytest.fixture
def pictures() -> Pictures:
    return Pictures(tuple(numbered_frames(1, width, height)[0] for height, width in SIZES), [])


@pytest.fixture
def stills(small_model: LoadedModel, pictures: Pictures) -> Iterator[Stills]:
    opened = Stills(small_model, pictures)
    yield opened
    opened.close()


def test_an_image_is_as_a_clip_of_it_alone(small_model: LoadedModel, pictures: Pictures, stills: Stills) -> None:
    tracks = stills.begin([RED, BLUE], PASSES)
    assert not tracks.complete
    found = {masks.frame_index: masks for masks in stills.advance(tracks)}
    assert tracks.complete and tracks.has_logits and sorted(found) == [0, 1]
    for number, image in enumerate(pictures.images):
        told = [
            ObjectPrompts(one.name, place, (click(0, *prompt.points[0]),), ())
            for place, one in enumerate((RED, BLUE))
            for prompt in one.prompts
            if prompt.frame_index == number
        ]
        ((_, alone),) = Tracker(small_model).track(Pictures((image,), []), told, soft=True)
        soft = stills.masks(tracks, number, soft=True)
        assert soft is not None and soft.soft is not None and alone.soft is not None
        asked = [0] if number == 0 else [0, 1]
        assert [found[number].objects[index] for index in asked] == list(alone.objects)
        assert np.array_equal(soft.soft[asked], alone.soft) and np.array_equal(soft.scores[asked], alone.scores)
        again = find_on_image(small_model, pictures, number, small_model.encode(image), [RED, BLUE], soft=True)
        assert again.objects == soft.objects and np.array_equal(again.soft, soft.soft)
    assert not found[0].objects[1].area and found[0].objects[1].size == SIZES[0]
    assert soft.soft.shape[0] == 2
    first = stills.masks(tracks, 0, soft=True)
    assert first is not None and first.soft is not None and (first.soft[1] == ABSENT_LOGIT).all()


def test_each_prompt_is_found_once(small_model: LoadedModel, pictures: Pictures, stills: Stills) -> None:
    assert (
        stills.stale([RED, BLUE], PASSES) == {"red": 0, "blue": 1} and stills.frames_to_track([RED, BLUE], PASSES) == 2
    )
    seen = stills.preview(RED, PASSES, 1, lambda number: small_model.encode(pictures.images[number]))
    assert stills.stale([RED], PASSES) == {"red": 0}
    assert stills.masks(stills.begin([BLUE], PASSES), 1) is None
    list(stills.advance(stills.begin([RED, BLUE], PASSES)))
    assert pictures.read_from == [0, 1]
    found = stills.masks(stills.begin([RED], PASSES), 1)
    assert found is not None and found.objects == seen.objects
    renamed = ObjectPrompts("green", 0, RED.prompts, ())
    assert stills.stale([renamed], PASSES) == {} and list(stills.advance(stills.begin([renamed], PASSES))) == []
    assert not stills.preview(BLUE, PASSES, 0, lambda _: pytest.fail("not asked for there")).objects[0].area


def test_what_is_closed_refuses(stills: Stills) -> None:
    tracks = stills.begin([RED], PASSES)
    stills.close()
    for call in (lambda: list(stills.advance(tracks)), lambda: stills.masks(tracks, 0)):
        with pytest.raises(InvalidRequest, match="closed, open it again"):
            call()
