"""Open the cached features of a store by its path or name."""

from __future__ import annotations

import weakref
from pathlib import Path

from hsifeat.cache.catalogue import find_store, mark_used
from hsifeat.features.features import Features
from hsifeat.store.location import Location
from hsifeat.store.locks import mark_reader
from hsifeat.store.store import Store


def open_features(store: Store | Location | str | Path | None = None) -> Features:
    """Open the features of a store for reading.

    Parameters
    ----------
    store : Store, Location, str or Path, optional
        A store that `extract` returned, a path or URL of a store, a name in the catalogue, or the first digits of a key.
        [default: the store that was completed last]

    Returns
    -------
    Features
        Features of the store.

    Raises
    ------
    StoreError
        If the store does not exist, or the path leads to something other than a store.

    Examples
    --------
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> features.shape
    (75, 53, 12)
    >>> features.sample([0, 3], [5, 5], ["t300/*"]).shape
    (2, 56)
    """
    location = store.location if isinstance(store, Store) else find_store(store)
    try:
        remove_mark = mark_reader(location)
    except OSError:  # The cache folder is read-only, so that no process on this machine can delete the store.
        remove_mark = None
    try:
        features = Features(Store.open(location))
    except BaseException:
        if remove_mark is not None:
            remove_mark()
        raise
    if remove_mark is not None:
        # Lazy arrays may outlive the features. The mark stays until the Zarr store that they share is released.
        weakref.finalize(features.store.files.group.store, remove_mark)
    mark_used(location)
    return features
