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
