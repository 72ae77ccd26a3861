"""A patch that kills the process while it writes a file of a store, to simulate a power failure."""

import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class KilledWrite:
    """A patch of file writing that kills the process during a write.

    Attributes
    ----------
    where : str
        Folder of the shards or progress records whose writing is interrupted, or name of a metadata file.
    number : int
        Number of these files that are written completely before a write is interrupted.
    """

    where: str
    number: int

    def __call__(self):
        """Patch the functions of Zarr and hsifeat that write files."""
        import zarr.storage._local as local

        from hsifeat.store import location

        put, write_file, remaining = local._put, location.write_file, [self.number]

        def is_last(path):
            matches = (f"/{self.where}/" in str(path) and path.name != "zarr.json") or path.name == self.where
            remaining[0] -= matches
            return matches and remaining[0] < 0

        def tear(path, content):
            # A file system without atomic renames can leave half of the bytes at the final path.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            die()

        def torn_put(path, value, exclusive=False):
            if is_last(path):
                tear(path, bytes(value.as_buffer_like()))
            return put(path, value, exclusive)

        def torn_write(path, content):
            if is_last(path):
                if (
                    not path.parent.name.isdigit()
                ):  # All files except records are renamed at the end; the process dies before the renaming.
                    die()
                tear(path, content)
            return write_file(path, content)

        local._put, location.write_file = torn_put, torn_write


def die():
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
