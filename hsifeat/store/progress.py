"""Progress records: which units of which planes are done, and the sha256 of their values.

A unit is done once its record exists, and the record is written after the data. Whatever an interrupted run left
without one counts as missing and is written again. A record that cannot be read was torn; its unit is missing too.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import StoreError
from hsifeat.store import checksums as checksum_file
from hsifeat.store.keys import record_key
from hsifeat.store.layout import DIGEST_BYTES, PlaneLayout, Unit
from hsifeat.store.store_files import StoreFiles
from hsifeat.types import PlaneId


class ProgressRecords:
    """The progress records of a store.

    Parameters
    ----------
    files : StoreFiles
        The store.
    layout : PlaneLayout
        Its units.
    """

    def __init__(self, files: StoreFiles, layout: PlaneLayout) -> None:
        self._files, self._layout = files, layout

    def done(self, plane: PlaneId) -> NDArray[np.bool_]:
        """Return a bool array of the shape of the grid of units: True where a unit of the plane is done."""
        done = np.zeros(self._layout.unit_grid, dtype=bool)
        if not self._files.has_array(f"progress/{plane.path}"):
            return done
        records = self._files.array(f"progress/{plane.path}")
        try:
            with self._files.location.error_context():
                done[:] = np.asarray(records[:]).any(axis=2)
        except StoreError:
            raise
        except (ValueError, RuntimeError):
            for index in np.ndindex(done.shape):
                with suppress(ValueError, RuntimeError):
                    done[index] = np.asarray(records[index]).any()
        return done

    def digest(self, plane: PlaneId, unit: Unit) -> bytes | None:
        """Return the recorded sha256 of a unit's values; None if it has no record or a torn one."""
        content = self._files.location.get(record_key(plane, unit))
        return content if content is not None and len(content) == DIGEST_BYTES and any(content) else None

    def record(self, plane: PlaneId, unit: Unit, values: NDArray[np.generic]) -> None:
        """Record that a unit is done: its data are written.

        Parameters
        ----------
        plane : PlaneId
            The plane.
        unit : Unit
            The unit.
        values : array
            The unit's values, in the shape and dtype in which the plane stores them.
        """
        self._files.location.put(record_key(plane, unit), digest_of(values))

    def revoke(self, plane: PlaneId, unit: Unit) -> None:
        """Delete the record of a unit, so that the next extraction computes it again."""
        with self._files.location.error_context():
            if self._files.checksums.pop(_records_key(plane), None):
                self._files.save_checksums()
            self._files.location.delete(record_key(plane, unit))

    def fingerprint(self, plane: PlaneId) -> bytes:
        """Return the digests of all units of a plane, read anew each time: two planes with equal ones are equal."""
        records = self._files.array(f"progress/{plane.path}")
        with self._files.location.error_context():
            return np.asarray(records[:]).tobytes()

    def write_checksums(self, planes: list[PlaneId]) -> None:
        """Add the checksum of all records of each complete plane, so that the loss of a record is noticed."""
        complete = [plane for plane in planes if self.done(plane).all()]
        new = {_records_key(plane): checksum_file.checksum(self.fingerprint(plane)) for plane in complete}
        if new.items() - self._files.checksums.items():
            self._files.checksums |= new
            self._files.save_checksums()


def digest_of(values: NDArray[np.generic]) -> bytes:
    """Return the sha256 of a unit's values, an array of any shape and dtype, as it is recorded."""
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _records_key(plane: PlaneId) -> str:
    return f"progress/{plane.path}{checksum_file.RECORDS}"
