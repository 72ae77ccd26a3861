"""Freed memory is kept by the process or returned, measured by page faults and resident pages."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import os, resource, sys
import numpy as np
from hsifeat.runtime.allocator import keep_freed_memory, return_freed_memory

applied = keep_freed_memory()
first, before = np.ones(2**21), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
del first
for _ in range(20):
    np.ones(2**21)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

arrays = [np.ones(2**17) for _ in range(64)]  # 1 MiB each
kept = arrays[::2]
del arrays
before = resident()
return_freed_memory()
print(applied, faults, before - resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_freed_arrays_are_reused_unless_the_environment_decides_and_gaps_are_returned(monkeypatch):
    for name in ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)

    def run() -> tuple[str, int, int]:
        applied, faults, gaps = subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split()
        return applied, int(faults), int(gaps)

    applied, kept, gaps = run()
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "131072")
    untouched, returned, _ = run()
    assert (applied, untouched) == ("True", "False")
    assert kept < returned / 10
    assert gaps > 2**24
