"""Pydantic models of the JSON responses that describe stores."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.features.features import Features
from hsifeat.scene_facts import SceneFacts
from hsifeat.service.store_index import ServedStore, StoreIndex, Version
from hsifeat.store.plane_layout import size_bytes
from hsifeat.store.store import Store

State = Literal["complete", "interrupted", "being written"]
# Entries with paths on the machine of the service, which clients must not see.
_PRIVATE_PROVENANCE = {"backbone_source"}
_log = logging.getLogger("hsifeat.service")


class PlaneInfo(BaseModel):
    """A plane of a store: the features of one timestep and layer."""

    plane: Annotated[str, Field(description="Name, such as t50/up_blocks.2.")]
    path: Annotated[str, Field(description="Path of the array in the store, such as planes/t0050/up_blocks.2.")]
    t: int
    layer: str
    stride: Annotated[int, Field(description="Side of a cell in scene pixels.")]
    channels: int
    dtype: str
    units_done: Annotated[int, Field(description="Finished units (blocks).")]
    units: int
    bytes: Annotated[int, Field(description="Uncompressed size.")]


class ClassInfo(BaseModel):
    """A class of a label map."""

    number: int
    name: str
    colour: str | None
    pixels: int


class LabelMapInfo(BaseModel):
    """A label map in a store."""

    name: str
    classes: list[ClassInfo]


class StoreEntry(BaseModel):
    """A store in the list of stores."""

    key: str
    name: str
    scene: str
    scene_digest: Annotated[str, Field(description="Stores with equal digests have the same scene.")]
    rows: int
    cols: int
    bands: int
    backbone: str
    is_context: Annotated[
        bool, Field(description="Whether the planes come from context filters instead of a diffusion model.")
    ]
    covers_scene: Annotated[bool, Field(description="Whether planes cover the scene, instead of listed pixels only.")]
    state: State
    planes: Annotated[int, Field(description="Number of complete planes.")]
    unfinished: Annotated[int, Field(description="Number of unfinished planes.")]


class StorePage(BaseModel):
    """A page of the list of stores."""

    stores: list[StoreEntry]
    total: Annotated[int, Field(description="Number of stores on all pages.")]
    next: Annotated[str | None, Field(description="Value of `after` for the next page; null on the last page.")]


class StoreDetails(StoreEntry):
    """A store with its planes, label maps, recipe and addresses."""

    schema_version: int
    facts: Annotated[SceneFacts, Field(description="Wavelengths, georeference, licence and citation of the scene.")]
    layout: Annotated[dict[str, Any], Field(description="Shapes of planes and their division into units.")]
    plane_list: list[PlaneInfo]
    label_maps: list[LabelMapInfo]
    recipe: Annotated[
        dict[str, Any],
        Field(description="All settings that determine the values; the key of the store is the sha256 of the recipe."),
    ]
    provenance: dict[str, Any]
    zarr: Annotated[str, Field(description="Path of the Zarr group below the address of the service.")]


class Summaries:
    """One `StoreEntry` for each intact store. The entry of a complete store is cached until the store changes.

    Parameters
    ----------
    stores : StoreIndex
        The stores of the service.
    """

    def __init__(self, stores: StoreIndex) -> None:
        self._stores = stores
        self._kept: dict[ServedStore, tuple[Version, StoreEntry]] = {}

    def search(self, text: str = "") -> list[tuple[ServedStore, StoreEntry]]:
        """Return the intact stores, sorted by key, for which each word of `text` occurs in the name, scene, backbone or key."""
        words, found = text.lower().split(), []
        for store in self._stores.stores():
            try:
                entry = self._entry(store)
            except DAMAGE_ERRORS as error:
                _log.warning("a store is not listed: %s", error)
                continue
            searched = f"{entry.name} {entry.scene} {entry.backbone} {entry.key}".lower()
            if all(word in searched for word in words):
                found.append((store, entry))
        return found

    def _entry(self, store: ServedStore) -> StoreEntry:
        version = self._stores.version(store.location)
        kept = self._kept.get(store)
        if kept is not None and kept[0] == version:
            return kept[1]
        # Unlike open_features, this does not count as a use of the store.
        summary = StoreEntry(**_summary(store, Features(Store.open(store.location))))
        if version and not summary.unfinished:
            self._kept[store] = version, summary
        return summary


def details_of(store: ServedStore, features: Features) -> StoreDetails:
    """Describe a store with its planes, label maps, recipe and addresses."""
    manifest = features.store.manifest
    return StoreDetails(
        **_summary(store, features),
        schema_version=manifest.schema_version,
        facts=manifest.scene,
        layout=asdict(manifest.layout),
        plane_list=[_plane(features, number) for number in range(len(features.store.planes))],
        label_maps=[_label_map(features, name) for name in features.store.labels],
        recipe=manifest.recipe,
        provenance={name: value for name, value in manifest.provenance.items() if name not in _PRIVATE_PROVENANCE},
        zarr=f"/stores/{store.key}.zarr/",
    )


def _summary(store: ServedStore, features: Features) -> dict[str, Any]:
    scene = features.store.manifest.scene
    planes, unfinished = len(features.planes), len(features.unfinished)
    written = bool(unfinished) and store.is_being_written
    return {
        "key": store.key,
        "name": features.name,
        "scene": scene.name,
        "scene_digest": str(features.recipe.get("scene", "")),
        "rows": scene.rows,
        "cols": scene.cols,
        "bands": scene.bands,
        "backbone": str(features.store.manifest.provenance.get("backbone", "")),
        "is_context": features.is_context,
        "covers_scene": features.covers_scene,
        "state": "being written" if written else "interrupted" if unfinished else "complete",
        "planes": planes,
        "unfinished": unfinished,
    }


def _plane(features: Features, number: int) -> PlaneInfo:
    plane = features.store.planes[number]
    done = features.store.done(plane.id)
    return PlaneInfo(
        plane=str(plane.id),
        path=f"planes/{plane.id.path}",
        t=plane.id.t,
        layer=plane.id.layer,
        stride=plane.stride,
        channels=plane.channels,
        dtype=plane.dtype,
        units_done=int(done.sum()),
        units=int(done.size),
        bytes=size_bytes(features.store.layout, plane, features.store.layout.extent),
    )


def _label_map(features: Features, name: str) -> LabelMapInfo:
    labels = features.labels(name)
    classes = [
        ClassInfo(number=number, name=labels.class_names[number], colour=labels.class_colours[number], pixels=pixels)
        for number, pixels in labels.counts.items()
    ]
    return LabelMapInfo(name=name, classes=classes)
