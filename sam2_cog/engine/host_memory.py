"""How the C library hands out memory of the host while a network runs on the CPU."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # mallopt(3); of the first, -1 says never


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory for the next tensor, for the whole process; False where there is no glibc.

    By itself it maps blocks of 32 MiB and more anew each time and gives back what is freed at the end of its heap, so
    the layers of `large` met 1.4 million page faults a frame, a seventh of its time (benchmarks/README.md).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, -1))
