"""Settings of the memory allocator for the large, short-lived arrays of a network."""

from __future__ import annotations

import os
from functools import cache

# Constants of mallopt in malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 2**28
_LARGEST_KEPT_ARRAY_BYTES = 2**25  # the maximum that glibc accepts
_SETTINGS = ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")


@cache
def keep_freed_memory() -> bool:
    """Make this process keep up to 256 MiB of freed memory for reuse, instead of returning it to the system.

    By default, glibc returns the memory of each large array to the system at once. The system then clears new pages for the
    activations of every convolution, which takes up to a third of the time of a forward pass on a CPU. The function has no
    effect with other C libraries, or if environment variables configure the allocator.

    Returns
    -------
    bool
        Whether the setting was applied.
    """
    if any(name in os.environ for name in _SETTINGS) or not _is_glibc():
        return False
    from ctypes import CDLL

    mallopt = CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_ARRAY_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES))


def _is_glibc() -> bool:
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (AttributeError, ValueError, OSError):  # Windows, macOS, musl
        return False
