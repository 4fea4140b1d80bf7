"""The tracker on `cuda` tensors that hold no values, on a machine without a GPU.

PyTorch's FakeTensorMode runs every operation for its shapes, types and devices alone. It raises where tensors of the
host and of the device meet, and where the host asks for a value of the device, for which it would wait on a GPU. Here
it raises where the factors of a product have different types, too; and where a step of tracking makes a tensor on the
host, which would have to be copied to the device or was copied from there: results leave by `on_its_way` alone.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from sam2_cog.engine import logits, pillow_bicubic, tracker
from sam2_cog.engine import model as engine_model
from sam2_cog.engine.model import LoadedModel, build_network, cast_products, place_network

_real_numpy, _real_autocast = Tensor.numpy, torch.autocast.__init__


@contextmanager
def fake_cuda_model(name: str) -> Iterator[LoadedModel]:
    """A network with random weights on a `cuda` device that is not there; what runs inside may be anything of ours."""
    network = build_network(name)
    cast_products(network)  # fake weights cannot be cast a second time
    with ExitStack() as stack:
        for target, attribute, fake in (
            (Tensor, "numpy", _numpy_of_the_host_alone),
            (Tensor, "pin_memory", lambda tensor: tensor),
            (tracker, "ThreadPoolExecutor", _OneThread),
            (torch.autocast, "__init__", _autocast_as_if_there_were_a_gpu),
            (torch.nn.functional, "scaled_dot_product_attention", _flash_attention),
            (LoadedModel, "autocast", _autocast_without_inference_mode),
            (engine_model, "cast_products", lambda network: None),
            (logits, "on_its_way", _on_its_way),
            (tracker, "on_its_way", _on_its_way),
        ):
            stack.enter_context(patch.object(target, attribute, fake))
        for cache in (pillow_bicubic._taps, logits._numbered):
            stack.callback(cache.cache_clear)  # no fake values for those who come after
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        stack.enter_context(_OneTypeInProducts())
        stack.enter_context(watch := _AllOnTheDevice())
        stack.enter_context(patch.object(tracker.Run, "_track", watch.watching(tracker.Run._track, True)))
        # what a user clicks comes from the host
        stack.enter_context(patch.object(tracker.Run, "_corrected", watch.watching(tracker.Run._corrected, False)))
        yield place_network(name, network, "cuda")


class _OneThread:
    """Runs at once what is submitted: the fake mode belongs to the thread that entered it."""

    def __init__(self, workers: int) -> None:
        assert workers > 0

    def __enter__(self) -> "_OneThread":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(function(*arguments))
        return done


class _OneTypeInProducts(TorchDispatchMode):
    """Raises where the factors of a product have different types, which fake tensors alone do not mind."""

    PRODUCTS = ("mm", "bmm", "addmm", "baddbmm", "convolution", "_scaled_dot_product_flash_attention")

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        if operation._overloadpacket in {getattr(torch.ops.aten, name) for name in self.PRODUCTS}:
            found = {factor.dtype for factor in arguments if isinstance(factor, Tensor)}
            assert len(found) == 1, f"{operation} of {found}"
        return operation(*arguments, **(options or {}))


class _AllOnTheDevice(TorchDispatchMode):
    """Raises where a step of tracking makes a tensor on the host, but for the scalars that are a kernel's arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._watches = False

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        found = operation(*arguments, **(options or {}))
        if self._watches and operation._overloadpacket is not torch.ops.aten.scalar_tensor:
            for tensor in found if isinstance(found, tuple | list) else (found,):
                assert not (isinstance(tensor, Tensor) and tensor.device.type == "cpu"), f"{operation} on the host"
        return found

    def watching(self, function: Callable[..., Any], watches: bool) -> Callable[..., Any]:
        """The function, with or without this check while it runs."""

        def run(*arguments: Any, **options: Any) -> Any:
            with patch.object(self, "_watches", watches):
                return function(*arguments, **options)

        return run


def _on_its_way(tensor: Tensor) -> Callable[[], np.ndarray]:
    """The one way to the host, without a wait until the array is asked for."""
    assert tensor.device.type == "cuda"
    return lambda: np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


def _numpy_of_the_host_alone(tensor: Tensor, *arguments: Any, **options: Any) -> np.ndarray:
    if isinstance(tensor, FakeTensor):
        assert tensor.device.type == "cpu", "the host reads a tensor of the device"
        return np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))
    return _real_numpy(tensor, *arguments, **options)


def _autocast_as_if_there_were_a_gpu(self: torch.autocast, *arguments: Any, **options: Any) -> None:
    with (
        patch("torch.cuda.is_available", lambda: True),
        patch("torch.cuda.is_bf16_supported", lambda *arguments, **options: True),
        patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
    ):
        _real_autocast(self, *arguments, **options)


def _flash_attention(query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0) -> Tensor:
    """What a GPU would choose; without one the choice falls on plain products."""
    query, key, value = (part.to(torch.bfloat16) for part in (query, key, value))
    fused: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(query, key, value)[0]
    return fused


@contextmanager
def _autocast_without_inference_mode(self: LoadedModel) -> Iterator[None]:
    """Under inference mode some operations reach the fake mode whole, which then runs them for real."""
    low_precision = self.dtype == torch.bfloat16
    with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=low_precision):
        yield
