"""The copy of a scene in a feature store, opened from the path ``STORE/scene``."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from hsifeat.errors import SceneError
from hsifeat.scene_facts import SceneFacts
from hsifeat.scenes.georeference import Georeference, is_wkt
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.open_labels import open_labels
from hsifeat.scenes.readers import read_raster
from hsifeat.scenes.readers.source_paths import is_zarr_folder
from hsifeat.scenes.readers.zarr_arrays import is_feature_store
from hsifeat.scenes.scene import Scene
from hsifeat.types import Cube
from hsifeat.zarr_thread import start_zarr_thread


class StoredScene(Scene):
    """Scene in a feature store. `valid` does not read the cube, because the mask in a store includes only pixels with data."""

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """Mask of the valid pixels, a (rows, cols) bool array."""
        return super().valid if self.mask is None else self.mask


def is_scene_in_store(path: Path) -> bool:
    """Return whether a path is the group ``scene`` of a feature store."""
    return path.name == "scene" and all(map(is_zarr_folder, (path, path.parent))) and is_feature_store(path.parent)


def open_scene_in_store(path: Path) -> Scene:
    """Open the scene in a feature store, with its name, mask, label maps, wavelengths and georeference.

    Parameters
    ----------
    path : Path
        The folder ``STORE/scene``.

    Raises
    ------
    SceneError
        If the creation of the store was interrupted. If the scene or its metadata is damaged.
    """
    cube, valid = (read_raster(path, ndim, name).array for ndim, name in ((3, "cube"), (2, "valid")))
    try:
        facts = SceneFacts.model_validate(_attributes(path.parent)["hsifeat"]["scene"])
        names = {one.name: _ClassTexts.model_validate(_attributes(one)) for one in sorted(path.glob("labels/*/"))}
    except (KeyError, TypeError, ValidationError) as error:
        raise SceneError(f"{path.parent} is unfinished or damaged: give the file of the scene") from error
    scene = scene_of_facts(facts, cube, np.asarray(valid[:], bool), {})
    for name, texts in names.items():
        classes = open_labels(f"{path}:labels/{name}", scene).classes
        scene = scene.with_labels(
            Labels(name, classes, texts.class_names, texts.class_colours, georeference=scene.georeference)
        )
    return scene


def scene_of_facts(facts: SceneFacts, cube: Cube, valid: NDArray[np.bool_], labels: dict[str, Labels]) -> Scene:
    """Build a `Scene` from its metadata and arrays in a store.

    Parameters
    ----------
    facts : SceneFacts
        Metadata of the scene.
    cube : Cube
        Spectra of the scene, an array of shape (rows, cols, bands).
    valid : (rows, cols) bool array
        Mask of the valid pixels.
    labels : dict of str to Labels
        Label maps by name.

    Raises
    ------
    SceneError
        If the georeference is damaged.
    """
    wavelengths_nm, fwhm_nm = (
        None if values is None else np.asarray(values) for values in (facts.wavelengths_nm, facts.fwhm_nm)
    )
    return StoredScene(
        name=facts.name,
        cube=cube,
        wavelengths_nm=wavelengths_nm,
        fwhm_nm=fwhm_nm,
        band_names=tuple(facts.band_names),
        band_numbers=tuple(facts.band_numbers),
        nodata=tuple(facts.nodata),
        scale=facts.scale,
        georeference=georeference_of_facts(facts),
        mask=valid,
        labels=labels,
        licence=facts.licence,
        citation=facts.citation,
    )


def georeference_of_facts(facts: SceneFacts) -> Georeference | None:
    """Return the georeference in the metadata of a scene; None if the scene has no georeference.

    Raises
    ------
    SceneError
        If the CRS is not WKT. If the transform has no finite inverse.
    """
    if facts.transform is None:
        return None
    a, b, _, d, e, _ = facts.transform
    if not np.isfinite(facts.transform).all() or a * e == b * d:
        raise SceneError(f"no position of the pixels follows from the transform {facts.transform} in the manifest")
    if facts.crs is not None and not is_wkt(facts.crs):
        raise SceneError(f"the CRS in the manifest is not WKT; found {facts.crs[:80]!r}")
    return Georeference(facts.crs, facts.transform)


class _ClassTexts(BaseModel):
    """Attributes of a label map in a store."""

    class_names: dict[int, str] = {}
    class_colours: dict[int, str] = {}


def _attributes(folder: Path) -> dict[str, Any]:
    import zarr

    start_zarr_thread()
    return zarr.open(folder, mode="r").attrs.asdict()
