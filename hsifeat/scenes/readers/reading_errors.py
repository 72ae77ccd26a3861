"""One clear line for whatever a format's library raises over a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsifeat.errors import SceneError

# Some libraries quote half the file.
_LONGEST = 300


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn any error of the block into a `SceneError` that names the file; one of our own passes as it is."""
    try:
        yield
    except SceneError:
        raise
    except PermissionError as error:
        raise SceneError(f"{path} can't be read: {error.strerror or 'permission denied'}") from error
    except MemoryError as error:
        raise SceneError(
            f"{path} does not fit into memory: save it in a format that is read piece by piece, such as ENVI, GeoTIFF or "
            "MATLAB -v7.3"
        ) from error
    except Exception as error:  # a damaged file makes the format's library raise anything at all
        reason = " ".join(str(error).split())[:_LONGEST] or type(error).__name__
        kind = path.suffix.lower() or "readable"
        raise SceneError(f"{path} can't be read, it may be truncated or not a {kind} file: {reason}") from error
