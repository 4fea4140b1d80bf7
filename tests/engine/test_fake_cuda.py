"""The whole tracker as on a GPU, without one: devices, types, and no wait of the host (see `tests.fake_cuda`)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_cog.engine import logits, mask_decoder, steps, tracker
from sam2_cog.engine.steps import Steps
from sam2_cog.engine.tracker import Tracker
from sam2_cog.masks import ObjectMask
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.fake_cuda import fake_cuda_model
from tests.fake_graphs import FakeGraph, fake_graphs
from tests.scenarios import MemoryClip, moving_blocks

WIDTH, HEIGHT = 96, 64


@pytest.fixture(autouse=True)
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Every graph that is made."""
    return fake_graphs(monkeypatch)


def prompted(index: int, *prompts: FramePrompt, corrections: tuple[FramePrompt, ...] = ()) -> ObjectPrompts:
    return ObjectPrompts(f"object_{index}", index, prompts, corrections)


def click(frame: int, label: int = 1) -> FramePrompt:
    return FramePrompt(frame, ((20.0, 30.0),), (label,), None)


EVERY_KIND = (
    prompted(0, click(2)),
    prompted(1, FramePrompt(2, (), (), (5.0, 5.0, 50.0, 40.0))),
    prompted(2, FramePrompt(4, ((20.0, 30.0), (40.0, 50.0)), (1, 0), (5.0, 5.0, 50.0, 40.0))),
    prompted(3, FramePrompt(2, (), (), None, ObjectMask.of(np.ones((HEIGHT, WIDTH), bool)))),
    prompted(4, click(2), click(4), corrections=(click(1, 0), click(5, 0))),
)


def run(name: str, objects: tuple[ObjectPrompts, ...], frames: int, propagation: str = "both") -> int:
    """How many frames come out."""
    clip: MemoryClip = moving_blocks(0, frames, WIDTH, HEIGHT)
    with fake_cuda_model(name) as model:
        assert model.device.type == "cuda" and model.dtype == torch.bfloat16
        return sum(len(masks.objects) == len(objects) for _, masks in Tracker(model).track(clip, objects, propagation))


@pytest.mark.parametrize("propagation", ["both", "forward"])
def test_every_kind_of_prompt_runs_on_the_device(propagation: str) -> None:
    objects = EVERY_KIND if propagation == "both" else EVERY_KIND[:3]
    assert run("demo", objects, 6, propagation) == 6


def test_sixteen_objects_and_one_more_run_on_the_device() -> None:
    assert run("demo", tuple(prompted(index, click(0)) for index in range(17)), 2) == 2


def test_an_official_size_runs_on_the_device() -> None:
    assert run("tiny", (prompted(0, click(1)),), 3) == 3


def test_what_is_captured_runs_on_the_device(graphs: list[FakeGraph]) -> None:
    assert run("demo", (prompted(0, click(0)), prompted(1, click(0))), 20) == 20
    # the prompt frame and 19 more through the encoder, and the steady step from frame 16 on
    assert [graph.replays for graph in graphs] == [20, 4]


def test_without_graphs_the_same_runs_on_the_device(monkeypatch: pytest.MonkeyPatch, graphs: list[FakeGraph]) -> None:
    monkeypatch.setenv("SAM2_CUDA_GRAPHS", "0")
    assert run("demo", (prompted(0, click(0)), prompted(1, click(0))), 20) == 20 and not graphs


def on_the_host(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *arguments, **options: real(*arguments, **options).cpu()


def in_another_type(real: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *arguments, **options: real(*arguments, **options).double()


def waiting_for_the_device(real: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(region: Tensor, *arguments: Any) -> Tensor:
        return real(region, *arguments) if region.any().item() else region

    return faulty


def copying_to_the_host(real: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(values: Tensor, *arguments: Any, **options: Any) -> Any:
        values.cpu()
        return real(values, *arguments, **options)

    return faulty


def copying_from_the_host(real: Callable[..., Any]) -> Callable[..., Any]:
    def faulty(self: Steps, distances: tuple[int, ...], scale: int) -> Any:
        torch.tensor(distances).to(self.device, non_blocking=True)
        return real(self, distances, scale)

    return faulty


def deciding_on_the_host(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda logits, *size: real(logits, *size) if bool((logits > 0).any()) else None


def with_an_index_on_the_host(real: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, candidates, *number: real(
        self, replace(candidates, ious=candidates.ious[torch.arange(1)]), *number
    )


@pytest.mark.parametrize(
    ("module", "name", "fault"),
    [
        (steps, "fill_holes", on_the_host),
        (steps, "fill_holes", copying_to_the_host),
        (tracker, "cut", deciding_on_the_host),
        (Steps, "_pointer_positions", copying_from_the_host),
        (Steps, "_choose", with_an_index_on_the_host),
        (mask_decoder, "_upscale", in_another_type),
        (logits, "small_components", waiting_for_the_device),
    ],
)
def test_a_planted_fault_is_found(module: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, fault(getattr(module, name)))
    with pytest.raises((RuntimeError, AssertionError)):
        run("demo", EVERY_KIND[:1], 5)
