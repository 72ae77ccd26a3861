"""Progress records of a store. A record is a file that marks one unit (block) of one plane as finished.

The record contains the sha256 of the values of the unit. An extraction writes the record after the values. A unit with a
missing or damaged record is not finished, and the next extraction computes this unit again.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store import checksums as checksum_file
from hsifeat.store.keys import record_key, records_key
from hsifeat.store.plane_layout import DIGEST_BYTES, PlaneLayout, Unit
from hsifeat.store.shard_tags import split_tags
from hsifeat.store.store_files import StoreFiles
from hsifeat.types import PlaneId

if TYPE_CHECKING:
    import zarr

# Maximum number of records, each a file, that are read at once. Zarr starts a task for each.
_RECORDS_AT_A_TIME = 128
# Largest accepted size of a record.
_MAX_RECORD_BYTES = 2**20


class ProgressRecords:
    """The progress records of a store.

    Parameters
    ----------
    files : StoreFiles
        Files of the store.
    layout : PlaneLayout
        Division of the planes into units.
    """

    def __init__(self, files: StoreFiles, layout: PlaneLayout) -> None:
        self._files, self._layout = files, layout

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return which units of a plane are finished, as a bool array with the shape of the grid of units.

        A unit with a damaged record is not finished.

        Raises
        ------
        StoreError
            If the metadata of the records is damaged. If the location can't be reached.
        """
        return np.asarray(self._digests(plane).any(axis=2))

    def is_complete(self, plane: PlaneId) -> bool:
        """Return whether all units of a plane are finished.

        In ``checksums.json``, only a complete plane has a checksum of its records. If this checksum exists, no record is
        read. Only `done` and `hsifeat.store.verify` notice a record that was lost later.
        """
        return records_key(plane) in self._files.checksums or bool(self.done(plane).all())

    def digest(self, plane: PlaneId, unit: Unit) -> bytes | None:
        """Return the recorded sha256 of a unit's values, or None if the record is missing or damaged."""
        return (self._content(plane, unit) or b"")[:DIGEST_BYTES] or None

    def tags(self, plane: PlaneId, unit: Unit) -> tuple[bytes, ...]:
        """Return the recorded tags (see `shard_tags`) of a unit's shard; empty if the record is missing or damaged."""
        return split_tags((self._content(plane, unit) or b"")[DIGEST_BYTES:])

    def _array(self, plane: PlaneId) -> zarr.Array[Any]:
        """Return the (unit rows, unit cols, bytes) array of the records of a plane; raise `StoreError` for another shape."""
        records = self._files.array(f"progress/{plane.path}")
        if (
            records.ndim != 3
            or records.shape[:2] != self._layout.unit_grid
            or not DIGEST_BYTES < records.shape[2] < _MAX_RECORD_BYTES
        ):
            raise StoreError(
                f"{self._files.location}: the metadata of progress/{plane.path} are wrong: found the shape {records.shape}: extract the "
                "scene to another place"
            )
        return records

    def _content(self, plane: PlaneId, unit: Unit) -> bytes | None:
        content = self._files.location.get(record_key(plane, unit))
        size = self._array(plane).shape[2]
        return content if content is not None and len(content) == size and any(content[:DIGEST_BYTES]) else None

    def record(self, plane: PlaneId, unit: Unit, digest: bytes, tags: bytes) -> None:
        """Write the progress record of a unit, after its values were written.

        Parameters
        ----------
        plane : PlaneId
            Plane of the unit.
        unit : Unit
            The finished unit.
        digest : bytes
            Result of `digest_of` for the values of the unit.
        tags : bytes
            Checksum bytes of the unit's shard, one tag after the other (see `shard_tags`).
        """
        self._files.location.put(record_key(plane, unit), digest + tags)

    def revoke(self, plane: PlaneId, unit: Unit) -> None:
        """Delete the progress record of a unit, so that the next extraction computes the unit again."""
        with self._files.location.error_context():
            if self._files.checksums.pop(records_key(plane), None):
                self._files.save_checksums()
            self._files.location.delete(record_key(plane, unit))

    def fingerprint(self, plane: PlaneId) -> bytes:
        """Return the recorded sha256 digests of all units of a plane, one after the other, as bytes.

        Two complete planes with equal fingerprints have equal values. The digest of an unfinished unit is 0, see `done`.

        Raises
        ------
        StoreError
            If the metadata of the records is damaged. If the location can't be reached.
        """
        return self._digests(plane).tobytes()

    def _digests(self, plane: PlaneId) -> NDArray[np.uint8]:
        """Return a (unit rows, unit cols, 32) uint8 array with the sha256 of each unit; 0 if a record is missing or damaged."""
        digests = np.zeros((*self._layout.unit_grid, DIGEST_BYTES), np.uint8)
        if not self._files.has_array(f"progress/{plane.path}"):
            return digests
        records = self._array(plane)
        try:
            with self._files.location.error_context():
                digests[:] = _read(records)[..., :DIGEST_BYTES]
        except StoreError:
            raise
        except (ValueError, RuntimeError):
            for index in np.ndindex(self._layout.unit_grid):
                with suppress(ValueError, RuntimeError):
                    digests[index] = np.asarray(records[index])[..., :DIGEST_BYTES]
        return digests

    def records(self, plane: PlaneId) -> NDArray[np.uint8]:
        """Read the progress records of a plane as a (unit rows, unit cols, bytes) uint8 array."""
        with self._files.location.error_context():
            return _read(self._array(plane))

    def write_checksums(self, planes: list[PlaneId]) -> None:
        """Add one checksum to ``checksums.json`` for each complete plane in `planes`.

        The checksum is computed from all progress records of the plane. With it, `hsifeat.store.verify` detects a lost
        record.
        """
        new = {
            records_key(plane): checksum_file.checksum(self.records(plane).tobytes())
            for plane in self.without_checksums(planes)
        }
        if new:
            self._files.checksums |= new
            self._files.save_checksums()

    def drop_checksums(self, planes: list[PlaneId]) -> None:
        """Remove the checksum of the progress records of each plane in `planes` from ``checksums.json``."""
        keys = [records_key(plane) for plane in planes if records_key(plane) in self._files.checksums]
        if keys:
            for key in keys:
                del self._files.checksums[key]
            self._files.save_checksums()

    def without_checksums(self, planes: list[PlaneId]) -> list[PlaneId]:
        """Return the complete planes in `planes` for which ``checksums.json`` has no checksum of the progress records."""
        return [p for p in planes if records_key(p) not in self._files.checksums and self.done(p).all()]


def digest_of(values: NDArray[np.generic]) -> bytes:
    """Return the sha256 digest (32 bytes) of the values of an array of any shape and dtype."""
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _read(records: zarr.Array[Any]) -> NDArray[np.uint8]:
    """Read an array of progress records, some rows at a time."""
    values = np.empty(records.shape, np.uint8)
    height = max(1, _RECORDS_AT_A_TIME // max(1, prod(records.shape[1:2])))
    for row in range(0, len(values), height):
        values[row : row + height] = np.asarray(records[row : row + height])
    return values
