"""The image encoder compiled or captured, where an operator asked for it; as it is wherever that fails.

Off unless asked for: both change the last bits of the features, take their time before the first mask, and CUDA graphs
were not measured yet (`python -m benchmarks.gpu` does).
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sam2_cog.limits import COMPILE, CUDA_GRAPHS

logger = logging.getLogger(__name__)

Levels = Sequence[Tensor]
_WARM_UPS = 3  # PyTorch's own number: what is chosen or made at the first calls must not be captured


def quicken(encoder: Any, device: torch.device) -> None:
    """Make a `sam2.modeling.backbones.image_encoder.ImageEncoder` quicker in the ways that are switched on.

    Raises InvalidRequest for a switch that is neither on nor off.
    """
    graphs = CUDA_GRAPHS.on
    if graphs and device.type != "cuda":
        logger.warning("%s: there is no CUDA device here, so nothing is captured", CUDA_GRAPHS.variable)
        graphs = False
    plain = encoder.forward

    def levels(pixels: Tensor) -> Levels:
        found: Levels = plain(pixels)["backbone_fpn"]
        return found

    quick = torch.compile(levels, dynamic=False) if COMPILE.on else levels
    if graphs:
        quick = _Captured(quick)
    if COMPILE.on or graphs:
        encoder.forward = _Quick(plain, quick)


class _Quick:
    """The forward pass in the quick way; the first failure is said once, and from then on it is the plain one."""

    def __init__(self, plain: Callable[[Tensor], Any], quick: Callable[[Tensor], Levels]) -> None:
        self._plain = plain
        self._quick: Callable[[Tensor], Levels] | None = quick

    def __call__(self, pixels: Tensor) -> Any:
        if self._quick is None:
            return self._plain(pixels)
        # every number of frames would be compiled or captured for itself: 1, 2 or 4 will do
        missing = (1 << (len(pixels) - 1).bit_length()) - len(pixels)
        whole = torch.cat((pixels, pixels[-1:].expand(missing, -1, -1, -1))) if missing else pixels
        try:
            return {"backbone_fpn": [level[: len(pixels)] for level in self._quick(whole)]}
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # of a compiler or a driver, which may raise anything
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            logger.warning("the image encoder cannot be compiled or captured and runs as it is: %s", reason)
            self._quick = None
        return self._plain(pixels)


class _Captured:
    """A function of one tensor as a CUDA graph for each shape: one launch instead of hundreds."""

    def __init__(self, function: Callable[[Tensor], Levels]) -> None:
        self._function = function
        self._graphs: dict[torch.Size, tuple[Any, Tensor, Levels]] = {}

    def __call__(self, pixels: Tensor) -> Levels:
        if pixels.shape not in self._graphs:
            self._graphs[pixels.shape] = self._capture(pixels.clone())
        graph, given, found = self._graphs[pixels.shape]
        given.copy_(pixels)
        graph.replay()
        return [level.clone() for level in found]  # the next replay writes over them

    def _capture(self, given: Tensor) -> tuple[Any, Tensor, Levels]:
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(_WARM_UPS):
                self._function(given)
        torch.cuda.current_stream().wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        # of this thread alone: others upload and resize frames meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            found = self._function(given)
        return graph, given, found
