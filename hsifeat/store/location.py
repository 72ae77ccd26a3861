"""Locations of stores: a local folder, a prefix in an object store (``s3://``, ``gs://``, ``az://``), or a web address.

A location lists, reads and writes whole files by key and opens the Zarr store through which arrays are read. Object
stores are accessed by obstore, which takes credentials and endpoint from the usual environment variables.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.errors import StoreError
from hsifeat.files import disk_errors, write_file

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.abc.store import Store as ZarrStore

_SCHEMES = ("s3", "gs", "az", "memory", "http", "https")


class Location(Protocol):
    """The location of a store. Keys of files are relative to it, with ``/`` between their parts."""

    read_only: bool

    @property
    def name(self) -> str:
        """Last part of the path or address, without ``.zarr``."""
        ...

    @property
    def identity(self) -> str:
        """Canonical form: the resolved path, or the address."""
        ...

    def __str__(self) -> str: ...

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Open the location as a Zarr store."""
        ...

    def files(self) -> dict[str, int]:
        """Return the sizes in bytes of all files, by key."""
        ...

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys if there are as many; all of them for None."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
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
        """Turn errors of the file system or the network within a block into a `StoreError` that names the location."""
        ...


def as_location(source: str | Path | Location) -> Location:
    """Return the location of a path or an address.

    Raises
    ------
    StoreError
        The scheme of the address is unknown.
    """
    if not isinstance(source, str | Path):
        return source
    scheme = re.match(r"([a-z][a-z0-9+]*)://", str(source))
    if scheme is None:
        return LocalLocation(Path(source))
    if scheme[1] not in _SCHEMES:
        raise StoreError(
            f"{source}: unknown scheme {scheme[1]}://; a store is a local folder or lies at "
            + ", ".join(f"{name}://" for name in _SCHEMES)
        )
    return RemoteLocation(str(source))


class LocalLocation:
    """A local folder."""

    read_only = False

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._text = str(path)

    @property
    def name(self) -> str:
        """Last part of the path or address, without ``.zarr``."""
        return self.path.name.removesuffix(".zarr")

    @property
    def identity(self) -> str:
        """The resolved path."""
        return str(self.path.resolve())

    def __str__(self) -> str:
        return self._text

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Open the location as a Zarr store."""
        from zarr.storage import LocalStore

        return LocalStore(self.path, read_only=not writable)

    def files(self) -> dict[str, int]:
        """Return the sizes in bytes of all files, by key."""
        sizes = {}
        for file in self.path.rglob("*"):
            # A temporary file of a writer may have been renamed meanwhile.
            with suppress(FileNotFoundError):
                if file.is_file():
                    sizes[file.relative_to(self.path).as_posix()] = file.stat().st_size
        return sizes

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys if there are as many; all of them for None."""
        files = (file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if not file.is_dir())
        return list(islice(files, count))

    def get(self, key: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        write_file(self.path / key, content)

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        (self.path / key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete the folder: it is renamed first, so that a half-deleted store is never found under its name."""
        from uuid import uuid4

        path = self.path.resolve()
        doomed = path.with_name(f".{path.name}.removed-{uuid4().hex[:8]}")
        with disk_errors(path):
            path.rename(doomed)
            shutil.rmtree(doomed)

    def error_context(self) -> AbstractContextManager[None]:
        """Turn errors of the file system or the network within a block into a `StoreError` that names the location."""
        return disk_errors(self.path)


class RemoteLocation:
    """A prefix in an object store, or a web address, which is read-only."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.read_only = url.startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """Last part of the path or address, without ``.zarr``."""
        return self.url.rpartition("/")[2].removesuffix(".zarr")

    @property
    def identity(self) -> str:
        """The address."""
        return self.url

    def __str__(self) -> str:
        return self.url

    @cached_property
    def _objects(self) -> Any:
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            if self.url.startswith("http://"):
                # obstore refuses plain http unless it is allowed explicitly.
                return from_url(self.url, client_options={"allow_http": True})
            return from_url(self.url)
        except (BaseError, ValueError) as error:
            raise StoreError(f"{self.url} can't be used: {error}") from error

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Open the location as a Zarr store."""
        from zarr.storage import ObjectStore

        if writable and self.read_only:
            raise StoreError(f"{self.url} is read-only: write to a folder or an object store")
        return ObjectStore(self._objects, read_only=not writable)

    def files(self) -> dict[str, int]:
        """Return the sizes in bytes of all files, by key; `StoreError` for a web address, which cannot be listed."""
        import obstore

        if self.read_only:
            raise StoreError(f"{self.url}: a web address cannot be listed: run this where the store is")
        with self.error_context():
            return {item["path"]: item["size"] for batch in obstore.list(self._objects) for item in batch}

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys if there are as many; all of them for None."""
        import obstore

        if count is None:
            return list(self.files())
        with self.error_context():
            return [item["path"] for item in next(iter(obstore.list(self._objects, chunk_size=count)), [])]

    def get(self, key: str) -> bytes | None:
        """Return the content of a file; None if it does not exist."""
        import obstore

        with self.error_context():
            try:
                return bytes(obstore.get(self._objects, key).bytes())
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        import obstore

        with self.error_context():
            obstore.put(self._objects, key, content)

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        import obstore

        with self.error_context():
            try:
                obstore.delete(self._objects, key)
            except FileNotFoundError:
                return

    def clear(self) -> None:
        """Delete all files, the root metadata first: without them, what is left is no store."""
        for key in sorted(self.files(), key=lambda key: key != "zarr.json"):
            self.delete(key)

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Turn errors of the file system or the network within a block into a `StoreError` that names the location."""
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise StoreError(
                f"{self.url} can't be reached or written: {reason} (address, credentials and endpoint come from the "
                "environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …)"
            ) from error
