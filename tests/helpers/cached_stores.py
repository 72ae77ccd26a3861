"""Copies of stores in a cache folder, and digests of their files."""

import hashlib
import json
import os
import shutil
from pathlib import Path

from hsifeat.cache import catalogue
from hsifeat.files import cache_folder
from hsifeat.store.store import Store
from hsifeat.types import PlaneId


def on_disk(folder):
    return sum(Path(root, name).stat().st_size for root, _, names in os.walk(folder) for name in names)


def snapshot(folder):
    """Return the digest and the modification time of each file."""
    return {
        p.relative_to(folder): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def make(source, path, used):
    """Copy a store, and add the copy to the catalogue with a time of last use in seconds since 1970."""
    shutil.copytree(source, path)
    catalogue.add_entry(Store.open(path).key, path, completed=used)
    for file in (cache_folder() / "catalogue").glob("*.json"):
        if json.loads(file.read_text())["path"] == str(path):
            os.utime(file, (used, used))
    return path


def set_created(path, created):
    """Set the time at which a store was created, such as ``2026-01-01T00:00:00Z``."""
    store = Store.open(path, writable=True)
    store.manifest.provenance["created"] = created
    store.replace_facts(store.manifest.scene)


def unfinish(path, plane="t300/mid_block"):
    """Revoke the progress record of one unit of a plane, as a run that writes this unit does."""
    store = Store.open(path, writable=True)
    store.progress.revoke(PlaneId.parse(plane), store.units[0])


def names(folder):
    return sorted(p.name for p in folder.glob("*.zarr"))
