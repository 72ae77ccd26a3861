"""The files of an open store: its Zarr group, arrays by path, and the checksums that list them."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from hsifeat.errors import StoreError
from hsifeat.store import checksums as checksum_file
from hsifeat.store.checksums import ChecksumReader, ChecksumWriter
from hsifeat.store.create import is_unfinished
from hsifeat.store.keys import is_store_file
from hsifeat.store.location import LocalLocation, Location

if TYPE_CHECKING:
    import zarr


class StoreFiles:
    """The Zarr group of a store, opened so that every read is checked and every write is noted.

    Parameters
    ----------
    location : Location
        Where the store lies.
    writable : bool
        Whether files can be written.

    Attributes
    ----------
    group : zarr.Group
        The root group.
    checksums : dict of str to str
        sha256 by key, of every file except shards and progress records.

    Raises
    ------
    StoreError
        There is no store, or its manifest or checksums are damaged together with their copies.
    """

    def __init__(self, location: Location, *, writable: bool = False) -> None:
        import zarr

        root = location.get(checksum_file.ROOT) or location.get(checksum_file.COPY_OF[checksum_file.ROOT])
        if root is None or is_unfinished(root):
            if isinstance(location, LocalLocation) and location.path.is_file():
                raise StoreError(f"{location} is a file, not a store: name the folder of a store")
            raise StoreError(f"no store at {location}: hsifeat extract makes one")
        self.location, self.writable = location, writable
        self.checksums = checksum_file.read(location)
        self._saved = location.get(checksum_file.FILE) if writable else None
        self._arrays: dict[str, zarr.Array[Any]] = {}
        kind, mode = (ChecksumWriter, "r+") if writable else (ChecksumReader, "r")
        checked = kind(location.zarr(writable=writable), location, self.checksums)
        try:
            with location.error_context():
                self.group = zarr.open_group(checked, mode=mode, zarr_format=3)  # type: ignore[arg-type]
        except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{location} is no Zarr group: hsifeat extract makes stores") from error

    def with_checksums(self, checksums: dict[str, str]) -> StoreFiles:
        """Return a view of the same files that lists only those of `checksums`."""
        view = copy(self)
        view.checksums, view._arrays = checksums, {}  # noqa: SLF001  # its own kind
        return view

    def array(self, path: str) -> zarr.Array[Any]:
        """Return an array, with the shape and dtype it was written with; `StoreError` if there is none."""
        import zarr

        if path not in self._arrays:
            with self.location.error_context():
                array = self.group.get(path)
            if not isinstance(array, zarr.Array):
                raise StoreError(
                    f"{self.location} has no {path}: hsifeat cache verify {self.location} shows what is missing"
                )
            # No plane holds its fill value, so looking for empty chunks would only slow writing down.
            self._arrays[path] = array.with_config({"write_empty_chunks": True})
        return self._arrays[path]

    def has_array(self, path: str) -> bool:
        """Tell whether an array was created."""
        return f"{path}/zarr.json" in self.checksums

    def forget_array(self, path: str) -> None:
        """Open an array anew the next time: its metadata were written again."""
        self._arrays.pop(path, None)

    def save_checksums(self) -> None:
        """Write the checksums as they are now.

        Raises
        ------
        StoreError
            Another machine has written to the store. Locks hold within one machine only, so such a write is detected here,
            before it would be overwritten.
        """
        if self.location.get(checksum_file.FILE) != self._saved:
            raise StoreError(f"{self.location} was written to by another machine meanwhile: run the command again")
        self.rewrite_checksums()

    def rewrite_checksums(self) -> None:
        """Write the checksums whatever their files hold now, which may be damaged."""
        self._saved = checksum_file.write(self.location, self.checksums)


def holds_store(location: Location) -> bool:
    """Tell whether a location holds a store; False where it is empty or holds an unfinished creation.

    Raises
    ------
    StoreError
        It holds something else.
    """
    root = location.get(checksum_file.ROOT)
    if root is not None and not is_unfinished(root):
        return True
    if isinstance(location, LocalLocation) and location.path.is_file():
        raise StoreError(f"{location} is a file: name another place")
    keys = location.list_keys(None if root is not None else 100)
    # A temporary file of the first write is all that an interruption before it leaves.
    foreign = [key for key in keys if not key.startswith(f".{checksum_file.ROOT}.")]
    if root is not None:
        foreign = [key for key in foreign if not is_store_file(key)]
    if checksum_file.COPY_OF[checksum_file.ROOT] in foreign:
        raise StoreError(
            f"{location} has lost its {checksum_file.ROOT}: hsifeat cache verify {location} --repair restores it"
        )
    if foreign:
        raise StoreError(f"{location} is no store, and not empty (it holds {foreign[0]}): name another place")
    return False
