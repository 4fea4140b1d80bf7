"""Memory of the host is kept for the next tensor once asked for, in a process of its own."""

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from sam2_cog.engine import host_memory
from sam2_cog.engine.host_memory import on_its_way

COUNT_FAULTS = """
import resource
{ask}
size = 64  # MiB; a name, so that nothing is folded into a constant
def use():
    b"x" * (size << 20)
use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ASK = "from sam2_cog.engine.host_memory import keep_freed_memory; assert keep_freed_memory()"


def faults(ask: str) -> int:
    """Page faults while eight blocks of 64 MiB are taken, filled and freed one after the other."""
    done = subprocess.run(
        [sys.executable, "-c", COUNT_FAULTS.format(ask=ask)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the request")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    assert faults(ASK) < 50 < 1000 < faults("")


def test_without_glibc_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("musl", "1.2"))
    monkeypatch.setattr(host_memory.ctypes, "CDLL", lambda name: pytest.fail("the C library was asked"))
    assert not host_memory.keep_freed_memory()
    host_memory.give_back_freed_memory()


def test_on_a_cpu_nothing_is_copied() -> None:
    tensor = torch.arange(6).view(2, 3)
    array = on_its_way(tensor)()
    tensor[1, 2] = 7
    assert array.tolist() == [[0, 1, 2], [3, 4, 7]]


def test_a_gpu_copies_to_pinned_memory_and_only_the_reader_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of CUDA: the order of the calls, and that the copy is told not to hold the host up."""
    calls: list[object] = []
    pinned = torch.zeros(3)
    on_the_device = SimpleNamespace(device=torch.device("cuda"), shape=(3,), dtype=torch.float32)
    host = SimpleNamespace(copy_=lambda source, non_blocking: calls.append(("copy", source, non_blocking)))
    host.numpy = pinned.numpy
    event = SimpleNamespace(record=lambda: calls.append("record"), synchronize=lambda: calls.append("wait"))
    monkeypatch.setattr(torch, "empty", lambda shape, dtype, pin_memory: host if pin_memory else pytest.fail("slow"))
    monkeypatch.setattr(torch.cuda, "Event", lambda: event)
    arrived = on_its_way(on_the_device)  # type: ignore[arg-type]
    assert calls == [("copy", on_the_device, True), "record"]
    assert arrived().tolist() == [0, 0, 0] and calls[-1] == "wait"


GIVE_BACK = """
import resource
import numpy as np
from sam2_cog.engine.host_memory import give_back_freed_memory, keep_freed_memory
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20
keep_freed_memory()
held = [np.ones(1 << 20, np.uint8) for _ in range(300)]
last = np.ones(1 << 20, np.uint8)  # so that what is freed is not the end of the heap
del held
kept = resident()
give_back_freed_memory()
print(kept - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc takes the request")
def test_what_a_request_has_freed_goes_back() -> None:
    done = subprocess.run([sys.executable, "-c", GIVE_BACK], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 250
