"""Memory of the host is kept for the next tensor once asked for, in a process of its own."""

import platform
import subprocess
import sys

import pytest

from sam2_cog.engine import host_memory

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
