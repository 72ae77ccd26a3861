"""Locations of stores on other machines: a prefix in an object store (``s3://``, ``gs://``, ``az://``), or a web address.

Both are accessed by the library obstore. For object stores, it reads credentials and endpoint from the usual environment
variables.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hsifeat.errors import StoreError, error_summary
from hsifeat.store.confinement import check_key
from hsifeat.store.service_tokens import find_token, token_advice

if TYPE_CHECKING:
    from zarr.abc.store import Store as ZarrStore

    from hsifeat.store.read_cache import ReadCache


# ID of the process in which obstore was used first.
_process: int | None = None


def remote_location(url: str) -> RemoteLocation:
    """Return the location of an address.

    >>> remote_location("https://example.org/fields.zarr").read_only
    True
    """
    return WebLocation(url) if url.startswith(("http://", "https://")) else BucketLocation(url)


class RemoteLocation(ABC):
    """Base class of the locations on other machines. Subclasses have the methods of `hsifeat.store.location.Location`.

    Parameters
    ----------
    url : str
        Address of the store.
    """

    read_only: bool

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

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

    def check_address(self) -> None:  # noqa: B027  # buckets read their credentials from the environment
        """Raise `StoreError` if another process can't open the store by its address."""

    @cached_property
    def objects(self) -> Any:
        """Object store of the library obstore for the address of this location.

        Raises
        ------
        StoreError
            If the address is invalid.
        """
        from obstore.exceptions import BaseError

        try:
            return self._open()
        except (BaseError, ValueError) as error:
            raise StoreError(f"{self.url} can't be used: {error_summary(error)}") from error

    @abstractmethod
    def _open(self) -> Any: ...

    @abstractmethod
    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""

    @abstractmethod
    def files(self) -> dict[str, int]:
        """Return the size in bytes of each file of this location, by the key of the file."""

    @abstractmethod
    def children(self) -> list[RemoteLocation]:
        """Return the locations one level below this location, which correspond to the subfolders of a folder."""

    @abstractmethod
    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys. If there are fewer keys, or if `count` is None, list all keys."""

    def get(self, key: str) -> bytes | None:
        """Return the content of a file, or None if the file does not exist."""
        check_key(key)
        with self.error_context():
            return self._get(key)

    def _get(self, key: str) -> bytes | None:
        import obstore

        try:
            return bytes(obstore.get(self.objects, key).bytes())
        except FileNotFoundError:
            return None

    def stamp(self, key: str) -> tuple[str, ...] | None:
        """Return values that change whenever the file is written; None if the file does not exist."""
        import obstore

        with self.error_context():
            try:
                meta = obstore.head(self.objects, check_key(key))
            except FileNotFoundError:
                return None
        return str(meta["e_tag"]), str(meta["last_modified"]), str(meta["size"])

    @abstractmethod
    def put(self, key: str, content: bytes) -> None:
        """Write a file atomically."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Delete a file if it exists."""

    @abstractmethod
    def clear(self) -> None:
        """Delete all files."""

    @contextmanager
    def error_context(self) -> Iterator[None]:
        """Return a context manager that raises a `StoreError` for every error of the network, and in a forked process."""
        from obstore.exceptions import BaseError

        self._check_process()
        try:
            yield
        except BaseError as error:
            raise StoreError(f"{self.url}{self._problem(error)}") from error

    def _check_process(self) -> None:
        """Raise `StoreError` in a process that was forked after obstore was used. There, obstore would hang."""
        global _process  # noqa: PLW0603  # obstore has one pool of threads for the process
        _process = _process or os.getpid()
        if _process != os.getpid():
            raise StoreError(
                f"{self.url} can't be read in a forked process: start processes with multiprocessing.get_context('spawn') "
                "(torch: DataLoader(multiprocessing_context='spawn')), or copy the store to a disk"
            )

    def _problem(self, error: Exception) -> str:
        """Return what an error of the network means, with advice, as the end of a message after the address."""
        from obstore.exceptions import NotSupportedError

        advice = self._advice
        if isinstance(error, NotSupportedError):
            advice = "the server must send ranges of the bytes of a file, as nginx and Caddy do"
        reason = str(error).strip().splitlines()[0][:300]
        return f" can't be reached or written: {reason} ({advice})"

    @property
    @abstractmethod
    def _advice(self) -> str: ...


