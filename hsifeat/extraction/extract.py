"""Extraction from the outside: settle everything, find or make the store, run what is missing."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import hsifeat
from hsifeat.cache import catalogue
from hsifeat.cache.lock import writing
from hsifeat.cache.manifest import Manifest, SceneFacts
from hsifeat.cache.store import SceneArrays, Store
from hsifeat.diffusion.backbone import Backbone
from hsifeat.extraction.job import Job, prepare
from hsifeat.extraction.plan import unit_side
from hsifeat.scenes import Labels, Scene
from hsifeat.work.events import Listener, Note, silent


def extract(
    scene: Scene | str | Path, *, backbone: Backbone | str | Path, listen: Listener = silent, **options: object
) -> Store:
    """Compute the planes of a scene that are missing from its store.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what `open_scene` takes.
    backbone : Backbone, str or Path
        A backbone, or what `open_backbone` takes.
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
    return run(prepare(scene, backbone=backbone, **options), listen=listen)  # type: ignore[arg-type]


def run(job: Job, *, listen: Listener = silent) -> Store:
    """Make the store if need be, compute what is missing, add the scene's label maps, enter it into the catalogue.

    One process at a time writes to a store; another that wants to waits, and then computes what is missing still.
    """
    scene = job.extractor.scene
    for note in scene.notes:
        listen(Note(note))
    with writing(job.path, lambda: listen(Note(f"another process is writing to {job.path}: waiting for it"))):
        job = job.again()
        if job.plan.steps or job.store is None:
            job.check_disk()
            listen(Note(job.intention))
            store = Store.open(job.path, writable=True) if job.store else _create(job)
            job.extractor.run(job.plan, store, listen)
        else:
            store = job.store
            listen(Note(f"all {len(job.plan.planes)} planes are there already: nothing to compute"))
        _add_labels(store, scene.labels)
    catalogue.enter(store.key, store.path)
    return store


def _add_labels(store: Store, maps: Mapping[str, Labels]) -> None:
    """Add the label maps that the store does not hold as they are."""
    for name, labels in maps.items():
        facts = {
            "class_names": {str(c): n for c, n in labels.class_names.items()},
            "class_colours": {str(c): n for c, n in labels.class_colours.items()},
        }
        if name in store.labels:
            there = store.label_array(name)
            if there.attrs.asdict() == facts and np.array_equal(np.asarray(there[:]), labels.classes):
                continue
        Store.open(store.path, writable=True).add_labels(name, labels.classes, facts)


def _create(job: Job) -> Store:
    scene, projection = job.extractor.scene, job.extractor.projection
    manifest = Manifest(
        key=job.recipe.key,
        recipe=job.recipe.canonical(),
        unit_px=unit_side(job.plan.tiling),
        batch=job.extractor.batch,
        scene=SceneFacts(
            name=scene.name,
            rows=scene.rows,
            cols=scene.cols,
            bands=scene.bands,
            wavelengths_nm=None if scene.wavelengths_nm is None else [float(nm) for nm in scene.wavelengths_nm],
            licence=scene.licence,
            citation=scene.citation,
        ),
        provenance={
            "hsifeat": hsifeat.__version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "backbone": job.extractor.backbone.name,
            "device": job.extractor.device,
            "python": platform.python_version(),
        },
    )
    arrays = {"weights": projection.weights, "offset": projection.offset}
    return Store.create(job.path, manifest, SceneArrays(scene.cube, scene.valid, arrays))
