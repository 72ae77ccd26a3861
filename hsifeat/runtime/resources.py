"""Number of cores and amount of memory that this process can use."""

from __future__ import annotations


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    import psutil

    process = psutil.Process()
    # On macOS, processes can't be bound to cores.
    affinity = process.cpu_affinity() if hasattr(process, "cpu_affinity") else None
    return len(affinity or ()) or psutil.cpu_count() or 1


def total_bytes() -> int:
    """Return the physical memory of the machine in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_bytes() -> int:
    """Return the memory, in bytes, that is available to processes without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)
