"""Index, by key, of the stores that clients can read."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from hsifeat.cache import catalogue
from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features
from hsifeat.features.open_features import open_features
from hsifeat.service.problems import ProblemError
from hsifeat.store import checksums
from hsifeat.store.location import LocalLocation, Location, as_location
from hsifeat.store.locks import is_being_written
from hsifeat.store.remote_location import RemoteLocation, remote_location
from hsifeat.store.store import Store

Version = tuple[int | str, ...]
# The pause after a search for new stores is this many times as long as the search, so that searches take a tenth of the time.
_PAUSE_PER_SEARCH = 9
# Minimum pause after a search in a bucket.
_REMOTE_SCAN_SECONDS = 15.0
_MAX_OPEN = 32
_IDLE_SECONDS = 300.0
_MARK_SECONDS = 60.0
_log = logging.getLogger("hsifeat.service")


@dataclass(frozen=True)
class ServedStore:
    """A store that clients can read.

    Attributes
    ----------
    key : str
        Key of the store, 64 hexadecimal digits.
    location : Location
        Path or address of the store.
    scene_shape : tuple of int
        Rows and columns of the scene.
    created : str
        Time at which the store was created, in ISO 8601.
    finished : dict
        Shards that are known to be finished. The keys are the paths of their progress records in the store. The values are
        the results of `version_of` for these records.
    """

    key: str
    location: Location
    scene_shape: tuple[int, int] = field(compare=False)
    created: str = field(default="", compare=False)
    finished: dict[str, Version] = field(default_factory=dict, compare=False, repr=False)

    def version_of(self, file: str) -> Version | None:
        """Return values that change when a file of the store is rewritten; None if the file is missing or in a bucket."""
        if self.folder is None:
            return None
        try:
            status = os.lstat(f"{self.folder}/{file}")
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def is_known_finished(self, record: str) -> bool:
        """Return whether the shard with the progress record `record` is known to be finished.

        The result is False if `finished` does not have the record, or if the record was rewritten or deleted after it was
        added to `finished`.
        """
        version = self.version_of(record)
        return version is not None and self.finished.get(record) == version

    @cached_property
    def folder(self) -> Path | None:
        """Folder of the store, with links resolved; None for a store in a bucket."""
        return self.location.path.resolve() if isinstance(self.location, LocalLocation) else None

    @property
    def is_being_written(self) -> bool:
        """Whether a process of this machine writes to the store."""
        return is_being_written(self.location)


@dataclass
class _Opened:
    features: Features
    version: Version
    used: float


class StoreIndex:
    """The stores of a cache. The methods are thread-safe.

    Of several stores with one key, only the store that was created first is served, and the log names the others.

    Parameters
    ----------
    cache : str, optional
        Folder or bucket whose stores are served. If None, the stores in this machine's catalogue are served.
    pauses : bool
        Whether searches pause, so that requests for unknown keys take little time. If False, each search reads the folder or
        bucket again.
    """

    def __init__(self, cache: str | None = None, *, pauses: bool = True) -> None:
        self.cache, self._pauses = cache, pauses
        self._search_lock = threading.Lock()
        self._opened_lock = threading.Lock()
        self._stores: dict[str, ServedStore] = {}
        # The key is the text of the location: its identity takes longer, and each request for a file needs the key.
        self._read: dict[str, tuple[Version, ServedStore | None]] = {}
        self._remote_versions: dict[str, tuple[float, Version]] = {}
        self._marked: dict[str, float] = {}
        self._warned: set[tuple[str, str]] = set()
        self._begun = self._searched = float("-inf")
        self._failure: Exception | None = None
        self._opened: dict[str, _Opened] = {}
        self._least_pause = _REMOTE_SCAN_SECONDS if cache and "://" in cache else 0.0
        self._pause = self._least_pause

    def stores(self) -> list[ServedStore]:
        """Return all stores, sorted by key."""
        self._search()
        return sorted(self._stores.values(), key=lambda store: store.key)

    def refresh(self, since: float) -> None:
        """Search for stores, unless a search began after `since`, a time in seconds since 1970.

        Raises
        ------
        HsifeatError
            If the bucket can't be reached.
        """
        with self._search_lock:
            if self._begun < time.monotonic() - (time.time() - since):
                self._searched = float("-inf")
        self._search()

    def known(self, key: str) -> ServedStore | None:
        """Return the store with the key `key` if it was found on this machine and has not changed since, else None.

        No file is read, and no new search is made.
        """
        store = self._stores.get(key)
        if store is None or store.folder is None:
            return None
        version, (read, found) = self.version(store.location), self._read[str(store.location)]
        return found if version and read == version and found == store else None

    def find(self, prefix: str) -> ServedStore:
        """Return the store whose key starts with `prefix`. A store that another one has replaced is not returned.

        Raises
        ------
        ProblemError
            If no key starts with `prefix`. If several keys start with `prefix`.
        """
        found = self._matches(prefix)
        if not found:
            self._search()
            found = self._matches(prefix)
        if not found:
            raise ProblemError(404, f"no store {prefix}: GET /stores lists the stores")
        if len(found) > 1:
            raise ProblemError(409, f"{len(found)} stores have a key that starts with {prefix}: send more digits")
        return found[0]

    def features(self, store: ServedStore) -> Features:
        """Return the open `Features` of a store. All requests share one object until the store changes.

        Raises
        ------
        ProblemError
            If the location of the store now has a store with another key.
        """
        version = self.version(store.location)
        opened = self._opened_features(store.key, version)
        if opened is not None:
            self.mark_used(store)
            return opened
        features = self.open(store)
        # The planes of a store that is being written become complete without a change of its checksums.
        if version and not features.unfinished:
            with self._opened_lock:
                self._opened[store.key] = _Opened(features, version, time.monotonic())
        return features

    def open(self, store: ServedStore) -> Features:
        """Open the `Features` of a store as it is now. See `features`."""
        features = open_features(store.location)
        if features.key != store.key:
            raise ProblemError(404, f"another store has replaced the store {store.key}: GET /stores lists the stores")
        return features

    def version(self, location: Location) -> Version:
        """Return values that change when planes or label maps of a store change.

        The result is empty for a store without checksums. For a store in a bucket, a change may appear up to 15 seconds
        later.
        """
        if not isinstance(location, RemoteLocation):
            return _local_version(location)
        now, (asked, version) = time.monotonic(), self._remote_versions.get(location.identity, (float("-inf"), ()))
        if now - asked > _REMOTE_SCAN_SECONDS:
            if version:  # Other threads use it, and do not wait for the bucket.
                self._remote_versions[location.identity] = now, version
            version = _remote_version(location)
            self._remote_versions[location.identity] = time.monotonic(), version
        return version

    def mark_used(self, store: ServedStore) -> None:
        """Record the use of a store in the catalogue for `cache gc`, at most once a minute for each store."""
        now = time.monotonic()
        if now - self._marked.get(store.key, float("-inf")) > _MARK_SECONDS:
            self._marked[store.key] = now
            catalogue.mark_used(store.location)

    def _opened_features(self, key: str, version: Version) -> Features | None:
        """Return the open features of a version of a store; None if they are not open."""
        with self._opened_lock:
            self._close_idle()
            opened = self._opened.get(key)
            if opened is None or opened.version != version:
                return None
            opened.used = time.monotonic()
            return opened.features

    def _close_idle(self) -> None:
        """Close features without recent use, so that their stores can be deleted."""
        oldest_first = sorted(self._opened, key=lambda key: self._opened[key].used)
        limit = time.monotonic() - _IDLE_SECONDS
        surplus = max(len(oldest_first) - _MAX_OPEN + 1, 0)
        for number, key in enumerate(oldest_first):
            if number < surplus or self._opened[key].used < limit:
                del self._opened[key]

    def _matches(self, prefix: str) -> list[ServedStore]:
        exact = self._stores.get(prefix)
        stores = [store for key, store in self._stores.items() if key.startswith(prefix)] if exact is None else [exact]
        return [current for store in stores if (current := self._current(store)) is not None]

    def _current(self, store: ServedStore) -> ServedStore | None:
        """Return a found store as it is now; None if another store has replaced it."""
        if not self.version(store.location):
            return store  # It was deleted, or the bucket can't be reached. Who reads it gets the error.
        now = self._store(store.location)
        return now if now == store else None

    def _search(self) -> None:
        """Search for stores, unless the last search was a short time ago. If that search failed, raise its error again."""
        with self._search_lock:
            start = time.monotonic()
            if not self._pauses or start - self._searched >= self._pause:
                self._begun = start
                found: dict[str, list[ServedStore]] = {}
                try:
                    for location in self._locations():
                        if (store := self._store(location)) is not None:
                            found.setdefault(store.key, []).append(store)
                except (HsifeatError, OSError) as error:
                    self._failure = error
                else:
                    self._stores = {key: self._first_created(stores) for key, stores in found.items()}
                    self._failure = None
                self._searched = time.monotonic()
                # A search that fails can take minutes, and the bucket may be back soon.
                duration_s = 0 if self._failure else self._searched - start
                self._pause = max(self._least_pause, _PAUSE_PER_SEARCH * duration_s)
            if self._failure is not None:
                raise self._failure.with_traceback(None)

    def _first_created(self, stores: list[ServedStore]) -> ServedStore:
        """Return the store that was created first. A warning names each of the other stores once."""
        first, *others = sorted(stores, key=lambda store: (store.created, store.location.identity))
        for other in others:
            if (pair := (first.location.identity, other.location.identity)) not in self._warned:
                self._warned.add(pair)
                _log.warning("%s is not served, because %s has the same key and was created earlier", pair[1], pair[0])
        return first

    def _locations(self) -> Iterator[Location]:
        if self.cache is None:
            yield from (entry.location for entry in catalogue.rebuild(()))
        elif "://" in self.cache:
            yield from remote_location(self.cache).children()
        else:
            folder = Path(self.cache).resolve()
            for root in sorted(folder.glob("*/zarr.json")):
                if not root.parent.name.startswith(".") and root.parent.resolve().parent == folder:
                    yield as_location(root.parent)

    def _store(self, location: Location) -> ServedStore | None:
        """Read the manifest of a store; return None if there is no intact store."""
        version = self.version(location)
        known = self._read.get(str(location))
        if known is not None and version and known[0] == version:
            return known[1]
        store = None
        try:
            manifest = Store.open(location).manifest
            created = str(manifest.provenance.get("created", ""))
            store = ServedStore(manifest.key, location, (manifest.scene.rows, manifest.scene.cols), created)
        except DAMAGE_ERRORS as error:
            _log.warning("a store is not served: %s", error)
        self._read[str(location)] = version, store
        return store


def _local_version(location: Location) -> Version:
    if not isinstance(location, LocalLocation):
        return ()
    try:
        status = (location.path / checksums.FILE).stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_size


def _remote_version(location: RemoteLocation) -> Version:
    try:
        return location.stamp(checksums.FILE) or ()
    except HsifeatError:  # The bucket can't be reached.
        return ()
