"""NumPy files, mapped into memory and never unpickled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.scenes.readers import Raster


def read(path: Path, ndim: int, variable: str | None) -> Raster:  # noqa: ARG001  # every reader takes the same three
    """Map the file's only array; `SceneError` if a variable is named, since there is none to name."""
    if variable is not None:
        raise SceneError(f"{path}: a .npy file holds one array without a name; leave out {variable!r}")
    return Raster(array=np.load(path, mmap_mode="r", allow_pickle=False), ordered=False)
