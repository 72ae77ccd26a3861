"""Making a store: its scene, its list of pixels if it has one, and the metadata that come first and last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.store import checksums as seals
from hsifeat.store.checksums import ChecksumWriter
from hsifeat.store.layout import CHUNK_CELLS, codec
from hsifeat.store.location import Location
from hsifeat.store.manifest import Manifest
from hsifeat.types import Cube, windows

if TYPE_CHECKING:
    import zarr

# Attribute of a root group whose scene is still being copied.
_BEGUN = "hsifeat_begun"


@dataclass(frozen=True)
class SceneArrays:
    """The arrays of a scene that go into a store, by name below ``scene/``.

    Attributes
    ----------
    cube : array-like of shape (rows, cols, bands)
        Copied a shard at a time.
    valid : (rows, cols) bool array
        Valid pixels.
    projection : dict of str to array
        What was fitted.
    pixels : tuple of two (n,) integer arrays, or None
        Rows and columns of the pixels that planes list, below ``pixels/``; None where they cover the scene.
    """

    cube: Cube
    valid: NDArray[np.bool_]
    projection: Mapping[str, NDArray[np.float32]]
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None


def make(location: Location, manifest: Manifest, scene: SceneArrays) -> None:
    """Make a store without planes. The manifest comes last: without one, there is no store."""
    import zarr

    begun = _root({_BEGUN: True})
    found = {seals.ROOT: seals.seal(begun)}
    with location.guarded():
        for key in location.files():  # what a killed process began to make: `Store.find` saw to it that it is that
            location.delete(key)
        location.put(seals.ROOT, begun)
        group = zarr.open_group(ChecksumWriter(location.zarr(writable=True), location, found), mode="r+", zarr_format=3)
        _write_scene(group, manifest, scene)
        for name in ("planes", "progress"):
            group.create_group(name)
        root = _root({"hsifeat": manifest.model_dump(mode="json")})
        seals.save(location, {**found, seals.ROOT: seals.seal(root)})
        location.put(seals.COPY_OF[seals.ROOT], root)
        location.put(seals.ROOT, root)


def was_begun(root: bytes) -> bool:
    """Tell whether a root group's metadata are those of a store that was never finished making."""
    try:
        return _BEGUN in json.loads(root).get("attributes", {})
    except (ValueError, AttributeError, TypeError):
        return False


def _root(attributes: dict[str, Any]) -> bytes:
    """Return a root group's metadata as Zarr writes them."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.group import GroupMetadata

    metadata = GroupMetadata(attributes=attributes).to_buffer_dict(default_buffer_prototype())
    return metadata["zarr.json"].to_bytes()


def _write_scene(group: zarr.Group, manifest: Manifest, scene: SceneArrays) -> None:
    side, bands = manifest.layout.cube_shard_px, manifest.scene.bands
    chunk = CHUNK_CELLS if side % CHUNK_CELLS == 0 else side
    cube = group.create_array(
        "scene/cube",
        shape=(manifest.scene.rows, manifest.scene.cols, bands),
        shards=(side, side, bands),
        chunks=(chunk, chunk, bands),
        dtype=np.dtype(scene.cube.dtype).newbyteorder("="),
        compressors=codec(),
        dimension_names=("y", "x", "band"),
    )
    for window in windows(manifest.scene.rows, manifest.scene.cols, side):
        cube[window.slices] = np.asarray(scene.cube[window.slices])
    group.create_array("scene/valid", data=scene.valid, dimension_names=("y", "x"))
    for name, values in scene.projection.items():
        group.create_array(f"scene/projection/{name}", data=values)
    for name, indices in zip(("rows", "cols"), scene.pixels or (), strict=False):
        group.create_array(f"pixels/{name}", data=indices.astype(np.int32), dimension_names=("pixel",))
