"""Reserve the work memory of linear algebra libraries in a process whose address space is limited.

OpenBLAS allocates a work buffer for its first large product, and keeps the buffer. If the system refuses the buffer,
OpenBLAS tries again in an endless loop.
"""

from __future__ import annotations

import mmap
import sys

import numpy as np

from hsifeat.errors import raise_resource_error

# The buffer of OpenBLAS on x86-64, and some room for its bookkeeping. NumPy and SciPy each bring a copy of the library.
_BUFFER_BYTES = 130 * 2**20
# OpenBLAS multiplies smaller matrices without a buffer.
_SIDE = 128
_held: set[str] = set()


def hold_blas_memory() -> None:
    """Reserve the work buffers of the linear algebra in NumPy and SciPy, if the address space is limited.

    Later matrix products in the same thread use these buffers again. A matrix product that finds no memory for a buffer
    never ends. If ``ulimit -v`` sets no limit, the function does nothing.

    Raises
    ------
    OutOfMemoryError
        If the limit leaves no room for a buffer.

    Examples
    --------
    >>> hold_blas_memory()
    """
    if not _address_space_is_limited():
        return
    ones = np.ones((_SIDE, _SIDE))
    if "numpy" not in _held:
        _check_room()
        ones @ ones
        _held.add("numpy")
    if "scipy" not in _held:
        from scipy.linalg.blas import dgemm

        _check_room()
        dgemm(1.0, ones, ones)
        _held.add("scipy")


def _address_space_is_limited() -> bool:
    if sys.platform == "win32":
        return False
    import resource

    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def _check_room() -> None:
    try:
        mmap.mmap(-1, _BUFFER_BYTES).close()
    except (OSError, MemoryError) as error:
        raise_resource_error(error)
        raise
