"""The folder that hsifeat keeps things in: stores, the catalogue, public scenes."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of the cache: ``HSIFEAT_CACHE``, or the platform's own place for caches."""
    from platformdirs import user_cache_path

    moved = os.environ.get("HSIFEAT_CACHE")
    return Path(moved) if moved else user_cache_path("hsifeat")
