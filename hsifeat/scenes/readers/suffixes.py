"""File suffixes and the readers registered for them."""

from __future__ import annotations

from pathlib import Path

from hsifeat.registration import registered_entries
from hsifeat.scenes.readers.envi_header import has_envi_header
from hsifeat.scenes.readers.raster import Reader
from hsifeat.scenes.readers.source_paths import is_zarr_folder

READERS_GROUP = "hsifeat.readers"


def reader_suffixes() -> list[str]:
    """Return the sorted file suffixes that have a reader, without dots."""
    return list(registered_entries(READERS_GROUP))


def reader_suffix(path: Path) -> str:
    """Return the suffix that selects the reader of a path, in lower case and without a dot.

    The result is ``zarr`` for a Zarr folder and empty for any other folder. ENVI data files may have any suffix or none. If
    a file has no registered suffix, but its folder contains an ENVI header for it, the result is therefore ``hdr``.
    """
    if path.is_dir():
        return "zarr" if is_zarr_folder(path) or path.suffix.lower() == ".zarr" else ""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in reader_suffixes():
        return "hdr" if has_envi_header(path) else suffix
    return suffix


def find_reader(suffix: str) -> Reader | None:
    """Load the reader of a suffix, or return None if the suffix has no reader."""
    readers = registered_entries(READERS_GROUP)
    if suffix not in readers:
        return None
    reader: Reader = readers[suffix].load()
    return reader