class BucketLocation(RemoteLocation):
    """A location in an object store. Its address is a bucket, or a prefix in a bucket."""

    read_only = False
    _advice = (
        "address, credentials and endpoint come from the environment: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, "
        "AWS_ENDPOINT_URL, …; for an http:// endpoint, also set AWS_ALLOW_HTTP=true"
    )

    def _open(self) -> Any:
        from obstore.store import from_url

        return from_url(self.url)

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a Zarr store. If `writable` is False, the Zarr store is read-only."""
        from zarr.storage import ObjectStore

        from hsifeat.store.confined_store import ConfinedStore

        return ConfinedStore(ObjectStore(self.objects, read_only=not writable), None)

    def files(self) -> dict[str, int]:
        """Return the size in bytes of each file of this location, by the key of the file."""
        import obstore

        with self.error_context():
            return {item["path"]: item["size"] for batch in obstore.list(self.objects) for item in batch}

    def children(self) -> list[RemoteLocation]:
        """Return the locations one level below this location, which correspond to the subfolders of a folder."""
        import obstore

        with self.error_context():
            prefixes = obstore.list_with_delimiter(self.objects)["common_prefixes"]
        return [BucketLocation(f"{self.url}/{prefix}") for prefix in prefixes]

    def list_keys(self, count: int | None) -> list[str]:
        """List at least `count` keys. If there are fewer keys, or if `count` is None, list all keys."""
        import obstore

        if count is None:
            return list(self.files())
        with self.error_context():
            return [item["path"] for item in next(iter(obstore.list(self.objects, chunk_size=count)), [])]

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


class WebLocation(RemoteLocation):
    """A location at a web address, such as a store of a service. It can only be read, and its files can't be listed.

    All methods that write, delete or list files raise a `StoreError`.

    Parameters
    ----------
    url : str
        Address of the store.
    token : str, optional
        Token that is sent to the address. [default: the token that `hsifeat.store.service_tokens.find_token` finds]
    """

    read_only = True

    def __init__(self, url: str, token: str | None = None) -> None:
        super().__init__(url)
        self._token = token

    def check_address(self) -> None:
        """Raise `StoreError` if another process can't open the store by its address, because it lacks the token of this location."""
        if self._token is not None and find_token(self.url) != self._token:
            raise StoreError(
                f"{self.url}: other processes open the store by its address, and the token that was given to hsifeat.connect is known to "
                f"this object only: {token_advice(self.url)}"
            )

    def _open(self) -> Any:
        from obstore.store import from_url

        token = self._token or find_token(self.url)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        # obstore refuses plain http unless it is allowed explicitly, and waits minutes for a service that is down.
        return from_url(
            self.url,
            client_options={"allow_http": self.url.startswith("http://"), "default_headers": headers},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=10)},
        )

    def zarr(self, *, writable: bool) -> ZarrStore:
        """Return the files of this location as a read-only Zarr store.

        Raises
        ------
        StoreError
            If `writable` is True.
        """
        from zarr.storage import ObjectStore

        from hsifeat.store.confined_store import ConfinedStore

        if writable:
            raise self._read_only_error()
        store: ZarrStore = ObjectStore(self.objects, read_only=True)
        if self._cache is not None:
            from hsifeat.store.read_cache import CachedReads

            store = CachedReads(store, self._cache)
        return ConfinedStore(store, None)

    @cached_property
    def _cache(self) -> ReadCache | None:
        from hsifeat.store.read_cache import ReadCache

        return ReadCache.of_address(self.url)

    def files(self) -> dict[str, int]:
        """Raise `StoreError`, since the files of a web address can't be listed."""
        raise self._unlisted_error()

    def children(self) -> list[RemoteLocation]:
        """Raise `StoreError`, since the files of a web address can't be listed."""
        raise self._unlisted_error()

    def list_keys(self, count: int | None) -> list[str]:  # noqa: ARG002
        """Raise `StoreError`, since the files of a web address can't be listed."""
        raise self._unlisted_error()

    def _get(self, key: str) -> bytes | None:
        if self._cache is None:
            return super()._get(key)
        cached = self._cache.before_network(key)
        if cached is None:
            try:
                content = super()._get(key)
            except Exception as error:  # noqa: BLE001  # the errors of networks have no common type
                cached = self._cache.after_error(error, key)
            else:
                self._cache.keep(key, "", content)
                return content
        return cached.value

    def put(self, key: str, content: bytes) -> None:  # noqa: ARG002
        """Raise `StoreError`, since a web address can only be read."""
        raise self._read_only_error()

    def delete(self, key: str) -> None:  # noqa: ARG002
        """Raise `StoreError`, since a web address can only be read."""
        raise self._read_only_error()

    def clear(self) -> None:
        """Raise `StoreError`, since a web address can only be read."""
        raise self._read_only_error()

    def _read_only_error(self) -> StoreError:
        return StoreError(f"{self.url} is read-only: write to a folder or an object store")

    def _unlisted_error(self) -> StoreError:
        return StoreError(
            f"{self.url}: the files of a web address cannot be listed: run the command on the machine that has the store"
        )

    def _problem(self, error: Exception) -> str:
        from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

        if isinstance(error, UnauthenticatedError):
            return f": the service wants a valid token (status 401): {token_advice(self.url)}"
        if isinstance(error, PermissionDeniedError):
            return (
                ": the token or the signed address does not give the right to read it (status 403): ask the people who run the "
                "service for another one"
            )
        return super()._problem(error)

    @property
    def _advice(self) -> str:
        return f"check the address; if the service wants a token, {token_advice(self.url)}"
