"""A scene as the network sees it: its channels behind the projection, read patch by patch."""

from __future__ import annotations

import shutil
import tempfile

import numpy as np

from hsifeat.projection import ProjectedScene, Projection
from hsifeat.runtime.events import Listener, Note
from hsifeat.scenes import Scene
from hsifeat.scenes.temporary_copy import TemporaryCopy
from hsifeat.types import Cube

# Of the room on the disk, that a copy may take.
_SHARE = 0.8


def seen(scene: Scene, projection: Projection, listen: Listener) -> Cube:
    """Return a scene's channels for reading many small patches of them.

    An array, in memory or mapped, is read patch by patch. What has to be unpacked from a file would be unpacked again for
    every patch: its channels, fewer than its bands, go into a temporary file instead, block by block and once.

    Parameters
    ----------
    scene, projection
        What is seen, and through what.
    listen : callable
        Is told of the file, or that there is no room for it.
    """
    channels = ProjectedScene(scene.cube, projection, scene.valid)
    if isinstance(scene.cube, np.ndarray):
        return channels
    folder, size = tempfile.gettempdir(), int(np.prod(channels.shape)) * channels.dtype.itemsize
    if size > _SHARE * shutil.disk_usage(folder).free:
        listen(
            Note(
                f"{scene.name}: {size / 2**30:.2g} GiB of channels do not fit into {folder}, so every patch is unpacked from "
                "the file, which is slow; TMPDIR names another folder"
            )
        )
        return channels
    if size > 2**30:
        listen(Note(f"{scene.name}: {size / 2**30:.2g} GiB of channels go into a temporary file in {folder}"))
    return TemporaryCopy(channels)
