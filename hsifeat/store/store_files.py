"""Files of an open store: its Zarr group, its arrays and its checksums."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsifeat.errors import HsifeatError, StoreError, error_summary, raise_resource_error, shell_command
from hsifeat.store import checksums as checksum_file
from hsifeat.store.checksums import ChecksumReader, ChecksumWriter
from hsifeat.store.create import is_other_zarr, is_unfinished
from hsifeat.store.keys import is_store_file
from hsifeat.store.location import LocalLocation, Location, repair_advice
from hsifeat.store.replacement import ReplacementCheck
from hsifeat.zarr_thread import start_zarr_thread

if TYPE_CHECKING:
    import zarr


class StoreFiles:
    """Access to the files of a store through Zarr. Files that are read are checked, and written files get checksums.

    Parameters
    ----------
    location : Location
        Location of the store.
    writable : bool
        Whether to open the store for writing.

    Attributes
    ----------
    group : zarr.Group
        The root group.
    checksums : dict of str to str
        The sha256 of each file, by the path of the file in the store. Shards and progress records are left out.

    Raises
    ------
    StoreError
        If the location has no store. If a damaged metadata file has no intact copy.
    """

    def __init__(self, location: Location, *, writable: bool = False) -> None:
        import zarr

        check = ReplacementCheck(location) if isinstance(location, LocalLocation) else None
        root = location.get(checksum_file.ROOT) or location.get(checksum_file.COPY_OF[checksum_file.ROOT])
        if root is None or is_unfinished(root):
            if isinstance(location, LocalLocation) and location.path.is_file():
                raise StoreError(f"{location} is a file, not a store: name the folder of a store")
            raise StoreError(f"no store at {location}: {_search_advice(location)}")
        self.location, self.writable = location, writable
        try:
            self.checksums = checksum_file.read(location)
        except StoreError as error:
            if is_other_zarr(root):
                raise StoreError(_other_zarr_message(location)) from error
            raise
        self._saved = location.get(checksum_file.FILE) if writable else None
        self._arrays: dict[str, zarr.Array[Any]] = {}
        files = location.zarr(writable=writable), location, self.checksums, check
        checked, mode = (ChecksumWriter(*files), "r+") if writable else (ChecksumReader(*files), "r")
        start_zarr_thread()
        with damage_errors(location, checksum_file.ROOT):
            try:
                self.group = zarr.open_group(checked, mode=mode, zarr_format=3)  # type: ignore[arg-type]
            except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
                raise StoreError(f"{location} is no Zarr group: hsifeat extract makes stores") from error
            self.group.attrs.asdict()  # Zarr accepts attributes that are no object, and fails when they are read.

    def with_checksums(self, checksums: dict[str, str]) -> StoreFiles:
        """Return a view of this store that has only the files in `checksums`."""
        view = copy(self)
        view.checksums, view._arrays = checksums, {}  # noqa: SLF001  # view is of this class
        return view

    def array(self, path: str) -> zarr.Array[Any]:
        """Return the Zarr array at a path below the root group. Its shape and dtype are not checked.

        Raises
        ------
        StoreError
            If the array does not exist.
        """
        import zarr

        if path not in self._arrays:
            with damage_errors(self.location, f"{path}/zarr.json"):
                array = self.group.get(path)
                if array is not None:
                    array.attrs.asdict()  # as above
            if not isinstance(array, zarr.Array):
                raise StoreError(f"{self.location} has no {path}: {repair_advice(self.location)}")
            # Planes do not contain the fill value, so a search for empty chunks would only slow down writing.
            self._arrays[path] = array.with_config({"write_empty_chunks": True})
        return self._arrays[path]

    def read(self, path: str, shape: tuple[int, ...], into: NDArray[Any] | None = None) -> NDArray[Any]:
        """Read the whole Zarr array at a path.

        Parameters
        ----------
        path : str
            Path of the array below the root group.
        shape : tuple of int
            Expected shape.
        into : array of shape `shape`, optional
            Array into which the values are written. If None, a new array with the dtype in the store is made.

        Returns
        -------
        array of shape `shape`
            The values. If `into` is set, this is `into`.

        Raises
        ------
        StoreError
            If the array does not exist. If the array is damaged. If its shape is not `shape`.
        """
        array = self.array(path)
        if array.shape != shape:
            raise StoreError(
                f"{self.location}: {path} has the shape {array.shape}, but the manifest says {shape}: extract to another place"
            )
        with damage_errors(self.location, path):
            if into is None:
                return np.asarray(array[:])
            for row in range(0, shape[0], array.chunks[0]):
                into[row : row + array.chunks[0]] = np.asarray(array[row : row + array.chunks[0]])
            return into

    def has_array(self, path: str) -> bool:
        """Return whether the store has an array at this path."""
        return f"{path}/zarr.json" in self.checksums

    def forget_array(self, path: str) -> None:
        """Close an array after its metadata changed. The next call of `array` opens the array again."""
        self._arrays.pop(path, None)

    def save_checksums(self) -> None:
        """Write the current checksums to ``checksums.json`` and its copy.

        Raises
        ------
        StoreError
            If a process on another machine has changed ``checksums.json`` since it was read. Nothing is written in this
            case.
        """
        if self.location.get(checksum_file.FILE) != self._saved:
            raise StoreError(f"another machine has changed {self.location} meanwhile: run the command again")
        self.rewrite_checksums()

    def replace_root(self, root: bytes) -> None:
        """Replace the metadata of the root group.

        If the process is killed meanwhile, the store has the old or the new metadata.

        Raises
        ------
        StoreError
            See `save_checksums`.
        """
        with self.location.error_context():
            # Until `zarr.json` is replaced, readers find that it doesn't match its new checksum, and read the copy.
            self.location.put(checksum_file.COPY_OF[checksum_file.ROOT], root)
            self.checksums[checksum_file.ROOT] = checksum_file.checksum(root)
            self.save_checksums()
            self.location.put(checksum_file.ROOT, root)

    def rewrite_checksums(self) -> None:
        """Write the current checksums, even if ``checksums.json`` is damaged or was changed by another process."""
        self._saved = checksum_file.write(self.location, self.checksums)


@contextmanager
def damage_errors(location: Location, path: str) -> Iterator[None]:
    """Return a context manager that turns errors of reading a file or array of a store into a `StoreError`.

    Parameters
    ----------
    location : Location
        Location of the store.
    path : str
        Path of the file or array in the store, for the message.
    """
    try:
        with location.error_context():
            yield
    except HsifeatError:
        raise
    except Exception as error:  # damaged bytes raise errors of many classes
        raise_resource_error(error)
        raise StoreError(
            f"{location}: {path} is damaged ({error_summary(error)}): {repair_advice(location)}"
        ) from error


def holds_store(location: Location) -> bool:
    """Return whether a location has a store.

    The result is False if the location is empty, or if the creation of its store was interrupted.

    Raises
    ------
    StoreError
        If the location contains files that do not belong to a store.
    """
    root = location.get(checksum_file.ROOT)
    if root is not None and not is_unfinished(root):
        return True
    if isinstance(location, LocalLocation) and location.path.is_file():
        raise StoreError(f"{location} is a file: name another place")
    keys = location.list_keys(None if root is not None else 100)
    # A process that was killed during the first write leaves only a temporary file.
    foreign = [key for key in keys if not key.startswith(f".{checksum_file.ROOT}.")]
    if root is not None:
        foreign = [key for key in foreign if not is_store_file(key)]
    if foreign and location.get(checksum_file.ROOT) != root:  # another process has since begun or completed a store
        return holds_store(location)
    if checksum_file.COPY_OF[checksum_file.ROOT] in foreign:
        raise StoreError(
            f"{location}: {checksum_file.ROOT} is missing: {shell_command('cache', 'verify', location, '--repair')} restores it"
        )
    if foreign:
        raise StoreError(f"{location} is neither a store nor empty (it contains {foreign[0]}): name another place")
    return False


def _search_advice(location: Location) -> str:
    """Return advice on how to find a store, for the error message of an empty location."""
    if isinstance(location, LocalLocation) or not location.read_only:
        return "hsifeat extract makes one"
    service, is_service, _ = str(location).rpartition("/stores/")
    if is_service:
        return f"{shell_command('cache', 'ls', '--service', service)} lists the stores of this service"
    return "check the address, which ends with the folder of a store"


def _other_zarr_message(location: Location) -> str:
    """Return the error message for a Zarr group or array that is no store, such as the scene in a store."""
    parents = location.path.parents if isinstance(location, LocalLocation) else ()
    store = next((folder for folder in parents if (folder / checksum_file.FILE).is_file()), None)
    if store is not None:
        return f"{location} is a part of the store {store}: name the store"
    return f"{location} is a Zarr group or array, but no store: hsifeat extract makes stores"
