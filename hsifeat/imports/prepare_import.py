"""Prepare an import: read all features once, and derive the planes, the valid pixels and the recipe."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError, SceneError
from hsifeat.extraction.config import ExtractionConfig, StoredDtype
from hsifeat.extraction.job import Prepared
from hsifeat.imports.config import ImportConfig
from hsifeat.imports.feature_map import FeatureMap
from hsifeat.imports.import_extractor import ImportExtractor
from hsifeat.imports.placed_features import PlacedFeatures
from hsifeat.imports.placement import place_features
from hsifeat.runtime.events import Advanced, Finished, Listener, Started
from hsifeat.scenes import Scene
from hsifeat.store.plane_layout import UNIT_PX, PlaneSpec
from hsifeat.store.recipe import ALGORITHM, ImportedPart, Recipe
from hsifeat.types import PlaneId

# Largest side of a unit in pixels. Shards of larger units would not fit into the memory of small machines.
_MAX_UNIT_PX = 512
_NAN = np.float32(np.nan)


def prepare_import(scene: Scene, maps: Iterable[FeatureMap], config: ImportConfig, listen: Listener) -> Prepared:
    """Prepare an import, without writing anything.

    Parameters
    ----------
    scene : Scene
        The scene.
    maps : iterable of FeatureMap
        Features, in the order that the planes get in the store.
    config : ImportConfig
        Options of the import.
    listen : callable
        Receives progress events.

    Returns
    -------
    Prepared
        The prepared import. In its scene, only pixels that have all features are valid.

    Raises
    ------
    HsifeatError
        If features can't be placed on the grid of the scene. If no valid pixel has all features. If the strides have no
        common multiple of at most 512 pixels.
    """
    placed = {one.plane: place_features(one, scene, config.stride) for one in maps}
    unit_px = _unit_px({one.stride for one in placed.values()})
    digest, present = _survey(scene, placed, listen)
    notes = tuple(note for one in placed.values() for note in one.features.notes)
    covered = scene.valid & present
    if not covered.any():
        has_coordinates = any(hasattr(one.features.array, "coords") for one in placed.values())
        raise SceneError(
            f"no valid pixel of {scene.name} has features: check CRS, transform and no-data value of "
            f"{', '.join(dict.fromkeys(one.features.source for one in placed.values()))}"
            + ("; array.values has no coordinates, and is placed by its shape" if has_coordinates else "")
        )
    if (missing := int(np.count_nonzero(scene.valid & ~present))) > 0:
        notes += (f"{missing} of {int(scene.valid.sum())} valid pixels have no features, and are invalid in the store",)
        scene = replace(scene, mask=covered)
    scene = replace(scene, notes=(*scene.notes, *notes))
    dtype = config.dtype or _dtype([one.features for one in placed.values()])
    planes = tuple(PlaneSpec(plane, one.stride, one.features.channels, dtype) for plane, one in placed.items())
    extractor = ImportExtractor(scene, placed, unit_px, _provenance(placed))
    window_px = None if config.window is None else config.window + max(one.spread_px for one in placed.values())
    recipe = Recipe(
        algorithm=ALGORITHM,
        scene=scene.digest,
        backbone=extractor.source.identity(),
        precision={"compute": "float32", "stored": dtype},
        imported=ImportedPart(digest=digest, window_px=window_px),
    )
    return Prepared(ExtractionConfig.from_options({"dtype": dtype}), extractor, planes, recipe)


def _survey(scene: Scene, placed: Mapping[PlaneId, PlacedFeatures], listen: Listener) -> tuple[str, NDArray[np.bool_]]:
    """Read all features, and return the digest of their values and the mask of the pixels that have all features."""
    digest, present = hashlib.sha256(), np.ones((scene.rows, scene.cols), np.bool_)
    total = sum(len(one.blocks()) for one in placed.values())
    listen(Started("read features", total, "blocks"))
    done = 0
    for plane, one in sorted(placed.items()):
        digest.update(f"{plane},{one.stride},{one.rows},{one.cols},{one.features.channels};".encode())
        for block in one.blocks():
            values = one.read(block)
            missing = np.isnan(values[..., 0])
            # NaN has many bit patterns.
            values[missing] = _NAN
            digest.update(np.ascontiguousarray(values, "<f4").data)
            side = one.stride
            pixels = np.repeat(np.repeat(missing, side, axis=0), side, axis=1)
            top, left = block.row * side, block.col * side
            target = present[top : top + pixels.shape[0], left : left + pixels.shape[1]]
            target &= ~pixels[: target.shape[0], : target.shape[1]]
            done += 1
            listen(Advanced("read features", done, str(plane)))
    listen(Finished("read features"))
    return digest.hexdigest(), present


def _unit_px(strides: set[int]) -> int:
    """Return the side of a unit: the smallest common multiple of all strides that is at least `UNIT_PX`."""
    common = lcm(*strides)
    if common > _MAX_UNIT_PX:
        raise HsifeatError(
            f"the strides {', '.join(map(str, sorted(strides)))} have no common multiple of at most {_MAX_UNIT_PX} px: import the "
            "files into separate stores, or resample them with `stride`"
        )
    return common * -(-UNIT_PX // common)


def _dtype(maps: Sequence[FeatureMap]) -> StoredDtype:
    dtypes = [np.dtype(one.array.dtype) for one in maps]
    exact = all(dtype.itemsize == 1 or dtype == np.float16 for dtype in dtypes) and all(
        one.unpacking is None for one in maps
    )
    return "float16" if exact else "float32"


def _provenance(placed: Mapping[PlaneId, PlacedFeatures]) -> dict[str, Any]:
    return {
        "plane_order": [str(plane) for plane in placed],
        "imported": {
            str(plane): {
                "source": one.features.source,
                "cells": list(one.features.shape),
                "dtype": str(np.dtype(one.features.array.dtype)),
                "values": one.features.treatment,
                "placed": one.rule,
                **({"channels": list(one.features.channel_names)} if one.features.channel_names else {}),
            }
            for plane, one in placed.items()
        },
    }
