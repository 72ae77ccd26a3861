"""Temporary files of unpacked data. A file is deleted once the array that is memory-mapped from it is no longer used."""

from __future__ import annotations

import errno
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO, Any

from hsifeat.errors import SceneError

_PIECE_BYTES = 2**20


def write_temporary_file(stream: IO[bytes] | Any, path: Path, name: str) -> Path:
    """Copy a stream to a file in a new temporary folder.

    Parameters
    ----------
    stream : binary file object
        Stream of the unpacked data.
    path : Path
        The packed file, for error messages.
    name : str
        Name of the new file.

    Returns
    -------
    Path
        The new file.

    Raises
    ------
    SceneError
        If the disk has no room for the file.
    """
    folder = Path(tempfile.mkdtemp(prefix="hsifeat-"))
    try:
        with (folder / name).open("wb") as file:
            shutil.copyfileobj(stream, file, _PIECE_BYTES)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise SceneError(
                f"{path} does not fit into {folder.parent} when unpacked: unpack it elsewhere, or set TMPDIR to a folder "
                "on a larger disk"
            ) from error
        raise
    return folder / name


def delete_with_array(array: Any, file: Path) -> None:
    """Delete a temporary file and its folder once `array` is garbage-collected or the program ends."""
    weakref.finalize(array, shutil.rmtree, file.parent, ignore_errors=True)
