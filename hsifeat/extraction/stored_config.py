"""Read the extraction options of a store, so that another scene can be extracted with the same options."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.extraction.config import ExtractionConfig, options_in_recipe
from hsifeat.features.stored_array import StoredArray
from hsifeat.projection import Projection
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.store.location import repair_advice
from hsifeat.store.store import Store


@dataclass(frozen=True, eq=False)
class StoredPixels:
    """Pixels of a store that was extracted with ``--pixels``.

    Attributes
    ----------
    rows, cols : (n,) integer arrays
        Row and column of each pixel.
    scene_digest : str
        Digest of the stored scene.
    store : str
        Location of the store, for error messages.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    scene_digest: str
    store: str


def config_of(store: Store) -> ExtractionConfig:
    """Return the extraction options of a store, including its fitted projection.

    Timesteps and layers are those of the stored planes. The backbone is the path or name that the store recorded when it was
    created. The weights of this backbone may have changed since.

    Raises
    ------
    StoreError
        If the planes were imported. If the stored projection does not match the recipe.
    """
    recipe, planes = store.manifest.recipe, store.planes
    if recipe.get("imported") is not None:
        raise StoreError(
            f"{store.location} has features that another tool computed, and no options of an extraction: compute features of the other "
            "scene with that tool, or repeat a damaged import to another store with hsifeat import"
        )
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
        If the projection does not match the recipe.
    """
    part = store.manifest.recipe["projection"]
    weights, offset = (
        np.asarray(StoredArray(store.scene_array(f"projection/{name}")), np.float32) for name in ("weights", "offset")
    )
    nm, names = store.manifest.scene.wavelengths_nm, names_of_bands(store.manifest.scene)
    # A projection of the companion image has other bands than the scene.
    wavelengths_nm = None if nm is None or len(nm) != len(weights) else np.asarray(nm, np.float64)
    band_names = names if len(names) == len(weights) and "companion" not in store.manifest.recipe else ()
    gamma = re.search(r":gamma=([\d.]+)", part["spec"])
    # Whether channels are clipped is not stored, so both cases are compared with the digest.
    for clip in (True, False):
        projection = Projection(
            part["spec"],
            weights,
            offset,
            clip,
            float(gamma[1]) if gamma else 1.0,
            wavelengths_nm=wavelengths_nm,
            band_names=band_names,
            scale=None if "companion" in store.manifest.recipe else store.manifest.scene.scale,
        )
        if projection.digest == part["digest"]:
            return projection
    raise StoreError(
        f"{store.location}: the stored projection does not match the recipe: {repair_advice(store.location)}"
    )
