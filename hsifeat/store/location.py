"""Locations of stores: a local folder, a prefix in an object store (``s3://``, ``gs://``, ``az://``), or a web address.

A location lists, reads and writes whole files by their keys. For arrays, it gives a Zarr store. Object stores are accessed
by the library obstore, which reads credentials and endpoint from the usual environment variables.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hsifeat.errors import StoreError, error_summary
from hsifeat.files import OWN_FOLDERS, check_output, disk_errors, temporary_path, write_file
from hsifeat.store.confinement import ConfinedFolder, check_key
from hsifeat.store.service_tokens import find_token, token_advice

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from zarr.abc.store import Store as ZarrStore

    from hsifeat.store.read_cache import ReadCache

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

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""
        ...

    def files(self) -> dict[str, int]:
        """Return the size of each file in bytes, by the key of the file."""
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
        If the scheme of the address is unknown.
    """
    if not isinstance(source, str | Path):
        return source
    scheme = re.match(r"([a-z][a-z0-9+]*)://", str(source))
    if scheme is None:
        return LocalLocation(Path(source))
    if scheme[1] not in _SCHEMES:
        raise StoreError(
            f"{source}: unknown scheme {scheme[1]}://; use a local folder or one of "
            + ", ".join(f"{name}://" for name in _SCHEMES)
        )
    return RemoteLocation(str(source))


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
        parent = RemoteLocation("/".join((root, *names[:count])))
        for file, kind in OWN_FOLDERS.items():
            try:
                content = parent.get(file)
            except StoreError:  # the credentials may be valid for the new store only
                continue
            if content is not None:
                raise StoreError(
                    f"{location} lies in {parent}, which is {kind}, where nothing else may be written: choose another place"
                )


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

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""
        from zarr.storage import LocalStore

        from hsifeat.store.confined_store import ConfinedStore

        return ConfinedStore(LocalStore(self.path, read_only=not writable), self._folder)

    def files(self) -> dict[str, int]:
        """Return the size of each file in bytes, by the key of the file."""
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


