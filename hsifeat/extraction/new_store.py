"""Create the store of an extraction, with its manifest, scene, fitted projection and list of pixels."""

from __future__ import annotations

import platform
import time
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from hsifeat.errors import SceneError
from hsifeat.extraction.job import RemainingWork
from hsifeat.scene_facts import SceneFacts
from hsifeat.scenes import Scene
from hsifeat.scenes.georeference import as_wkt
from hsifeat.scenes.nodata import distinct_values
from hsifeat.store.create import SceneArrays
from hsifeat.store.manifest import Manifest
from hsifeat.store.store import Store

# Metadata of a scene that a later extraction of the same values updates in a store, and their names in messages.
UPDATED_FACTS = {
    "wavelengths_nm": "wavelengths", "fwhm_nm": "bandwidths", "band_names": "band names", "nodata": "no-data values",
    "scale": "reflectance scale", "crs": "georeference", "transform": "georeference",
}  # fmt: skip


def create_store(work: RemainingWork) -> Store:
    """Create the store of an extraction, and open it for writing. The store has no planes yet."""
    job, extractor = work.job, work.extractor
    scene, projection = extractor.scene, extractor.projection
    manifest = Manifest(
        key=job.recipe.key,
        recipe=job.recipe.canonical(),
        layout=work.plan.layout,
        batch=extractor.batch,
        scene=scene_facts(scene),
        provenance={
            "hsifeat": version("hsifeat"),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "backbone": extractor.source.name,
            "backbone_source": getattr(extractor.source, "source", ""),
            "device": extractor.device,
            "python": platform.python_version(),
            **extractor.provenance,
        },
    )
    arrays = {} if projection is None else {"weights": projection.weights, "offset": projection.offset}
    pixels = None if extractor.pixels is None else (extractor.pixels.rows, extractor.pixels.cols)
    return Store.create(job.location, manifest, SceneArrays(scene.cube, scene.valid, arrays, pixels, job.recipe.scene))


def updated_facts(stored: SceneFacts, scene: Scene) -> SceneFacts:
    """Return the metadata in a store, updated by the metadata of `scene`.

    The store and `scene` have the same cube. Metadata can be corrected without changing the key of the store. Stored
    metadata that `scene` lacks, such as a georeference, are kept. The stored name, licence and citation are kept, too.
    """
    new = scene_facts(scene)
    updates = {name: value for name in UPDATED_FACTS if (value := getattr(new, name)) not in (None, [], 1.0)}
    if scene.georeference is not None and new.crs is not None:
        known = False
        with suppress(SceneError):  # a manifest can have any text
            known = replace(scene.georeference, crs=stored.crs).same_crs(scene.georeference)
        updates["crs"] = stored.crs if known else new.crs
    return stored.model_copy(update=updates)


def names_of_updates(stored: SceneFacts, scene: Scene) -> list[str]:
    """Return the kinds of metadata, such as ``georeference``, that `updated_facts` changes."""
    facts = updated_facts(stored, scene)
    changed = (word for name, word in UPDATED_FACTS.items() if getattr(facts, name) != getattr(stored, name))
    return list(dict.fromkeys(changed))


def scene_facts(scene: Scene) -> SceneFacts:
    """Return the metadata of a scene in the form that the manifest of a store contains."""
    georeference = scene.georeference
    return SceneFacts(
        name=scene.name,
        rows=scene.rows,
        cols=scene.cols,
        bands=scene.bands,
        wavelengths_nm=None if scene.wavelengths_nm is None else [float(nm) for nm in scene.wavelengths_nm],
        fwhm_nm=None if scene.fwhm_nm is None else [float(nm) for nm in scene.fwhm_nm],
        band_names=list(scene.band_names),
        band_numbers=list(scene.band_numbers),
        nodata=[float(value) for value in distinct_values(scene.nodata) if np.isfinite(value)],
        scale=scene.scale,
        crs=None if georeference is None or georeference.crs is None else as_wkt(georeference.crs),
        transform=None if georeference is None else georeference.transform,
        licence=scene.licence,
        citation=scene.citation,
    )
