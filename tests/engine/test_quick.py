"""What is asked for and cannot be had; capture on a stand-in for CUDA. The compiler is tried in integrations/."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_cog.engine import logits
from sam2_cog.engine.model import LoadedModel, build_network, place_network
from sam2_cog.engine.quick import (
    _WARM_UPS,
    IDLE_CALLS,
    MOST_GRAPHS,
    _Captured,
    _Quick,
    captured,
    compiled,
)
from sam2_cog.engine.steps import Steps
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.fake_graphs import fake_graphs
from tests.scenarios import moving_blocks

STEADY_FRAME = 16
"""With a prompt on frame 0, from here on every frame reads as much."""


def masks(model: LoadedModel, frames: int = 8) -> np.ndarray:
    """(objects, frames, H, W) bool of a short clip with two objects, the second of which is corrected."""
    places = ((40.0, 30.0), (70.0, 20.0))
    corrections = ((), (FramePrompt(STEADY_FRAME + 2, (places[1],), (0,), None),))
    objects = [
        ObjectPrompts(str(i), i, (FramePrompt(0, (at,), (1,), None),), corrections[i] if frames > 8 else ())
        for i, at in enumerate(places)
    ]
    clip = moving_blocks(2, frames, 96, 64)
    return np.stack([found.array() for _, found in Tracker(model).track(clip, objects)], axis=1)


def test_graphs_are_made_where_there_is_cuda_and_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Steps._step
    assert compiled("step", step) is step and captured("step", step, torch.device("cpu")) is step
    assert isinstance(captured("step", step, torch.device("cuda")), _Quick)
    monkeypatch.setenv("SAM2_CUDA_GRAPHS", "0")
    assert captured("step", step, torch.device("cuda")) is step


def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_COMPILE", "yes")
    with pytest.raises(InvalidRequest, match=r"^SAM2_COMPILE: 'yes' is neither 0 nor 1$"):
        place_network("demo", build_network("demo"), "cpu")


def test_what_fails_is_said_once_and_done_the_plain_way(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def failing(pixels: Tensor) -> list[Tensor]:
        calls.append(len(pixels))
        raise RuntimeError("no compiler\nand a long story")

    add = _Quick("the sum cannot be compiled", lambda pixels: [pixels + 1], failing)
    for _ in range(3):
        assert torch.equal(add(torch.zeros(1, 4))[0], torch.ones(1, 4))
    assert calls == [1]
    assert caplog.messages == ["the sum cannot be compiled and runs as it is: no compiler"]


def test_too_little_memory_is_no_reason_to_give_up(caplog: pytest.LogCaptureFixture) -> None:
    def full(pixels: Tensor) -> list[Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    encode = _Quick("", lambda pixels: pytest.fail("done the plain way"), full)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            encode(torch.zeros(1, 3, 4, 4))
    assert not caplog.messages


@torch.inference_mode()
def test_a_graph_is_made_once_for_a_shape_and_its_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs, calls = fake_graphs(monkeypatch), []

    def doubled(given: Tensor) -> list[Tensor]:
        calls.append(given)
        return [given.view(-1) * 2]

    quick = _Captured(doubled)
    found = [quick(torch.full((1, 2), float(value)))[0] for value in (1, 5, 3)]
    assert [one.tolist() for one in found] == [[2, 2], [10, 10], [6, 6]]
    assert len(calls) == _WARM_UPS + 1 and all(given is calls[0] for given in calls), "at one address"
    assert [graph.replays for graph in graphs] == [3]


@torch.inference_mode()
def test_more_shapes_than_there_may_be_graphs_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = fake_graphs(monkeypatch)
    quick = _Captured(lambda given: [given + 1])
    for _ in range(2):
        for size in range(1, MOST_GRAPHS + 3):
            assert torch.equal(quick(torch.zeros(size))[0], torch.ones(size))
    assert [graph.replays for graph in graphs] == [2] * MOST_GRAPHS


@torch.inference_mode()
def test_a_graph_that_is_not_used_for_long_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = fake_graphs(monkeypatch)
    quick = _Captured(lambda given: [given + 1])
    for size in range(1, MOST_GRAPHS + 1):
        quick(torch.zeros(size))
    for _ in range(IDLE_CALLS):
        quick(torch.zeros(1))
    for _ in range(2):  # the first of them in place of that for 2, which is asked for no more
        assert torch.equal(quick(torch.zeros(99))[0], torch.ones(99))
    assert len(graphs) == MOST_GRAPHS + 1 and graphs[-1].replays == 2
    assert len(quick._graphs) == MOST_GRAPHS and (torch.Size([2]),) not in quick._graphs


def test_the_captured_step_gives_the_same_masks(demo_model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two objects in one graph, and in another one once they read frames that are not equally far away."""
    expected = masks(demo_model, STEADY_FRAME + 8)
    graphs = fake_graphs(monkeypatch)
    # OpenCV, which does it on a CPU, is no operation on tensors
    monkeypatch.setattr(logits, "small_components", logits._found_by_pooling)
    step = demo_model.steps._steady_step
    monkeypatch.setattr(demo_model.steps, "_steady_step", _Captured(step))
    assert np.array_equal(masks(demo_model, STEADY_FRAME + 8), expected)
    assert [graph.replays for graph in graphs] == [3, 5]


def test_a_step_that_cannot_be_captured_runs_as_it_is(
    demo_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = masks(demo_model, STEADY_FRAME + 2)
    fake_graphs(monkeypatch)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    step = captured("tracking step", demo_model.steps._steady_step, torch.device("cuda"))
    monkeypatch.setattr(demo_model.steps, "_steady_step", step)
    assert np.array_equal(masks(demo_model, STEADY_FRAME + 2), expected)
    why = "operation not permitted when stream is capturing"
    assert caplog.messages == [f"the tracking step cannot be captured and runs as it is: {why}"]
