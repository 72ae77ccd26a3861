"""Freed memory stays with the process: counted by the page faults of the operating system."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import os, resource, sys
import numpy as np
from hsifeat.runtime.allocator import keep_freed_memory

applied = keep_freed_memory()
first, before = np.ones(2**21), resource.getrusage(resource.RUSAGE_SELF).ru_minflt
del first
for _ in range(20):
    np.ones(2**21)
print(applied, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_arrays_reuse_the_pages_of_freed_arrays_unless_the_environment_decides(monkeypatch):
    for name in ("GLIBC_TUNABLES", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"):
        monkeypatch.delenv(name, raising=False)

    def run() -> tuple[str, int]:
        applied, faults = subprocess.check_output([sys.executable, "-c", FAULTS], text=True).split()
        return applied, int(faults)

    applied, kept = run()
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "131072")
    untouched, returned = run()
    assert (applied, untouched) == ("True", "False")
    assert kept < returned / 10
