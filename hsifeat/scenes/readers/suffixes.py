"""File suffixes and the readers registered for them."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

from hsifeat.scenes.readers.envi_header import has_envi_header
from hsifeat.scenes.readers.raster import Reader
from hsifeat.scenes.readers.source_paths import is_zarr_folder

READERS_GROUP = "hsifeat.readers"


def reader_suffixes() -> list[str]:
    """Return the suffixes that have a reader, sorted, without dots."""
    return sorted({entry.name for entry in entry_points(group=READERS_GROUP)})


def reader_suffix(path: Path) -> str:
    """Return the suffix under which the reader of a path is registered: lower case, without a dot.

    It is ``zarr`` for a Zarr folder and empty for any other folder. A file with an unknown suffix, or none, is read as
    ENVI (``hdr``) if an ENVI header lies beside it: data files of ENVI are often named after their sensor.
    """
    if path.is_dir():
        return "zarr" if is_zarr_folder(path) or path.suffix.lower() == ".zarr" else ""
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in reader_suffixes():
        return "hdr" if has_envi_header(path) else suffix
    return suffix


def find_reader(suffix: str) -> Reader | None:
    """Load the reader of a suffix, or return None if there is none."""
    readers = {entry.name: entry for entry in entry_points(group=READERS_GROUP)}
    if suffix not in readers:
        return None
    reader: Reader = readers[suffix].load()
    return reader
