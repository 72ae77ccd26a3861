"""The catalogue: which stores this machine has, one small file each, and which was completed last."""

from __future__ import annotations

import hashlib
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from hsifeat.errors import StoreError, nearest
from hsifeat.files import write_whole


@dataclass(frozen=True)
class CatalogueEntry:
    """A store that was completed: its key, where it lies, and when (seconds since 1970)."""

    key: str
    path: str
    completed: float

    @property
    def name(self) -> str:
        """The store's name: its folder without ``.zarr``."""
        return Path(self.path).name.removesuffix(".zarr")


def cache_folder() -> Path:
    """Return the folder of the cache: ``HSIFEAT_CACHE``, or the platform's own place for caches."""
    from platformdirs import user_cache_path

    moved = os.environ.get("HSIFEAT_CACHE")
    return Path(moved) if moved else user_cache_path("hsifeat")


def enter(key: str, path: Path) -> None:
    """Note that a store is complete."""
    place = str(path.resolve())
    # One file a place: a store that was made anew there takes the entry of the old one.
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    write_whole(
        cache_folder() / "catalogue" / f"{name}.json", json.dumps(asdict(CatalogueEntry(key, place, time.time())))
    )


def entries() -> list[CatalogueEntry]:
    """List the stores that are still where they were completed, the last completed first."""
    found = []
    for file in (cache_folder() / "catalogue").glob("*.json"):
        try:
            entry = CatalogueEntry(**json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            continue
        if Path(entry.path).is_dir():
            found.append(entry)
    return sorted(found, key=lambda entry: -entry.completed)


def find_store(source: str | Path | None) -> Path:
    """Find a store by path, catalogue name or unique key prefix; None takes the one completed last.

    Raises
    ------
    StoreError
        There is none, or a key prefix fits several.
    """
    known = entries()
    if source is None:
        if not known:
            raise StoreError("no store yet: hsifeat extract SCENE makes one, or name a store's path")
        return Path(known[0].path)
    if Path(source).exists():
        return Path(source)
    text = str(source)
    named = [e for e in known if e.name == text] or [e for e in known if len(text) >= 4 and e.key.startswith(text)]
    if len({e.path for e in named}) > 1:
        raise StoreError(f"{text!r} fits {len(named)} stores: " + ", ".join(e.path for e in named))
    if not named:
        raise StoreError(f"no store at or named {text!r}; {nearest(text, [e.name for e in known])}")
    return Path(named[0].path)
