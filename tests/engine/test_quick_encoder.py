"""The compiled encoder against the plain one; what is asked for and cannot be had; capture on a stand-in for CUDA."""

import logging
import shutil
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sam2_cog.engine import quick_encoder
from sam2_cog.engine.model import LoadedModel, build_network, load_model, place_network
from sam2_cog.engine.quick_encoder import _Captured, _Quick
from sam2_cog.engine.tracker import Tracker
from sam2_cog.errors import InvalidRequest
from sam2_cog.prompts import FramePrompt, ObjectPrompts
from tests.scenarios import moving_blocks

LEAST_IOU = 0.999


def masks(model: LoadedModel) -> np.ndarray:
    """(objects, frames, H, W) bool of a short clip with two objects."""
    places = ((40.0, 30.0), (70.0, 20.0))
    objects = [ObjectPrompts(str(i), i, (FramePrompt(i, (at,), (1,), None),), ()) for i, at in enumerate(places)]
    clip = moving_blocks(2, 8, 96, 64)
    return np.stack([found.array() for _, found in Tracker(model).track(clip, objects)], axis=1)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="compiling needs a C++ compiler")
def test_compiled_masks_are_nearly_the_same(
    demo_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SAM2_COMPILE", "1")
    compiled = load_model("demo", device="cpu")
    for found, expected in zip(masks(compiled), masks(demo_model), strict=True):
        assert expected.any() and (found & expected).sum() / (found | expected).sum() >= LEAST_IOU
    quick = compiled.network.image_encoder.forward
    assert isinstance(quick, _Quick) and quick._quick is not None, caplog.text


def test_nothing_is_changed_unless_it_is_asked_for(demo_model: LoadedModel) -> None:
    assert "forward" not in vars(demo_model.network.image_encoder)


def test_a_switch_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_COMPILE", "yes")
    with pytest.raises(InvalidRequest, match=r"^SAM2_COMPILE: 'yes' is neither 0 nor 1$"):
        place_network("demo", build_network("demo"), "cpu")


def test_graphs_without_cuda_are_said_in_one_sentence_and_the_masks_are_the_same(
    demo_model: LoadedModel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SAM2_CUDA_GRAPHS", "1")
    model = load_model("demo", device="cpu")
    assert np.array_equal(masks(model), masks(demo_model))
    assert caplog.messages == ["SAM2_CUDA_GRAPHS: there is no CUDA device here, so nothing is captured"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_fails_is_said_once_and_done_the_plain_way(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    def failing(pixels: Tensor) -> list[Tensor]:
        calls.append(len(pixels))
        raise RuntimeError("no compiler\nand a long story")

    encode = _Quick(lambda pixels: {"backbone_fpn": [pixels + 1]}, failing)
    for _ in range(3):
        assert torch.equal(encode(torch.zeros(1, 3, 4, 4))["backbone_fpn"][0], torch.ones(1, 3, 4, 4))
    assert calls == [1]
    assert caplog.messages == ["the image encoder cannot be compiled or captured and runs as it is: no compiler"]


def test_too_little_memory_is_no_reason_to_give_up(caplog: pytest.LogCaptureFixture) -> None:
    def full(pixels: Tensor) -> list[Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    encode = _Quick(lambda pixels: pytest.fail("done the plain way"), full)
    for _ in range(2):
        with pytest.raises(torch.OutOfMemoryError):
            encode(torch.zeros(1, 3, 4, 4))
    assert not caplog.messages


@pytest.mark.parametrize(("frames", "encoded"), [(1, 1), (2, 2), (3, 4), (4, 4)])
def test_few_numbers_of_frames_are_compiled(frames: int, encoded: int) -> None:
    seen: list[int] = []
    encode = _Quick(lambda pixels: None, lambda pixels: (seen.append(len(pixels)), [pixels * 2])[1])  # type: ignore[func-returns-value]
    pixels = torch.rand(frames, 3, 4, 4)
    assert torch.equal(encode(pixels)["backbone_fpn"][0], pixels * 2) and seen == [encoded]


class FakeGraph:
    """In place of a CUDA graph: replays by calling what was recorded."""

    def __init__(self) -> None:
        self.replay: Any = None


def test_a_capture_is_made_once_for_a_shape_and_its_results_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Tensor] = []

    def double(given: Tensor) -> list[Tensor]:
        calls.append(given)
        return [given * 2]

    def capture(graph: FakeGraph, capture_error_mode: str) -> nullcontext[None]:
        assert capture_error_mode == "thread_local"
        graph.replay = lambda: captured._graphs[calls[-1].shape][2][0].copy_(captured._graphs[calls[-1].shape][1] * 2)
        return nullcontext()

    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in (
        ("Stream", lambda: stream),
        ("current_stream", lambda: stream),
        ("stream", lambda _: nullcontext()),
        ("CUDAGraph", FakeGraph),
        ("graph", capture),
    ):
        monkeypatch.setattr(torch.cuda, name, fake)
    captured = _Captured(double)
    first, second = captured(torch.full((1, 2), 1.0))[0], captured(torch.full((1, 2), 5.0))[0]
    assert first.tolist() == [[2, 2]] and second.tolist() == [[10, 10]]
    assert len(calls) == quick_encoder._WARM_UPS + 1
