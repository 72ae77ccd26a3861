"""Where a store lies: a local folder, a prefix in an object store (``s3://``, ``gs://``, ``az://``), or a web address.

A place lists, reads and writes whole objects by key; arrays go through the Zarr store that it gives. Object stores are
spoken to by obstore, which takes its credentials and endpoint from the usual variables of the environment.
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
from hsifeat.files import disk_errors, write_whole

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.abc.store import Store as ZarrStore

_SCHEMES = ("s3", "gs", "az", "memory", "http", "https")


class Location(Protocol):
    """Where a store lies. Keys are relative to it and separated by ``/``."""

    read_only: bool

    @property
    def name(self) -> str:
        """Its last part, without ``.zarr``."""
        ...

    @property
    def identity(self) -> str:
        """What it is known by on this machine, however it was named: the resolved path, or the address."""
        ...

    def __str__(self) -> str: ...

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the Zarr store over it."""
        ...

    def files(self) -> dict[str, int]:
        """List all keys with their sizes in bytes."""
        ...

    def some_files(self, count: int | None) -> list[str]:
        """List about `count` keys, or all for None: to see whether there are any."""
        ...

    def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""
        ...

    def put(self, key: str, content: bytes) -> None:
        """Write an object whole."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        ...

    def clear(self) -> None:
        """Delete everything."""
        ...

    def guarded(self) -> AbstractContextManager[None]:
        """Turn what goes wrong there within a block into a `StoreError` that names it."""
        ...


def as_location(source: str | Path | Location) -> Location:
    """Return the place that a path or an address names.

    Raises
    ------
    StoreError
        An address of a scheme that is not known.
    """
    if not isinstance(source, str | Path):
        return source
    scheme = re.match(r"([a-z][a-z0-9+]*)://", str(source))
    if scheme is None:
        return LocalLocation(Path(source))
    if scheme[1] not in _SCHEMES:
        raise StoreError(f"{source}: stores lie in a folder or at {', '.join(f'{s}://' for s in _SCHEMES)}")
    return RemoteLocation(str(source))


class LocalLocation:
    """A folder."""

    read_only = False

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._text = str(path)

    @property
    def name(self) -> str:
        """Its last part, without ``.zarr``."""
        return self.path.name.removesuffix(".zarr")

    @property
    def identity(self) -> str:
        """The resolved path."""
        return str(self.path.resolve())

    def __str__(self) -> str:
        return self._text

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the Zarr store over it."""
        from zarr.storage import LocalStore

        return LocalStore(self.path, read_only=not writable)

    def files(self) -> dict[str, int]:
        """List all keys with their sizes in bytes."""
        found = {}
        for file in self.path.rglob("*"):
            # A writer's temporary file may be gone by now.
            with suppress(FileNotFoundError):
                if file.is_file():
                    found[file.relative_to(self.path).as_posix()] = file.stat().st_size
        return found

    def some_files(self, count: int | None) -> list[str]:
        """List about `count` keys, or all for None: to see whether there are any."""
        files = (file.relative_to(self.path).as_posix() for file in self.path.rglob("*") if not file.is_dir())
        return list(islice(files, count))

    def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""
        try:
            return (self.path / key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def put(self, key: str, content: bytes) -> None:
        """Write an object whole."""
        write_whole(self.path / key, content)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        (self.path / key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete everything: renamed first, so that a half-deleted store is never met under its name."""
        from uuid import uuid4

        path = self.path.resolve()
        doomed = path.with_name(f".{path.name}.removed-{uuid4().hex[:8]}")
        with disk_errors(path):
            path.rename(doomed)
            shutil.rmtree(doomed)

    def guarded(self) -> AbstractContextManager[None]:
        """Turn what goes wrong there within a block into a `StoreError` that names it."""
        return disk_errors(self.path)


class RemoteLocation:
    """A prefix of an object store, or a web address, which can only be read."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.read_only = url.startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """Its last part, without ``.zarr``."""
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
                # Whoever writes http means it; obstore wants to be told.
                return from_url(self.url, client_options={"allow_http": True})
            return from_url(self.url)
        except (BaseError, ValueError) as error:
            raise StoreError(f"{self.url} can't be used: {error}") from error

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the Zarr store over it."""
        from zarr.storage import ObjectStore

        if writable and self.read_only:
            raise StoreError(f"{self.url} can only be read: write to a folder or an object store")
        return ObjectStore(self._objects, read_only=not writable)

    def files(self) -> dict[str, int]:
        """List all keys with their sizes in bytes; `StoreError` for a web address, which has no list."""
        import obstore

        if self.read_only:
            raise StoreError(f"{self.url}: a web address can't be listed; work on the store where it lies")
        with self.guarded():
            return {item["path"]: item["size"] for batch in obstore.list(self._objects) for item in batch}

    def some_files(self, count: int | None) -> list[str]:
        """List about `count` keys, or all for None: to see whether there are any."""
        import obstore

        if count is None:
            return list(self.files())
        with self.guarded():
            return [item["path"] for item in next(iter(obstore.list(self._objects, chunk_size=count)), [])]

    def get(self, key: str) -> bytes | None:
        """Return an object, or None if there is none."""
        import obstore

        with self.guarded():
            try:
                return bytes(obstore.get(self._objects, key).bytes())
            except FileNotFoundError:
                return None

    def put(self, key: str, content: bytes) -> None:
        """Write an object whole."""
        import obstore

        with self.guarded():
            obstore.put(self._objects, key, content)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        import obstore

        with self.guarded():
            try:
                obstore.delete(self._objects, key)
            except FileNotFoundError:
                return

    def clear(self) -> None:
        """Delete everything, the root's metadata first, so that a half-deleted store is none."""
        for key in sorted(self.files(), key=lambda key: key != "zarr.json"):
            self.delete(key)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Turn what goes wrong there within a block into a `StoreError` that names it."""
        from obstore.exceptions import BaseError

        try:
            yield
        except BaseError as error:
            reason = str(error).strip().splitlines()[0][:300]
            raise StoreError(
                f"{self.url} can't be reached or written: {reason} (address, credentials and endpoint come from the "
                "environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL, …)"
            ) from error
