"""Read faults that GDAL only logs: it opens a truncated file with whatever bands are left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.errors import SceneError

# CPLE_FileIO, in the words of rasterio's log.
_READ_FAULT = "err_no=3,"


class _ReadFaultFilter(logging.Filter):
    """Collects GDAL's read faults per thread; messages below the user's log level go no further."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if _READ_FAULT in (message := record.getMessage()):
            self.faults.append(message)
        return record.levelno >= logging.getLogger("rasterio").getEffectiveLevel()

    @property
    def faults(self) -> list[str]:
        """Read faults of the current thread."""
        if not hasattr(self._thread, "faults"):
            self._thread.faults = []
        faults: list[str] = self._thread.faults
        return faults


_FILTER = _ReadFaultFilter()
_LOGGER = logging.getLogger("rasterio._env")
_LOGGER.setLevel(logging.INFO)
_LOGGER.addFilter(_FILTER)
# What rasterio logs about a damaged file is also in the exception; without a handler Python would print it as well.
logging.getLogger("rasterio").addHandler(logging.NullHandler())


@contextmanager
def raise_read_faults(path: Path) -> Iterator[None]:
    """Raise `SceneError` if GDAL could not read part of the file in the block; use it inside `rasterio.Env`."""
    _FILTER.faults.clear()
    yield
    if _FILTER.faults:
        reason = " ".join(_FILTER.faults[0].partition("msg=")[2].split())
        raise SceneError(f"{path} can't be read completely, it may be truncated: {reason}")
