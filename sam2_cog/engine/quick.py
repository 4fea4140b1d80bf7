"""Parts of the network as CUDA graphs or compiled; as they are wherever that fails.

Graphs are on where there is CUDA: they run the very same kernels, and `large` was host-bound without them on an H100.
Compiling is off unless asked for: it changes the last bits of the masks and takes its time before it gains any
(benchmarks/README.md has both).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sam2_cog.limits import COMPILE, CUDA_GRAPHS

logger = logging.getLogger(__name__)

Function = Callable[..., Sequence[Tensor]]
"""Of tensors alone, without a state; what it does follows from their shapes and types."""

MOST_GRAPHS = 8
"""Graphs of one function, which keep their inputs and results on the device; further shapes run as they are."""

IDLE_CALLS = 1000
"""A graph that was not used for as many calls of its function makes room for another shape."""

AS_IT_IS = "runs as it is"
"""What the log says, with the reason, of a function that could not be made quicker."""

_WARM_UPS = 3  # PyTorch's own number: what is chosen or made at the first calls must not be captured


def compiled(name: str, function: Function, *, dynamic: bool | None = None) -> Function:
    """The function compiled, if that is switched on. dynamic: as for `torch.compile`."""
    if not COMPILE.on:
        return function
    return _Quick(f"the {name} cannot be compiled", function, torch.compile(function, dynamic=dynamic))


def captured(name: str, function: Function, device: torch.device) -> Function:
    """The function as a CUDA graph for each shape of what it is given; unless that is off, or there is no CUDA."""
    if not CUDA_GRAPHS.on or device.type != "cuda":
        return function
    return _Quick(f"the {name} cannot be captured", function, _Captured(function))


class _Quick:
    """A function in its quick way; the first failure is said once, and from then on it is the plain one."""

    def __init__(self, failure: str, plain: Function, quick: Function) -> None:
        self._failure = failure
        self._plain = plain
        self._quick: Function | None = quick

    def __call__(self, *given: Tensor) -> Sequence[Tensor]:
        if self._quick is None:
            return self._plain(*given)
        try:
            return self._quick(*given)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of a compiler or a driver, which may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            logger.warning("%s and %s: %s", self._failure, AS_IT_IS, reason)
            self._quick = None
        return self._plain(*given)


@dataclass
class _Graph:
    """A captured call: what it reads from, what it writes to, and the number of the last call that used it."""

    graph: Any
    inputs: Sequence[Tensor]
    results: Sequence[Tensor]
    last_call: int


class _Captured:
    """A function as a CUDA graph for each shape: one launch instead of hundreds."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._graphs: dict[tuple[torch.Size, ...], _Graph] = {}
        self._calls = 0
        # one memory for all graphs, as each one's results are copied before another writes there
        self._pool: Any = None

    def __call__(self, *given: Tensor) -> Sequence[Tensor]:
        self._calls += 1
        shapes = tuple(tensor.shape for tensor in given)
        if shapes not in self._graphs:
            if not self._has_room():
                return self._function(*given)
            self._graphs[shapes] = self._capture([tensor.clone() for tensor in given])
        used = self._graphs[shapes]
        used.last_call = self._calls
        for fixed, tensor in zip(used.inputs, given, strict=True):
            fixed.copy_(tensor)
        used.graph.replay()
        return [result.clone() for result in used.results]

    def _has_room(self) -> bool:
        """Whether one more graph may be made; one that was not used for long is dropped for it."""
        if len(self._graphs) < MOST_GRAPHS:
            return True
        oldest = min(self._graphs, key=lambda shapes: self._graphs[shapes].last_call)
        if self._calls - self._graphs[oldest].last_call < IDLE_CALLS:
            return False
        del self._graphs[oldest]
        return True

    def _capture(self, inputs: Sequence[Tensor]) -> _Graph:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                self._function(*inputs)
        torch.cuda.current_stream().wait_stream(beside)
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # of this thread alone: others upload and resize frames meanwhile
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            results = self._function(*inputs)
        return _Graph(graph, inputs, results, self._calls)
