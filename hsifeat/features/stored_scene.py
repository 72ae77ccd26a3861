"""Open the scene in a store as a `Scene`, without reading its cube."""

from __future__ import annotations

from typing import Any

import numpy as np

from hsifeat.errors import StoreError
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.georeference import Georeference, is_wkt
from hsifeat.store.store import Store

_ADVICE = "extract the scene again to another place"


def georeference_of(store: Store) -> Georeference | None:
    """Return the georeference of the scene in a store; None if the scene has no georeference.

    Raises
    ------
    StoreError
        The CRS in the manifest is not WKT, or the transform has no finite inverse.
    """
    facts = store.manifest.scene
    if facts.transform is None:
        return None
    a, b, _, d, e, _ = facts.transform
    if not np.isfinite(facts.transform).all() or a * e == b * d:
        raise StoreError(
            f"{store.location}: no position of the pixels follows from the transform {facts.transform} in the manifest: {_ADVICE}"
        )
    if facts.crs is not None and not is_wkt(facts.crs):
        raise StoreError(f"{store.location}: the CRS in the manifest is not WKT; found {facts.crs[:80]!r}: {_ADVICE}")
    return Georeference(facts.crs, facts.transform)


def scene_of(store: Store) -> Scene:
    """Return the scene in a store, with its label maps and a cube that is read lazily."""
    facts = store.manifest.scene
    wavelengths_nm, fwhm_nm = (
        None if values is None else np.asarray(values) for values in (facts.wavelengths_nm, facts.fwhm_nm)
    )
    return Scene(
        name=facts.name,
        cube=store.scene_array("cube"),  # type: ignore[arg-type]  # zarr arrays slice as a Cube does
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=tuple(facts.band_names),
        nodata=tuple(facts.nodata),
        scale=facts.scale,
        georeference=georeference_of(store),
        mask=store.valid,
        labels={name: _labels(store, name) for name in store.labels},
        licence=facts.licence,
        citation=facts.citation,
    )


def _labels(store: Store, name: str) -> Labels:
    array = store.label_array(name)
    attributes: dict[str, Any] = array.attrs.asdict()
    return Labels(
        name,
        store.label_classes(name),
        {int(number): text for number, text in attributes.get("class_names", {}).items()},
        {int(number): colour for number, colour in attributes.get("class_colours", {}).items()},
        georeference=georeference_of(store),
    )
