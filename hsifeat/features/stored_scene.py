"""Open the scene in a store as a `Scene`, without reading its cube."""

from __future__ import annotations

from typing import Any

from hsifeat.errors import SceneError, StoreError
from hsifeat.features.stored_array import StoredArray
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.scene_in_store import georeference_of_facts, scene_of_facts
from hsifeat.store.store import Store


def georeference_of(store: Store) -> Georeference | None:
    """Return the georeference of the scene in a store; None if the scene has no georeference.

    Raises
    ------
    StoreError
        If the CRS in the manifest is not WKT, or the transform has no finite inverse.
    """
    try:
        return georeference_of_facts(store.manifest.scene)
    except SceneError as error:
        raise StoreError(f"{store.location}: {error}: extract the scene again to another place") from error


def scene_of(store: Store) -> Scene:
    """Return the scene in a store, with its label maps and a cube that is read lazily."""
    georeference_of(store)
    labels = {name: _labels(store, name) for name in store.labels}
    return scene_of_facts(store.manifest.scene, StoredArray(store.scene_array("cube")), store.valid, labels)


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
