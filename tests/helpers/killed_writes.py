"""Kill the own process while it writes a file of a store, as a machine that loses power would."""

import os
import signal
from dataclasses import dataclass


@dataclass(frozen=True)
class KilledWrite:
    """Patches writing, so that the process is killed within a write.

    Attributes
    ----------
    where : str
        A folder of the store, for its shards and records, or the name of a metadata file.
    number : int
        How many such files are written before, whole.
    """

    where: str
    number: int

    def __call__(self):
        """Patch the writes of zarr and of hsifeat."""
        import zarr.storage._local as local

        from hsifeat.store import location

        put, write_file, remaining = local._put, location.write_file, [self.number]

        def is_last(path):
            matches = (f"/{self.where}/" in str(path) and path.name != "zarr.json") or path.name == self.where
            remaining[0] -= matches
            return matches and remaining[0] < 0

        def tear(path, content):
            # As a file system without atomic renames would leave it: half of the bytes, at the final place.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content[: len(content) // 2])
            die()

        def torn_put(path, value, exclusive=False):
            if is_last(path):
                tear(path, bytes(value.as_buffer_like()))
            return put(path, value, exclusive)

        def torn_write(path, content):
            if is_last(path):
                if not path.parent.name.isdigit():  # All but a record are renamed into place: it dies before that.
                    die()
                tear(path, content)
            return write_file(path, content)

        local._put, location.write_file = torn_put, torn_write


def die():
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
