"""Creation of a store without planes: its scene, its manifest, and possibly a list of pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.cube_digest import CubeDigest, changed_scene_error
from hsifeat.store import checksums
from hsifeat.store.checksums import ChecksumWriter
from hsifeat.store.location import Location
from hsifeat.store.manifest import Manifest
from hsifeat.store.plane_layout import cube_options, small_array_options
from hsifeat.types import Cube, Window, plain_values
from hsifeat.zarr_thread import start_zarr_thread

if TYPE_CHECKING:
    import zarr

# Attribute of a root group whose scene is still being copied.
_UNFINISHED = "hsifeat_unfinished"
# Maximum size of the rows of a scene that are in memory while the scene is copied.
_ROWS_BYTES = 2**27


@dataclass(frozen=True)
class SceneArrays:
    """Arrays of a scene, as they are written to a store.

    Attributes
    ----------
    cube : array-like of shape (rows, cols, bands)
        Values of the scene, stored as ``scene/cube``. They are copied one shard at a time.
    valid : (rows, cols) bool array
        Mask of the valid pixels, stored as ``scene/valid``.
    projection : mapping of str to float32 array
        Fitted arrays of the projection by name, stored below ``scene/projection/``.
    pixels : tuple of two (n,) integer arrays, or None
        Rows and columns of the pixels with features, stored below ``pixels/``. None if the whole scene has features.
    digest : str, optional
        Digest that `cube` and `valid` must have; see `hsifeat.cube_digest.CubeDigest`. [default: it is not checked]
    """

    cube: Cube
    valid: NDArray[np.bool_]
    projection: Mapping[str, NDArray[np.float32]]
    pixels: tuple[NDArray[np.intp], NDArray[np.intp]] | None = None
    digest: str | None = None


def create_store(location: Location, manifest: Manifest, scene: SceneArrays) -> None:
    """Write the scene and the manifest of a new store. Planes are added later.

    The manifest is written last. If the process is killed before that, the location does not count as a store.

    Parameters
    ----------
    location : Location
        Location of the new store. It is empty, or has a store whose creation was interrupted. All files at the location
        are deleted first.
    manifest : Manifest
        Metadata of the store.
    scene : SceneArrays
        Arrays of the scene.

    Raises
    ------
    SceneError
        If the values that were copied have another digest than the scene. The files at the location are deleted.
    """
    import zarr

    start_zarr_thread()
    unfinished = root_metadata({_UNFINISHED: True})
    files = {checksums.ROOT: checksums.checksum(unfinished)}
    with location.error_context():
        for key in location.files():
            location.delete(key)
        location.put(checksums.ROOT, unfinished)
        group = zarr.open_group(ChecksumWriter(location.zarr(writable=True), location, files), mode="r+", zarr_format=3)
        digest = _write_scene(group, manifest, scene)
        if scene.digest not in (None, digest):
            location.clear()
            raise changed_scene_error(manifest.scene.name)
        group.create_group("planes")
        root = root_metadata({"hsifeat": manifest.model_dump(mode="json")})
        checksums.write(location, {**files, checksums.ROOT: checksums.checksum(root)})
        location.put(checksums.COPY_OF[checksums.ROOT], root)
        location.put(checksums.ROOT, root)


def is_unfinished(root: bytes) -> bool:
    """Return whether the creation of a store was interrupted. `root` is the content of its file ``zarr.json``."""
    try:
        return _UNFINISHED in json.loads(root).get("attributes", {})
    except (ValueError, AttributeError, TypeError, RecursionError):
        return False


def is_other_zarr(root: bytes) -> bool:
    """Return whether a file ``zarr.json`` is intact and belongs to a Zarr group or array that is not a store."""
    try:
        metadata = json.loads(root)
        return metadata["node_type"] == "array" or "hsifeat" not in metadata["attributes"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return False


def root_metadata(attributes: dict[str, Any]) -> bytes:
    """Return the content of ``zarr.json`` for a root group with these attributes."""
    from zarr.core.buffer import default_buffer_prototype
    from zarr.core.group import GroupMetadata

    metadata = GroupMetadata(attributes=attributes).to_buffer_dict(default_buffer_prototype())
    return metadata["zarr.json"].to_bytes()


def _write_scene(group: zarr.Group, manifest: Manifest, scene: SceneArrays) -> str:
    """Write the arrays of a scene. Return the digest of the values and of the mask that were written."""
    rows, cols, bands = manifest.scene.rows, manifest.scene.cols, manifest.scene.bands
    cube = group.create_array(
        "scene/cube",
        shape=(rows, cols, bands),
        **cube_options(manifest.layout, bands),
        dtype=np.dtype(scene.cube.dtype).newbyteorder("="),
        dimension_names=("y", "x", "band"),
    )
    digest = _copy_cube(scene.cube, cube, manifest.layout.cube_shard_px)
    arrays: dict[str, tuple[NDArray[Any], tuple[str, ...]]] = {"scene/valid": (scene.valid, ("y", "x"))}
    for name, values in scene.projection.items():
        arrays[f"scene/projection/{name}"] = values, ("band", "input_channel")[-values.ndim :]
    for name, indices in zip(("rows", "cols"), scene.pixels or (), strict=False):
        arrays[f"pixels/{name}"] = indices.astype(np.int32), ("pixel",)
    for path, (data, names) in arrays.items():
        group.create_array(path, data=data, dimension_names=names, **small_array_options(data.shape))
    return digest.hexdigest(scene.valid)


def _copy_cube(source: Cube, cube: zarr.Array[Any], side: int) -> CubeDigest:
    """Copy a cube into an array with shards of `side` pixels. Return the digest of the values.

    The digest needs whole rows. If a row of shards is larger than `_ROWS_BYTES`, as in a very wide scene, its values are read
    twice: as rows for the digest, and as shards for the copy. Otherwise, they are read once.
    """
    rows, cols, bands = cube.shape
    digest = CubeDigest(cube.shape, cube.dtype)
    height = min(side, max(1, _ROWS_BYTES // (cols * bands * cube.dtype.itemsize)))
    for strip in (Window(row, 0, min(side, rows - row), cols) for row in range(0, rows, side)):
        for row in range(strip.row, strip.row + strip.rows, height):
            values = plain_values(source[row : min(row + height, strip.row + strip.rows)])
            digest.add(values)
        for col in range(0, cols, side):
            shard = Window(strip.row, col, strip.rows, min(side, cols - col)).slices
            cube[shard] = values[:, shard[1]] if height == side else plain_values(source[shard])
    return digest
