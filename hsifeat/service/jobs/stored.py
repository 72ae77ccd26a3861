"""Digests of stores, for the key of a request (see `JobRequest.key`)."""

from __future__ import annotations

import hashlib
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
    labels = [
        [name, hashlib.sha256(store.label_classes(name).tobytes()).hexdigest(), store.label_array(name).attrs.asdict()]
        for name in store.labels
    ]
    return [served.key, store.manifest.scene.model_dump(mode="json"), planes, labels]
