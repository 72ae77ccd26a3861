"""Detection of read faults that GDAL logs without raising an error, for example in truncated files."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from hsifeat.errors import SceneError

# GDAL's error number CPLE_FileIO, as it appears in rasterio's log messages.
_READ_FAULT = "err_no=3,"


class _ReadFaultFilter(logging.Filter):
    """Logging filter that collects GDAL's read faults per thread and drops messages below the user's log level."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if _READ_FAULT in (message := record.getMessage()):
            self.faults.append(message)
        return record.levelno >= logging.getLogger("rasterio").getEffectiveLevel()

    @property
    def faults(self) -> list[str]:
        if not hasattr(self._thread, "faults"):
            self._thread.faults = []
        faults: list[str] = self._thread.faults
        return faults


@cache
def _read_fault_filter() -> _ReadFaultFilter:
    """Install the filter on rasterio's log when the first file is read, and return it."""
    read_faults, logger = _ReadFaultFilter(), logging.getLogger("rasterio._env")
    logger.setLevel(logging.INFO)
    logger.addFilter(read_faults)
    # The exception repeats what rasterio logs about a damaged file. Without a handler, Python would also print the log messages.
    logging.getLogger("rasterio").addHandler(logging.NullHandler())
    return read_faults


@contextmanager
def raise_read_faults(path: Path) -> Iterator[None]:
    """Raise `SceneError` at the end of a ``with`` block if GDAL failed to read a part of the file during the block.

    The ``with`` block must be inside `rasterio.Env`, which sends GDAL's messages to Python's logging.
    """
    faults = _read_fault_filter().faults
    faults.clear()
    yield
    if faults:
        reason = " ".join(faults[0].partition("msg=")[2].split())
        raise SceneError(f"{path} can't be read completely, it may be truncated: {reason}")
