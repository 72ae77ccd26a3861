"""Check of the global heaps of an HDF5 file, because the HDF5 library hangs on damaged heaps.

Global heaps contain text attributes and dimension names. A heap starts with ``GCOL``, a version and the size of the heap.
Objects follow, each with an index, a reference count and a size. The last object has index 0 and represents the free
space; the size of this object includes its header. See "Disk Format: Level 1E - Global Heap" in the HDF5 file format
specification.
"""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError

# Heaps are stored with the metadata near both ends of a file. The values in between may take terabytes.
_SEARCHED_BYTES = 2**24
_MAGIC = b"GCOL\x01"
_HEADER_BYTES = 16


def check_heaps(path: Path) -> None:
    """Raise `SceneError` if the objects of a heap do not fit into it. Only the first and last 16 MB of a file are searched."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in dict.fromkeys((0, max(size - _SEARCHED_BYTES, 0))):
            file.seek(start)
            data = file.read(_SEARCHED_BYTES)
            offset = data.find(_MAGIC)
            while offset >= 0:
                if not _is_consistent(data, offset):
                    raise SceneError(
                        f"{path} can't be read: a heap of its metadata, at byte {start + offset}, is damaged"
                    )
                offset = data.find(_MAGIC, offset + 1)


def _is_consistent(data: bytes, offset: int) -> bool:
    end = offset + int.from_bytes(data[offset + 8 : offset + 16], "little")
    if end > len(data):
        # The heap ends outside `data`, or is damaged in a way that the library reports.
        return True
    offset += _HEADER_BYTES
    while offset + _HEADER_BYTES <= end:
        index = int.from_bytes(data[offset : offset + 2], "little")
        size = int.from_bytes(data[offset + 8 : offset + 16], "little")
        needed = size if index == 0 else _HEADER_BYTES + -(-size // 8) * 8
        if not _HEADER_BYTES <= needed <= end - offset:
            return False
        offset += needed
    return True
