"""CUDA graphs without CUDA: operations are written down with their very tensors and done again by `replay`.

As a real graph does, a replay reads and writes the tensors of the capture and runs no Python of what was captured.
"""

from collections.abc import Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class FakeGraph:
    """In place of `torch.cuda.CUDAGraph`."""

    made: list["FakeGraph"]

    def __init__(self) -> None:
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.replays = 0
        self.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        for operation, arguments, options, results in self.operations:
            again = operation(*arguments, **options)
            for new, captured in zip(_tensors(again), _tensors(results), strict=True):
                # else it is a view of an argument, or was written into one
                if new.untyped_storage()._cdata != captured.untyped_storage()._cdata:
                    captured.copy_(new)


def _tensors(results: Any) -> Iterator[Tensor]:
    for result in results if isinstance(results, tuple | list) else (results,):
        if isinstance(result, Tensor):
            yield result


class _Capture(TorchDispatchMode):
    """In place of `torch.cuda.graph`."""

    def __init__(self, graph: FakeGraph, pool: Any, capture_error_mode: str) -> None:
        super().__init__()
        assert pool == "pool" and capture_error_mode == "thread_local"
        self._graph = graph

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        results = operation(*arguments, **(options or {}))
        self._graph.operations.append((operation, arguments, options or {}, results))
        return results


def fake_graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Every graph that is made from now on."""
    FakeGraph.made = []
    stream = SimpleNamespace(wait_stream=lambda other: None)
    for name, fake in (
        ("Stream", lambda: stream),
        ("current_stream", lambda: stream),
        ("stream", lambda _: nullcontext()),
        ("graph_pool_handle", lambda: "pool"),
        ("CUDAGraph", FakeGraph),
        ("graph", _Capture),
    ):
        monkeypatch.setattr(torch.cuda, name, fake)
    return FakeGraph.made
