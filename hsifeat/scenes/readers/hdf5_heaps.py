"""A check of HDF5's global heaps, on which the HDF5 library hangs where they are damaged.

Text attributes and the names of dimensions lie in such heaps. A heap begins with ``GCOL``, a version and its size; then
objects follow, each with its number, count of references and size. The last one has number 0, for free space, and its size
counts its own header. See "Disk Format: Level 1E - Global Heap" in the HDF5 file format specification.
"""

from __future__ import annotations

from pathlib import Path

from hsifeat.errors import SceneError

# Heaps are among the metadata, at the ends of a file; what lies between them is values, perhaps terabytes.
_SEARCHED_BYTES = 2**24
_MAGIC = b"GCOL\x01"
_HEADER_BYTES = 16


def check_heaps(path: Path) -> None:
    """Raise `SceneError` where a heap in the first or last 16 MB of a file has objects that don't make up its size."""
    size = path.stat().st_size
    with path.open("rb") as file:
        for start in dict.fromkeys((0, max(size - _SEARCHED_BYTES, 0))):
            file.seek(start)
            data = file.read(_SEARCHED_BYTES)
            place = data.find(_MAGIC)
            while place >= 0:
                if not _is_whole(data, place):
                    raise SceneError(
                        f"{path} can't be read: a heap of its metadata, at byte {start + place}, is damaged"
                    )
                place = data.find(_MAGIC, place + 1)


def _is_whole(data: bytes, place: int) -> bool:
    end = place + int.from_bytes(data[place + 8 : place + 16], "little")
    if end > len(data):
        # Past what was read, or damaged in a way that the library sees.
        return True
    place += _HEADER_BYTES
    while place + _HEADER_BYTES <= end:
        number = int.from_bytes(data[place : place + 2], "little")
        size = int.from_bytes(data[place + 8 : place + 16], "little")
        needed = size if number == 0 else _HEADER_BYTES + -(-size // 8) * 8
        if not _HEADER_BYTES <= needed <= end - place:
            return False
        place += needed
    return True
