"""Memory of the host: what the C library keeps while a network runs on the CPU, and what a GPU copies results to."""

import ctypes
import platform
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # mallopt(3); of the first, -1 says never


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next tensor, for the whole process; False where there is no glibc.

    By itself it maps blocks of 32 MiB and more anew each time and gives back what is freed at the end of its heap, so
    the layers of `large` met 1.4 million page faults a frame, a seventh of its time (benchmarks/README.md).
    """
    if not _has_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))


def give_back_freed_memory() -> None:
    """Hand what is free back to the system, between two requests: else a large one would keep its peak for good."""
    if _has_glibc():
        ctypes.CDLL(None).malloc_trim(0)


def on_its_way(tensor: Tensor) -> Callable[[], np.ndarray]:
    """Begin to copy a tensor to the host, behind what the GPU has been told so far.

    What is returned waits for that copy alone and gives the array. On a CPU the array shares the tensor's memory.
    """
    if tensor.device.type != "cuda":
        array: np.ndarray = tensor.cpu().numpy()
        return lambda: array
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)  # else the copy would hold the host up
    host.copy_(tensor, non_blocking=True)
    arrived = torch.cuda.Event()
    arrived.record()

    def wait() -> np.ndarray:
        arrived.synchronize()
        return host.numpy()

    return wait


def _has_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"
