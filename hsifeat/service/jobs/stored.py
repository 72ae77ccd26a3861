"""Stores that requests name by their keys."""

from __future__ import annotations

import hashlib
import re
from typing import Any

from hsifeat.cache import catalogue
from hsifeat.cache.catalogue import CatalogueEntry
from hsifeat.errors import StoreError
from hsifeat.store.store import Store

_KEY = re.compile(r"[0-9a-f]{8,64}")


def find_stored(key: str) -> CatalogueEntry:
    """Return the entry of a store in the catalogue by its key, or by at least 8 first digits of the key.

    Raises
    ------
    StoreError
        No store, or several stores with different keys, match.
    """
    matches = [entry for entry in catalogue.entries() if entry.key.startswith(key)] if _KEY.fullmatch(key) else []
    if len({entry.key for entry in matches}) != 1:
        problem = "several stores match" if matches else "no store has"
        raise StoreError(f"{problem} the key {key!r}: GET /stores lists the stores and their keys")
    return matches[0]


def store_facts(key: str) -> Any:
    """Return everything that determines the values of a store, with its label maps, as JSON values.

    Raises
    ------
    StoreError
        The store does not exist or is damaged.
    """
    entry = find_stored(key)
    store = Store.open(entry.location)
    planes = [[str(plane.id), hashlib.sha256(store.fingerprint(plane.id)).hexdigest()] for plane in store.planes]
    labels = [
        [name, hashlib.sha256(store.label_classes(name).tobytes()).hexdigest(), store.label_array(name).attrs.asdict()]
        for name in store.labels
    ]
    return [entry.key, planes, labels]
