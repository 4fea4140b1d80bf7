"""The tracker against the official predictor, and what it promises beside: order, memory, cancel."""

import gc
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from io import BytesIO

import numpy as np
import pytest
import torch

from sam2_cog.engine import tracker as module
from sam2_cog.engine.model import LoadedModel, build_network, cast_products, place_network
from sam2_cog.engine.passes import Passes
from sam2_cog.engine.tracker import Run, Tracker
from sam2_cog.masks import ObjectMask
from sam2_cog.media.video import Frame
from sam2_cog.prompts import Box, FramePrompt, ObjectPrompts, Point
from tests.official import official_logits, official_predictor
from tests.scenarios import MemoryClip, Scenario, compare, moving_blocks, our_logits, random_scenario


@pytest.fixture(scope="module")
def demo(demo_model: LoadedModel) -> LoadedModel:
    return demo_model


@pytest.fixture(scope="module")
def tiny() -> LoadedModel:
    return place_network("tiny", build_network("tiny", image_size=256), "cpu")


def click(frame: int, *points: tuple[float, float], label: int = 1) -> FramePrompt:
    return FramePrompt(frame, points, (label,) * len(points), None)


def target(index: int, *prompts: FramePrompt, corrections: tuple[FramePrompt, ...] = ()) -> ObjectPrompts:
    return ObjectPrompts(f"object_{index}", index, prompts, corrections)


@pytest.mark.parametrize("seed", range(6))
def test_random_jobs_give_the_official_masks_to_the_bit(demo: LoadedModel, seed: int) -> None:
    difference = compare(
        demo, official_predictor("demo", demo.network), random_scenario(seed, frames=(5, 18), objects=3)
    )
    assert difference.pixels == 0 and difference.logits == 0


@pytest.mark.parametrize("seed", [101])
def test_random_jobs_with_the_official_sizes_do_too(tiny: LoadedModel, seed: int) -> None:
    difference = compare(
        tiny, official_predictor("tiny", tiny.network), random_scenario(seed, frames=(5, 8), objects=2)
    )
    assert difference.pixels == 0 and difference.logits == 0


