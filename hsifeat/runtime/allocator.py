"""Handling of freed memory: a process keeps it for the next forward pass of a network, or returns it to the system."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctypes import CDLL

# Constants of mallopt in malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**28
_LARGEST_KEPT_ARRAY_BYTES = 2**25  # the maximum that glibc accepts
_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


@cache
def keep_freed_memory() -> bool:
    """Make this process keep up to 256 MiB of freed memory for reuse, instead of returning it to the system.

    By default, glibc returns the memory of each large array to the system immediately. The system then clears new pages for
    the activations of every convolution. On a CPU, this costs up to a third of the time of a forward pass. The function
    has no effect with other C libraries, or if environment variables configure the allocator.

    Returns
    -------
    bool
        Whether the setting was applied.
    """
    if any(name in os.environ for name in _SETTINGS) or not _is_glibc():
        return False
    mallopt = _libc().mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_ARRAY_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def return_freed_memory() -> None:
    """Return the freed memory of this process to the system. The function has no effect with C libraries other than glibc.

    Deleted arrays of different sizes leave gaps in the heap. By default, glibc returns only the memory at the end of a heap,
    so the memory in these gaps adds up.
    """
    if _is_glibc():
        _libc().malloc_trim(0)


@cache
def _libc() -> CDLL:
    from ctypes import CDLL

    return CDLL(None)


@cache
def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows, macOS, musl
        return False
