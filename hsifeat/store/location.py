"""Locations of stores: a local folder, a prefix in an object store (``s3://``, ``gs://``, ``az://``), or a web address.

A location lists, reads and writes whole files by their keys. For arrays, it gives a Zarr store.
"""

from __future__ import annotations

import re
import shutil
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hsifeat.errors import StoreError, shell_command
from hsifeat.files import OWN_FOLDERS, check_output, disk_errors, temporary_path, write_file
from hsifeat.formatting import format_value
from hsifeat.store.confinement import ConfinedFolder
from hsifeat.store.remote_location import BucketLocation, remote_location
from hsifeat.types import check_path

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.abc.store import Store as ZarrStore

_SCHEMES = ("s3", "gs", "az", "memory", "http", "https")


class Location(Protocol):
    """Interface of the locations of stores.

    The key of a file is its path relative to the location, with the separator ``/``. If a key leads out of the location,
    all methods with a parameter `key` raise a `StoreError`.
    """

    read_only: bool

    @property
    def name(self) -> str:
        """Last part of the path or web address, without ``.zarr``."""
        ...

    @property
    def identity(self) -> str:
        """Absolute path with links resolved, or address. Equal locations have equal identities."""
        ...

    def __str__(self) -> str: ...

    def check_address(self) -> None:
        """Raise `StoreError` if another process can't open the location by its `identity`."""
        ...

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""
        ...

    def files(self) -> dict[str, int]:
        """Return the size in bytes of each file of this location, by the key of the file."""
        ...

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys. If there are fewer keys, or if `count` is None, list all keys."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the content of a file, or None if the file does not exist."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        ...

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        ...

    def clear(self) -> None:
        """Delete all files."""
        ...

    def error_context(self) -> AbstractContextManager[None]:
        """Return a context manager that raises a `StoreError` for every error of the disk or the network."""
        ...


def as_location(source: str | Path | Location) -> Location:
    """Return the location of a path or an address.

    Raises
    ------
    StoreError
        If the scheme of the address is unknown. If `source` is neither a path nor a location.
    HsifeatError
        If the path has a null character.
    """
    if not isinstance(source, str | Path):
        if not hasattr(source, "identity"):
            raise StoreError(f"a store is a path or an address; found {format_value(source)}")
        return source
    check_path("a store", str(source))
    scheme = re.match(r"([a-z][a-z0-9+]*)://", str(source))
    if scheme is None:
        return LocalLocation(Path(source))
    if scheme[1] not in _SCHEMES:
        raise StoreError(
            f"{source}: unknown scheme {scheme[1]}://; use a local folder or one of "
            + ", ".join(f"{name}://" for name in _SCHEMES)
        )
    return remote_location(str(source))


def check_new_store(location: Location) -> None:
    """Check that a new store would not lie in another store or in a model. If the location has a store, nothing is checked.

    Raises
    ------
    StoreError
        If the store would lie in another store or in a model, or if its folder can't be written.
    """
    if isinstance(location, LocalLocation):
        if not location.path.exists():
            check_output(location.path)
        return
    if location.read_only or location.get("zarr.json") is not None:
        return
    root, *names = re.findall(r"[a-z0-9+]+://[^/]*|[^/]+", location.identity)
    for count in range(len(names)):
        parent = BucketLocation("/".join((root, *names[:count])))
        for file, kind in OWN_FOLDERS.items():
            try:
                content = parent.get(file)
            except StoreError:  # the credentials may be valid for the new store only
                continue
            if content is not None:
                raise StoreError(
                    f"{location} lies in {parent}, which is {kind}, where nothing else may be written: choose another place"
                )


def repair_advice(location: Location) -> str:
    """Return the part of an error message that says how to restore a damaged store.

    >>> repair_advice(as_location("ip.zarr"))
    'hsifeat cache verify ip.zarr --repair shows what can be restored'
    """
    if location.read_only:
        return "`hsifeat cache verify STORE --repair`, on the machine that has the store, shows what can be restored"
    return f"{shell_command('cache', 'verify', location, '--repair')} shows what can be restored"


class LocalLocation:
    """A location that is a folder on this machine."""

    read_only = False

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._folder = ConfinedFolder(self.path)
        self._text = str(path)

    @property
    def name(self) -> str:
        """Name of the folder, without ``.zarr``."""
        return self.path.name.removesuffix(".zarr")

    @property
    def identity(self) -> str:
        """Absolute path of the folder, with links resolved. Equal locations have equal identities."""
        return str(self.path.resolve())

    def __str__(self) -> str:
        return self._text

    def check_address(self) -> None:
        """Do nothing: any process can open a folder by its path."""

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""
        from zarr.storage import LocalStore

        from hsifeat.store.confined_store import ConfinedStore

        return ConfinedStore(LocalStore(self.path, read_only=not writable), self._folder)

    def files(self) -> dict[str, int]:
        """Return the size in bytes of each file of this location, by the key of the file."""
        with disk_errors(self.path):
            return dict(self._folder.files())

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys. If there are fewer keys, or if `count` is None, list all keys."""
        with disk_errors(self.path):
            return [key for key, _ in islice(self._folder.files(), count)]

    def get(self, key: str) -> bytes | None:
        """Return the content of a file, or None if the file does not exist."""
        with disk_errors(self.path):
            try:
                return self._folder.path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        write_file(self._folder.entry(key), content)

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        self._folder.entry(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete the folder.

        The folder is renamed before its files are deleted. An interrupted deletion therefore leaves no damaged store under
        the old name.
        """
        path = self.path.resolve()
        doomed = temporary_path(path, "removed")
        with disk_errors(path):
            path.rename(doomed)
            shutil.rmtree(doomed)

    def error_context(self) -> AbstractContextManager[None]:
        """Return a context manager that raises a `StoreError` for every error of the disk."""
        return disk_errors(self.path)
