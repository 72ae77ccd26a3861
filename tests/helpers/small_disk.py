"""A small file system that can be filled."""

import subprocess
from contextlib import contextmanager

import pytest


class Disk:
    """A file system in memory that can be filled."""

    def __init__(self, path):
        self.path, self._filler = path, path / "filler"

    def fill(self):
        """Write until the disk is full."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (2**20, 2**12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def free(self):
        """Delete the file that fills the disk."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(path, size_mb):
    """Mount a `Disk` of some megabytes; the test is skipped where this user may not mount a file system."""
    path.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "hsifeat-test", path], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
