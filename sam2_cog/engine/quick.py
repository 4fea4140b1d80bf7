"""Parts of the network compiled or captured, where an operator asked for it; as they are wherever that fails.

Off unless asked for: both change the last bits of the masks and take their time before they gain any, and CUDA graphs
were not measured yet (`python -m benchmarks.gpu` does).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sam2_cog.limits import COMPILE, CUDA_GRAPHS

logger = logging.getLogger(__name__)

Function = Callable[..., Sequence[Tensor]]
"""Of tensors alone, without a state; what it does follows from their shapes and types."""

MOST_GRAPHS = 8
"""Graphs of one function, which keep their inputs and results on the device; further shapes run as they are."""

AS_IT_IS = "runs as it is"
"""What the log says, with the reason, of a function that could not be made quicker."""

_WARM_UPS = 3  # PyTorch's own number: what is chosen or made at the first calls must not be captured


def quicken_encoder(encoder: Any, device: torch.device) -> None:
    """Make a `sam2.modeling.backbones.image_encoder.ImageEncoder` quicker in the ways that are switched on.

    Raises InvalidRequest for a switch that is neither on nor off.
    """
    if CUDA_GRAPHS.on and device.type != "cuda":
        logger.warning("%s: there is no CUDA device here, so nothing is captured", CUDA_GRAPHS.variable)
    plain = encoder.forward

    def levels(pixels: Tensor) -> Sequence[Tensor]:
        found: Sequence[Tensor] = plain(pixels)["backbone_fpn"]
        return found

    quick = captured("image encoder", compiled("image encoder", levels, dynamic=False), device)
    if quick is not levels:
        encoder.forward = _in_powers_of_two(quick)


def compiled(name: str, function: Function, *, dynamic: bool | None = None) -> Function:
    """The function compiled, if that is switched on. dynamic: as for `torch.compile`."""
    if not COMPILE.on:
        return function
    return _Quick(f"the {name} cannot be compiled", function, torch.compile(function, dynamic=dynamic))


def captured(name: str, function: Function, device: torch.device) -> Function:
    """The function as a CUDA graph for each shape of what it is given, if that is switched on and there is CUDA."""
    if not CUDA_GRAPHS.on or device.type != "cuda":
        return function
    return _Quick(f"the {name} cannot be captured", function, _Captured(function))


def _in_powers_of_two(levels: Function) -> Callable[[Tensor], dict[str, list[Tensor]]]:
    """The encoder's forward pass; every number of frames would be compiled for itself, so it gets 1, 2 or 4."""

    def forward(pixels: Tensor) -> dict[str, list[Tensor]]:
        missing = (1 << (len(pixels) - 1).bit_length()) - len(pixels)
        whole = torch.cat((pixels, pixels[-1:].expand(missing, -1, -1, -1))) if missing else pixels
        return {"backbone_fpn": [level[: len(pixels)] for level in levels(whole)]}

    return forward


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


class _Captured:
    """A function as a CUDA graph for each shape: one launch instead of hundreds."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._graphs: dict[tuple[torch.Size, ...], tuple[Any, Sequence[Tensor], Sequence[Tensor]]] = {}
        # one memory for all graphs, as each one's results are copied before another writes there
        self._pool: Any = None

    def __call__(self, *given: Tensor) -> Sequence[Tensor]:
        shapes = tuple(tensor.shape for tensor in given)
        if shapes not in self._graphs:
            if len(self._graphs) == MOST_GRAPHS:
                return self._function(*given)
            self._graphs[shapes] = self._capture([tensor.clone() for tensor in given])
        graph, inputs, results = self._graphs[shapes]
        for fixed, tensor in zip(inputs, given, strict=True):
            fixed.copy_(tensor)
        graph.replay()
        return [result.clone() for result in results]

    def _capture(self, inputs: Sequence[Tensor]) -> tuple[Any, Sequence[Tensor], Sequence[Tensor]]:
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
        return graph, inputs, results
