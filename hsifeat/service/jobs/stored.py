"""Digests of stores, for the key of a request (see `JobRequest.key`)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from hsifeat.service.store_index import ServedStore
from hsifeat.store.store import Store


def store_facts(served: ServedStore) -> Any:
    """Return the key of a store, the metadata of its scene, and the digests of its planes and label maps, as JSON values.

    Raises
    ------
    StoreError
        If the store does not exist or is damaged.
    """
    store = Store.open(served.location)
    planes = [[str(plane.id), hashlib.sha256(store.fingerprint(plane.id)).hexdigest()] for plane in store.planes]
    return [store.key, *_scene_facts(store, store.labels), planes]


def scene_digest(store: Store, labels: Iterable[str]) -> str:
    """Return a digest of the metadata of the scene in a store and of the label maps named `labels`, 64 hexadecimal digits.

    Raises
    ------
    StoreError
        If a label map does not exist or is damaged.
    """
    return hashlib.sha256(json.dumps(_scene_facts(store, labels), sort_keys=True).encode()).hexdigest()


def _scene_facts(store: Store, labels: Iterable[str]) -> list[Any]:
    maps = [
        [name, hashlib.sha256(store.label_classes(name).tobytes()).hexdigest(), store.label_array(name).attrs.asdict()]
        for name in labels
    ]
    return [store.manifest.scene.model_dump(mode="json"), maps]
