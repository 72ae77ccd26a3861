"""What GDAL says of a file that ends too early, and does not take as an error: it opens with the bands that are left."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.errors import SceneError

# CPLE_FileIO, as rasterio puts it into its log.
_READ_FAULT = "err_no=3,"


class _Listener(logging.Filter):
    """Hears GDAL's read faults in this thread; what is below the level that users set goes no further."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        if _READ_FAULT in (message := record.getMessage()):
            self.faults.append(message)
        return record.levelno >= logging.getLogger("rasterio").getEffectiveLevel()

    @property
    def faults(self) -> list[str]:
        """What was heard in this thread."""
        if not hasattr(self._here, "faults"):
            self._here.faults = []
        faults: list[str] = self._here.faults
        return faults


_LISTENER = _Listener()
_LOGGER = logging.getLogger("rasterio._env")
_LOGGER.setLevel(logging.INFO)
_LOGGER.addFilter(_LISTENER)
# What rasterio logs of a damaged file is in the error that it raises; without a handler Python would print it as well.
logging.getLogger("rasterio").addHandler(logging.NullHandler())


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Raise `SceneError` where GDAL could not read a part of the file within the block; use inside of `rasterio.Env`."""
    _LISTENER.faults.clear()
    yield
    if _LISTENER.faults:
        reason = " ".join(_LISTENER.faults[0].partition("msg=")[2].split())
        raise SceneError(f"{path} can't be read whole, it may be truncated: {reason}")
