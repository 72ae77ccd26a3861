"""Conversion of the exceptions of file-reading libraries to `SceneError`."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.errors import SceneError, is_access_denied
from hsifeat.files import is_disk_full

# Maximum number of characters of a library's message; some libraries quote half the file.
_LONGEST_REASON = 300


@contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Convert any exception in a ``with`` block to a `SceneError` that names the file.

    A `SceneError` passes unchanged.
    """
    try:
        yield
    except SceneError:
        raise
    except MemoryError as error:
        raise SceneError(
            f"{path} does not fit into memory: save it in a format that is read block by block, such as ENVI, GeoTIFF or "
            "MATLAB -v7.3"
        ) from error
    except Exception as error:  # a damaged file can make the format's library raise anything
        if is_access_denied(error):
            file = getattr(error, "filename", None) or path
            raise SceneError(f"{file} can't be read: permission denied: ask its owner for access") from error
        if is_disk_full(error) or getattr(error, "errno", None) == errno.EFBIG:
            raise SceneError(
                f"{path} does not fit into {tempfile.gettempdir()} when unpacked: unpack it elsewhere, or set TMPDIR to a folder "
                "on a larger disk"
            ) from error
        # rasterio says "See previous exception for details" in place of GDAL's reason.
        # A variable must not hold an exception: the cycle with its traceback would keep the file open.
        told = str(error.__cause__ or error if "See previous exception" in str(error) else error)
        reason = " ".join(told.split())[:_LONGEST_REASON] or type(error).__name__
        kind = path.suffix.lower() or "readable"
        raise SceneError(
            f"{path} can't be read, it may be truncated, damaged or not a {kind} file: {reason}"
        ) from error