def test_in_bfloat16_every_value_has_the_official_type(demo: LoadedModel) -> None:
    """A GPU runs in bfloat16 autocast; on the CPU it shows, for one object, that no step rounds more or less often,
    although the weights of its products are rounded beforehand."""
    scenario = random_scenario(4, frames=(5, 18), objects=1)
    network = deepcopy(demo.network)
    cast_products(network)
    model = replace(demo, network=network, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        official = official_logits(
            official_predictor("demo", demo.network), scenario.clip.images, scenario.objects, scenario.propagation
        )
    _, found = our_logits(model, scenario)
    assert all(torch.equal(found[index], official[index]) for index in official)


def test_a_correction_on_the_first_the_last_and_the_start_frame(demo: LoadedModel) -> None:
    clip = moving_blocks(7, 12, 96, 64)
    objects = (
        target(0, click(5, (40, 30)), corrections=(click(0, (10, 10), label=0), click(11, (60, 20), (5, 5), label=0))),
        target(1, click(8, (70, 40)), corrections=(click(5, (20, 20), label=0),)),
    )
    difference = compare(demo, official_predictor("demo", demo.network), Scenario(clip, objects, "both"))
    assert difference.pixels == 0 and difference.logits == 0


@pytest.mark.parametrize("labels", [(1,), (1, 1), (1, 0)])
def test_a_foreground_correction_is_the_official_click_on_a_tracked_frame(
    demo: LoadedModel, labels: tuple[int, ...]
) -> None:
    clip = moving_blocks(7, 10, 96, 64)
    mended = tuple(FramePrompt(frame, ((45, 32), (60, 20))[: len(labels)], labels, None) for frame in (2, 8))
    objects = (target(0, click(5, (40, 30)), corrections=mended), target(1, click(7, (70, 40))))
    difference = compare(demo, official_predictor("demo", demo.network), Scenario(clip, objects, "both"))
    assert difference.pixels == 0 and difference.logits == 0


def test_a_correction_changes_something_from_its_frame_on_and_nothing_before(demo: LoadedModel) -> None:
    clip = moving_blocks(7, 10, 96, 64)
    plain, mended = (
        [masks.array() for _, masks in Tracker(demo).track(clip, (target(0, click(0, (40, 30)), corrections=added),))]
        for added in ((), (click(6, (80, 10)),))
    )
    equal = [np.array_equal(*pair) for pair in zip(plain, mended, strict=True)]
    assert equal[:6] == [True] * 6 and not equal[6]


@pytest.mark.parametrize(
    ("points", "labels", "box"),
    [
        ((), (), None),
        (((75.0, 30.0),), (1,), None),
        (((35.0, 24.0),), (0,), None),
        (((75.0, 30.0), (35.0, 24.0)), (1, 0), (25.0, 16.0, 80.0, 50.0)),
    ],
)
def test_a_mask_as_the_prompt_is_the_official_add_new_mask_and_clicks_refine_it(
    demo: LoadedModel, points: tuple[Point, ...], labels: tuple[int, ...], box: Box | None
) -> None:
    clip = moving_blocks(3, 8, 96, 64)
    mask = np.zeros((64, 96), bool)
    mask[20:44, 30:70] = True
    given = FramePrompt(3, points, labels, box, ObjectMask.of(mask))
    objects = (target(0, given, corrections=(click(6, (20, 20), label=0),)), target(1, click(0, (70, 40))))
    difference = compare(demo, official_predictor("demo", demo.network), Scenario(clip, objects, "both"))
    assert difference.pixels == 0 and difference.logits == 0


def test_more_objects_than_run_at_once_give_the_same_masks(demo: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = moving_blocks(1, 5, 96, 64)
    objects = tuple(target(index, click(index % 3, (10.0 + 12 * index, 30))) for index in range(7))
    whole = [masks.objects for _, masks in Tracker(demo).track(clip, objects)]
    monkeypatch.setattr(module, "MAX_OBJECTS_AT_ONCE", 2)
    for expected, (_, found) in zip(whole, Tracker(demo).track(clip, objects), strict=True):
        assert found.objects == expected


@pytest.mark.parametrize("window", [1, 3, 32])
def test_the_backward_window_changes_nothing(demo: LoadedModel, monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    clip = moving_blocks(2, 12, 96, 64)
    objects = (target(0, click(10, (40, 30))),)
    official = official_logits(official_predictor("demo", demo.network), clip.images, objects, "both")
    monkeypatch.setattr(module, "BACKWARD_WINDOW", window)
    for frame, found in Tracker(demo).track(clip, objects):
        assert np.array_equal(found.array(), (official[frame.index] > 0).numpy())


@pytest.fixture
def one_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU: a frame is launched before the masks of the one before are waited for."""
    monkeypatch.setitem(module._FRAMES_BEHIND, "cpu", 1)


@pytest.mark.parametrize("propagation", ["both", "forward"])
def test_waiting_a_frame_later_changes_nothing(
    small_model: LoadedModel, propagation: str, request: pytest.FixtureRequest
) -> None:
    clip = moving_blocks(2, 11, 96, 64)
    objects = (target(0, click(4, (40, 30)), corrections=(click(7, (10, 10), label=0),)), target(1, click(5, (70, 20))))
    at_once = list(Tracker(small_model).track(clip, objects, propagation, soft=True))
    request.getfixturevalue("one_behind")
    later = list(Tracker(small_model).track(clip, objects, propagation, soft=True))
    for (frame, expected), (same, found) in zip(at_once, later, strict=True):
        assert frame.index == same.index == found.frame_index and frame.image is same.image
        assert found.objects == expected.objects and np.array_equal(found.scores, expected.scores)
        assert (frame.index < 4 and propagation == "forward") == (expected.soft is None) == (found.soft is None)
        if expected.soft is not None and found.soft is not None:
            assert np.array_equal(expected.soft, found.soft)


@pytest.mark.usefixtures("one_behind")
def test_the_next_frame_is_launched_before_masks_are_waited_for(
    small_model: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real = module.on_its_way

    def recorded(tensor: torch.Tensor) -> object:
        number, wait = sum(event.startswith("launched") for event in events), real(tensor)
        events.append(f"launched {number}")

        def waited() -> np.ndarray:
            events.append(f"waited for {number}")
            return wait()

        return waited

    monkeypatch.setattr(module, "on_its_way", recorded)
    list(Tracker(small_model).track(moving_blocks(2, 3, 96, 64), (target(0, click(0, (40, 30))),)))
    assert events == ["launched 0", "launched 1", "waited for 0", "launched 2", "waited for 1", "waited for 2"]


@pytest.mark.usefixtures("one_behind")
def test_a_cancel_does_not_wait_for_what_was_launched(small_model: LoadedModel) -> None:
    clip = CountingClip(moving_blocks(6, 30, 96, 64).images)
    tracked = Tracker(small_model).track(clip, (target(0, click(0, (40, 30))),))
    assert [next(tracked)[1].frame_index for _ in range(3)] == [0, 1, 2]
    tracked.close()
    assert clip.open == [] and len(clip.reads) == 1 + 4 + module.RESIZED_AHEAD


@pytest.mark.usefixtures("one_behind")
def test_an_error_passes_through(small_model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Run._track_group

    def broken(self: Run, index: int, features: object, group: list[object]) -> object:
        if index == 3:
            raise RuntimeError("the device is gone")
        return whole(self, index, features, group)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "_track_group", broken)
    found = []
    with pytest.raises(RuntimeError, match="the device is gone"):
        for frame, _ in Tracker(small_model).track(moving_blocks(6, 9, 96, 64), (target(0, click(0, (40, 30))),)):
            found.append(frame.index)
    assert found == [0, 1]


def test_forward_leaves_the_frames_before_the_first_prompt_empty(demo: LoadedModel) -> None:
    clip = moving_blocks(4, 8, 96, 64)
    found = list(Tracker(demo).track(clip, (target(0, click(5, (40, 30))),), "forward"))
    assert [frame.index for frame, _ in found] == list(range(8))
    assert all(not masks.array().any() and not masks.scores.any() for _, masks in found[:5])
    assert all(np.array_equal(frame.image, clip.images[frame.index]) for frame, _ in found)


def test_a_clip_of_one_frame(demo: LoadedModel) -> None:
    clip = moving_blocks(4, 1, 65, 49)
    ((frame, masks),) = Tracker(demo).track(clip, (target(0, click(0, (40, 30))),))
    assert frame.index == 0 and masks.array().shape == (1, 49, 65) and masks.scores.shape == (1,)


@pytest.mark.parametrize("step", [1, 7, 9, 10, 20])
def test_a_run_goes_on_from_the_state_of_another(small_model: LoadedModel, step: int) -> None:
    """Written to a file and read again, in either pass and between the two: a lost machine's work goes on elsewhere."""
    clip = moving_blocks(4, 24, 96, 64)
    objects = (
        target(0, click(8, (40, 30)), corrections=(click(3, (10, 10), label=0), click(18, (60, 20)))),
        target(1, click(11, (70, 40))),
    )
    passes = Passes.of(objects, clip.frame_count, "both")
    with ThreadPoolExecutor(1) as resizers:
        run = Run(small_model, clip, objects, passes, resizers)
        run.condition()
        rest = run.rest()
        for _ in range(step):
            next(rest)
        file = BytesIO()
        torch.save(run.state, file)
        file.seek(0)
        state = torch.load(file, weights_only=False)
        assert state.step == step
        again = Run(small_model, clip, objects, passes, resizers, state)
        for expected, found in zip(rest, again.rest(), strict=True):
            assert found.objects == expected.objects and np.array_equal(found.scores, expected.scores)


def test_scores_are_between_0_and_1(demo: LoadedModel) -> None:
    clip = moving_blocks(5, 6, 96, 64)
    for _, masks in Tracker(demo).track(clip, (target(0, click(0, (40, 30))), target(1, click(2, (20, 50))))):
        assert masks.scores.dtype == np.float32 and ((masks.scores >= 0) & (masks.scores <= 1)).all()


@dataclass(frozen=True)
class CountingClip(MemoryClip):
    """Counts what is read of it and what is open."""

    reads: list[tuple[int, int]] = field(default_factory=list)
    open: list[int] = field(default_factory=list)

    def read(self, start: int = 0, stop: int | None = None) -> Generator[Frame, None, None]:
        self.open.append(start)
        try:
            for frame in super().read(start, stop):
                self.reads.append((start, frame.index))
                yield frame
        finally:
            self.open.remove(start)


def test_closing_between_two_frames_stops_at_once(demo: LoadedModel) -> None:
    clip = CountingClip(moving_blocks(6, 30, 96, 64).images)
    tracked = Tracker(demo).track(clip, (target(0, click(0, (40, 30))),))
    for _ in range(3):
        next(tracked)
    assert clip.open == [0]
    tracked.close()
    assert clip.open == [] and len(clip.reads) == 1 + 3 + module.RESIZED_AHEAD  # the prompt, three, and what is ahead


def test_nothing_is_held_after_the_last_frame(demo: LoadedModel) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(isinstance(thing, torch.Tensor) for thing in gc.get_objects())

    clip, objects = moving_blocks(6, 5, 96, 64), (target(0, click(2, (40, 30))),)
    list(Tracker(demo).track(clip, objects))
    before = tensors()
    list(Tracker(demo).track(clip, objects))
    assert tensors() <= before


def test_the_callers_thread_keeps_its_modes(demo: LoadedModel) -> None:
    clip = moving_blocks(6, 4, 96, 64)
    for _ in Tracker(demo).track(clip, (target(0, click(2, (40, 30))),)):
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")


def test_where_the_device_has_too_little_memory_objects_run_in_smaller_groups(
    demo: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for a device with room for two objects; the masks are those of one that has room for all."""
    clip, sizes = moving_blocks(0, 4, 96, 64), list[int]()
    objects = [target(number, click(0, (10 + 12 * number, 30))) for number in range(5)]
    expected = [masks for _, masks in Tracker(demo).track(clip, objects)]
    whole = Run._track_group

    def with_room_for_two(self: Run, index: int, features: object, group: list[object]) -> object:
        sizes.append(len(group))
        if len(group) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, index, features, group)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "_track_group", with_room_for_two)
    found = [masks for _, masks in Tracker(demo).track(clip, objects)]
    assert all(np.array_equal(a.array(), b.array()) for a, b in zip(found, expected, strict=True))
    assert max(sizes) > 2 and max(sizes[4:]) <= 2  # tried once, and not again on every frame

    def without_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Run, "_track_group", without_room)
    with pytest.raises(torch.OutOfMemoryError):
        list(Tracker(demo).track(clip, objects))