class RemoteLocation:
    """A location in an object store, or at a web address. A web address can only be read.

    Parameters
    ----------
    url : str
        Address of the store.
    token : str, optional
        Token that is sent to a web address. If None, the token that `hsifeat.store.service_tokens.find_token` finds is
        sent.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._token = token
        self.url = url.rstrip("/")
        self.read_only = url.startswith(("http://", "https://"))

    @property
    def name(self) -> str:
        """Last part of the address, without ``.zarr``."""
        return self.url.rpartition("/")[2].removesuffix(".zarr")

    @property
    def identity(self) -> str:
        """Address of the store. Equal locations have equal identities."""
        return self.url

    def __str__(self) -> str:
        return self.url

    @cached_property
    def objects(self) -> Any:
        """Object store of the library obstore for the address of this location.

        Raises
        ------
        StoreError
            If the address is invalid.
        """
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            if not self.read_only:
                return from_url(self.url)
            token = self._token or find_token(self.url)
            headers = {} if token is None else {"Authorization": f"Bearer {token}"}
            # obstore refuses plain http unless it is allowed explicitly, and waits minutes for a service that is down.
            return from_url(
                self.url,
                client_options={"allow_http": self.url.startswith("http://"), "default_headers": headers},
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
            )
        except (BaseError, ValueError) as error:
            raise StoreError(f"{self.url} can't be used: {error_summary(error)}") from error

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only.

        Raises
        ------
        StoreError
            If `writable` is True and the location is a web address.
        """
        from zarr.storage import ObjectStore

        if writable and self.read_only:
            raise StoreError(f"{self.url} is read-only: write to a folder or an object store")
        from hsifeat.store.confined_store import ConfinedStore

        store: ZarrStore = ObjectStore(self.objects, read_only=not writable)
        if self._cache is not None:
            from hsifeat.store.read_cache import CachedReads

            store = CachedReads(store, self._cache)
        return ConfinedStore(store, None)

    @cached_property
    def _cache(self) -> ReadCache | None:
        from hsifeat.store.read_cache import ReadCache

        return ReadCache.of_address(self.url)

    def files(self) -> dict[str, int]:
        """Return the size of each file in bytes, by the key of the file.

        Raises
        ------
        StoreError
            If the location is a web address. Its files can't be listed.
        """
        import obstore

        if self.read_only:
            raise StoreError(
                f"{self.url}: the files of a web address cannot be listed: run the command on the machine that has the store"
            )
        with self.error_context():
            return {item["path"]: item["size"] for batch in obstore.list(self.objects) for item in batch}

    def children(self) -> list[RemoteLocation]:
        """Return the locations one level below this location, which correspond to the subfolders of a folder."""
        import obstore

        with self.error_context():
            prefixes = obstore.list_with_delimiter(self.objects)["common_prefixes"]
        return [RemoteLocation(f"{self.url}/{prefix}") for prefix in prefixes]

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys. If there are fewer keys, or if `count` is None, list all keys."""
        import obstore

        if count is None:
            return list(self.files())
        with self.error_context():
            return [item["path"] for item in next(iter(obstore.list(self.objects, chunk_size=count)), [])]

    def get(self, key: str) -> bytes | None:
        """Return the content of a file, or None if the file does not exist."""
        import obstore

        check_key(key)
        with self.error_context():
            cached = None if self._cache is None else self._cache.before_network(key)
            if cached is None:
                try:
                    content = bytes(obstore.get(self.objects, key).bytes())
                except FileNotFoundError:
                    content = None
                except Exception as error:  # the errors of networks have no common type
                    if self._cache is None:
                        raise
                    return self._cache.after_error(error, key).value
                if self._cache is not None:
                    self._cache.keep(key, "", content)
                return content
            return cached.value

    def stamp(self, key: str) -> tuple[str, ...] | None:
        """Return values that change whenever the file is written; None if the file does not exist."""
        import obstore

        with self.error_context():
            try:
                meta = obstore.head(self.objects, check_key(key))
            except FileNotFoundError:
                return None
        return str(meta["e_tag"]), str(meta["last_modified"]), str(meta["size"])

    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""
        import obstore

        with self.error_context():
            obstore.put(self.objects, check_key(key), content)

    def delete(self, key: str) -> None:
        """Delete a file if it exists."""
        import obstore

        with self.error_context():
            try:
                obstore.delete(self.objects, check_key(key))
            except FileNotFoundError:
                return

    def clear(self) -> None:
        """Delete all files.

        The metadata of the root group is deleted first. After an interrupted deletion, the remaining files are therefore
        not a store.
        """
        for key in sorted(self.files(), key=lambda key: key != "zarr.json"):
            self.delete(key)

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Return a context manager that raises a `StoreError` for every error of the network."""
        from obstore.exceptions import BaseError, NotSupportedError, PermissionDeniedError, UnauthenticatedError

        try:
            yield
        except BaseError as error:
            if self.read_only and isinstance(error, UnauthenticatedError):
                raise StoreError(
                    f"{self.url}: the service wants a valid token (status 401): {token_advice(self.url)}"
                ) from error
            if self.read_only and isinstance(error, PermissionDeniedError):
                raise StoreError(
                    f"{self.url}: the token or the signed address does not give the right to read it (status 403): ask the people who run the "
                    "service for another one"
                ) from error
            reason = str(error).strip().splitlines()[0][:300]
            advice = (
                "address, credentials and endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
                "AWS_ENDPOINT_URL, …; for an http:// endpoint, also set AWS_ALLOW_HTTP=true"
            )
            if isinstance(error, NotSupportedError):
                advice = "the server must send ranges of the bytes of a file, as nginx and Caddy do"
            elif self.read_only:
                advice = f"check the address; if the service wants a token, {token_advice(self.url)}"
            raise StoreError(f"{self.url} can't be reached or written: {reason} ({advice})") from error
