"""Tests of the memory that linear algebra libraries hold in a process with a limit of its address space."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from classifiers.blas_memory import hold_blas_memory
from hsifeat.errors import OutOfMemoryError
from scipy.linalg import svd
from numpy import ones
import pathlib

pages = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    hold_blas_memory()
except OutOfMemoryError as error:
    sys.exit(str(error))
svd(ones((300, 200)))
print("ended")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the program reads /proc")
@pytest.mark.parametrize(
    ("growth_mib", "status", "said"), [(64, 1, "memory ran out"), (1024, 0, "ended")], ids=["too little", "enough"]
)
def test_a_decomposition_ends_or_is_refused(growth_mib, status, said):
    command = [sys.executable, "-c", PROGRAM, str(growth_mib)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == status, ended.stderr
    assert said in ended.stdout + ended.stderr
