"""Picture of the companion image of a scene, for the workbench.

The picture belongs to a store of the scene. It is a file in the cache, and is deleted together with this store.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hsifeat.features.features import Features
from hsifeat.files import write_file
from hsifeat.scenes.colours import false_colour
from hsifeat.scenes.scene import Scene
from hsifeat.scenes.valid_pixels import valid_pixels
from hsifeat.service.pages.pictures import encode_png

_SIDE_PX = 3000


def companion_file(features: Features) -> Path:
    """Return the path of the picture of the companion image. The file exists only after a call of `keep_companion`."""
    return features.kept_folder / "companion.png"


def keep_companion(features: Features, scene: Scene) -> None:
    """Write the companion image of a scene as a picture to `companion_file`, with at most 3000 rows and 3000 columns.

    Parameters
    ----------
    features : Features
        Features of the store that the picture belongs to.
    scene : Scene
        The scene. If it has no companion image, no picture is written.

    Raises
    ------
    StoreError
        If the picture can't be written.
    """
    if scene.companion is None:
        return
    valid = valid_pixels(scene.companion, scene.companion_nodata, blank_pixels="keep").mask
    step = -(-max(scene.companion.shape[:2]) // _SIDE_PX)
    colours = false_colour(scene.companion, None, valid, step)
    alpha = np.where(valid[::step, ::step], 255, 0).astype(np.uint8)
    write_file(companion_file(features), encode_png(np.dstack([colours, alpha])))
