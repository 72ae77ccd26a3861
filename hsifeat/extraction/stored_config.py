"""Options of the extraction that made a store, read back so that another scene can be extracted in the same way."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.extraction.config import ExtractionConfig, options_in_recipe
from hsifeat.projection import Projection
from hsifeat.store.store import Store


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """The pixels that the planes of a store list.

    Attributes
    ----------
    rows, cols : (n,) integer array
        Their positions.
    scene_digest : str
        Digest of the scene that they belong to.
    store : str
        The store, for messages.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    scene_digest: str
    store: str


def config_of(store: Store) -> ExtractionConfig:
    """Return the options with which a store was made, its fitted projection included.

    Timesteps and layers are those of the store's planes. The backbone is named as it was when the store was made; whether
    it still is the same is decided by its weights.

    Raises
    ------
    StoreError
        The stored projection does not match the recipe.
    """
    recipe, planes = store.manifest.recipe, store.planes
    return ExtractionConfig.from_options({
        **options_in_recipe(recipe),
        "backbone": store.manifest.provenance.get("backbone_source") or None,
        "timesteps": sorted({plane.id.t for plane in planes}) or None,
        "layers": list(dict.fromkeys(plane.id.layer for plane in planes)) or None,
        "projection": stored_projection(store),
        "pixels": None if store.pixels is None else StoredPixels(*store.pixels, recipe["scene"], str(store.location)),
        "companion": "companion" in recipe,
        "batch": store.manifest.batch,
    })  # fmt: skip


def stored_projection(store: Store) -> Projection:
    """Return the fitted projection in a store.

    Raises
    ------
    StoreError
        It does not match the recipe.
    """
    part = store.manifest.recipe["projection"]
    weights, offset = (
        np.asarray(store.scene_array(f"projection/{name}")[:], np.float32) for name in ("weights", "offset")
    )
    gamma = re.search(r":gamma=([\d.]+)", part["spec"])
    # The digest covers whether channels are clipped, which the arrays don't tell.
    for clip in (True, False):
        projection = Projection(part["spec"], weights, offset, clip, float(gamma[1]) if gamma else 1.0)
        if projection.digest == part["digest"]:
            return projection
    raise StoreError(
        f"{store.location}: the stored projection does not match the recipe; run hsifeat cache verify {store.location}"
    )
