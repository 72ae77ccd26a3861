"""A context store that is computed without hsifeat: window means and a profile of a scene, by SciPy."""

import numpy as np
from scipy.ndimage import grey_opening, uniform_filter

from hsifeat.features.features import Features
from hsifeat.store.create import SceneArrays
from hsifeat.store.manifest import Manifest
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.recipe import key_of
from hsifeat.store.store import Store
from hsifeat.types import PlaneId

SIZES = {"mean-5": 5, "mean-9": 9, "profile-3": 3, "profile-5": 5}


def context_layers(cube):
    """Return a dict that maps the names of context layers to (rows, cols, channels) float32 arrays."""
    bands = cube.astype(np.float32)
    return {
        name: uniform_filter(bands, (size, size, 0), mode="nearest")
        if name.startswith("mean")
        else grey_opening(bands[..., :2], (size, size, 1))
        for name, size in SIZES.items()
    }


def write_context_store(path, features, **more):
    """Write a context store of the scene of another store, with the layers `more` as well, and return its features."""
    manifest = features.store.manifest
    recipe = {**manifest.recipe, "backbone": {"kind": "context"}}
    scene = features.scene
    arrays = SceneArrays(np.asarray(scene.cube[:]), features.valid, {})
    store = Store.create(path, Manifest(**{**dict(manifest), "recipe": recipe, "key": key_of(recipe)}), arrays)
    for labels in scene.labels.values():
        attributes = {"class_names": {str(number): name for number, name in labels.class_names.items()}}
        store.add_labels(labels.name, labels.classes, attributes)
    for name, values in {**context_layers(arrays.cube), **more}.items():
        plane = PlaneSpec(PlaneId(0, name), 1, values.shape[2], "float32")
        store.add_planes([plane])
        for unit in store.units:
            store.write(plane.id, unit, values[store.layout.slices(unit, 1)])
    store.write_record_checksums()
    return Features(Store.open(path))
