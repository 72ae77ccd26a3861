"""Cores and memory that this process may use."""

from __future__ import annotations


def available_cores() -> int:
    """Return the number of cores that this process may run on."""
    import psutil

    process = psutil.Process()
    # macOS has no affinity of processes to cores.
    affinity = process.cpu_affinity() if hasattr(process, "cpu_affinity") else None
    return len(affinity or ()) or psutil.cpu_count() or 1


def total_bytes() -> int:
    """Return the physical memory of the machine in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def available_bytes() -> int:
    """Return the memory that new work can take without swapping, in bytes."""
    import psutil

    return int(psutil.virtual_memory().available)
