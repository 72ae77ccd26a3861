"""Extraction from the outside: settle everything, find or make the store, run what is missing."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import hsifeat
from hsifeat.backbones.protocol import Backbone
from hsifeat.cache import catalogue
from hsifeat.errors import StoreError
from hsifeat.extraction.job import Job
from hsifeat.extraction.prepare import prepare
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes import Labels, Scene
from hsifeat.store.create import SceneArrays
from hsifeat.store.locks import write_lock
from hsifeat.store.manifest import Manifest, SceneFacts
from hsifeat.store.store import Store


def extract(
    scene: Scene | str | Path,
    *,
    backbone: Backbone | str | Path | None = None,
    listen: Listener = silent,
    **options: object,
) -> Store:
    """Compute the planes of a scene that are missing from its store.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what `open_scene` takes.
    backbone : Backbone, str or Path
        A backbone, or what `open_backbone` takes; may be left out when the option `like` names a store.
    listen : callable
        Gets the events of the run.
    **options
        As `prepare` takes them.

    Returns
    -------
    Store
        Complete for all planes asked for.

    Raises
    ------
    HsifeatError
        Whatever is wrong with scene, backbone, layers, timesteps, tiling or store; nothing is half-made then.
    """
    return run(prepare(scene, backbone=backbone, listen=listen, **options), listen=listen)  # type: ignore[arg-type]


def run(job: Job, *, listen: Listener = silent) -> Store:
    """Make the store if need be, compute what is missing, add the scene's label maps, enter it into the catalogue.

    One process at a time writes to a store; another that wants to waits, and then computes what is missing still.
    """
    scene = job.extractor.scene
    for note in scene.notes:
        listen(Note(note))
    with write_lock(
        job.location, lambda: listen(Note(f"another process is writing to {job.location}: waiting for it"))
    ):
        job = job.again()
        if job.plan.steps or job.store is None:
            job.check_disk()
            listen(Note(job.intention))
            if job.plan.steps:  # Weights that don't load are told before anything is written.
                job.extractor.backbone.to(job.extractor.device)
            store = Store.open(job.location, writable=True) if job.store else _create(job)
            catalogue.add_entry(store.key, store.location, completed=0.0)
            job.extractor.run(job.plan, store, listen)
            store.write_record_checksums()
        else:
            store = job.store
            listen(Note(f"all {len(job.plan.planes)} planes are there already: nothing to compute"))
        store = _add_labels(store, scene.labels)
    catalogue.add_entry(store.key, store.location)
    return store


def _add_labels(store: Store, maps: Mapping[str, Labels]) -> Store:
    """Add the label maps that the store does not hold as they are; return it opened anew if there were any."""
    missing = [labels for name, labels in maps.items() if not _holds(store, name, labels)]
    if missing:
        store = Store.open(store.location, writable=True)
        for labels in missing:
            store.add_labels(labels.name, labels.classes, _facts(labels))
    return store


def _holds(store: Store, name: str, labels: Labels) -> bool:
    if name not in store.labels:
        return False
    try:
        there = store.label_array(name)
        return there.attrs.asdict() == _facts(labels) and np.array_equal(np.asarray(there[:]), labels.classes)
    except StoreError:  # damaged: written anew
        return False


def _facts(labels: Labels) -> dict[str, dict[str, str]]:
    return {
        "class_names": {str(c): n for c, n in labels.class_names.items()},
        "class_colours": {str(c): n for c, n in labels.class_colours.items()},
    }


def _scene_facts(scene: Scene) -> SceneFacts:
    where = scene.georeference
    return SceneFacts(
        name=scene.name,
        rows=scene.rows,
        cols=scene.cols,
        bands=scene.bands,
        wavelengths_nm=None if scene.wavelengths_nm is None else [float(nm) for nm in scene.wavelengths_nm],
        fwhm_nm=None if scene.fwhm_nm is None else [float(nm) for nm in scene.fwhm_nm],
        band_names=list(scene.band_names),
        nodata=[value for value in scene.nodata if np.isfinite(value)],
        scale=scene.scale,
        crs=None if where is None else where.crs,
        transform=None if where is None else where.transform,
        licence=scene.licence,
        citation=scene.citation,
    )


def _create(job: Job) -> Store:
    scene, projection, tiling, layout = (
        job.extractor.scene,
        job.extractor.model_input.projection,
        job.extractor.tiling,
        job.plan.layout,
    )
    manifest = Manifest(
        key=job.recipe.key,
        recipe=job.recipe.canonical(),
        layout=layout,
        batch=job.extractor.batch,
        scene=_scene_facts(scene),
        provenance={
            "hsifeat": hsifeat.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "backbone": job.extractor.backbone.name,
            "backbone_source": getattr(job.extractor.backbone, "source", ""),
            "device": job.extractor.device,
            "python": platform.python_version(),
        },
    )
    arrays = {"weights": projection.weights, "offset": projection.offset}
    pixels = None if tiling.pixels is None else (tiling.pixels.rows, tiling.pixels.cols)
    return Store.create(job.location, manifest, SceneArrays(scene.cube, scene.valid, arrays, pixels))
