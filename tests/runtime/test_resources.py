"""Cores and memory against the operating system's own files."""

import os
from pathlib import Path

import pytest

from hsifeat.runtime.resources import available_bytes, available_cores


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity here")
def test_cores_are_those_that_the_process_may_use():
    assert available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="no /proc here")
def test_memory_is_that_of_the_kernel():
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    assert 0 < available_bytes() <= int(meminfo["MemTotal"].split()[0]) * 1024
