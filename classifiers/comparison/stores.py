"""Stores of a benchmark.

The stores that are compared with each other are called alternatives. Each alternative is combined with the context
stores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from classifiers.layout import ColumnGroup
from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.features.open_features import open_features
from hsifeat.features.stack import StackedFeatures
from hsifeat.types import PlaneId


def open_alternatives(stores: str | Path | Features | Sequence[str | Path | Features] | None) -> dict[str, Features]:
    """Open the stores of a benchmark.

    The result has one alternative for each store of a diffusion model. An alternative has the columns of this store and of
    all context stores. If all stores are context stores, each of them is an alternative.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of them, optional
        Stores of one scene, in any form that `hsifeat.open_features` accepts. [default: the store that was completed last]

    Returns
    -------
    dict of str to Features
        Alternatives by unique names. An alternative has the name of its store of a diffusion model. If all stores are
        context stores, an alternative has the name of its context store.

    Raises
    ------
    StoreError
        If the stores are of different scenes.
    """
    locations = [stores] if stores is None or isinstance(stores, str | Path | Features) else list(stores)
    opened = [store if isinstance(store, Features) else open_features(store) for store in locations]
    context = [features for features in opened if features.is_context]
    alternatives = [features for features in opened if not features.is_context] or context
    named: dict[str, Features] = {}
    for features in alternatives:
        if features.recipe["scene"] != opened[0].recipe["scene"]:
            raise StoreError(
                f"stores of different scenes can't be compared: {opened[0].name} is of {opened[0].scene.name}, "
                f"{features.name} is of {features.scene.name}"
            )
        name = features.name
        while name in named:
            name += "'"
        named[name] = features if features.is_context or not context else StackedFeatures([features, *context])
    return named


def single_stores(features: Features) -> tuple[Features, ...]:
    """Return the stores whose columns `features` combines.

    The combination has the name of the first of these stores.
    """
    return features.stores if isinstance(features, StackedFeatures) else (features,)


def origin_of(features: Features, groups: Sequence[ColumnGroup]) -> str:
    """Return a text that identifies the source of the columns of a table.

    The text consists of the keys of the stores whose planes are in the table. For spectra alone, it is the digest of the
    scene. Spectra are the same in every store of a scene, so runs on spectra alone are reused for all stores.
    """
    ids = dict.fromkeys(PlaneId(g.t, g.layer) for g in groups if g.t is not None and g.layer is not None)
    keys = dict.fromkeys(features.owner(plane)[0].key for plane in (features.select([*ids]) if ids else []))
    return "+".join(keys) or str(features.recipe["scene"])
