"""Keys of the files of a store: paths relative to the store's location."""

from __future__ import annotations

import re

from hsifeat.store.layout import Unit
from hsifeat.types import PlaneId

PLANE = re.compile(r"planes/(t\d+/[^/]+)/zarr\.json")
LABELS = re.compile(r"scene/labels/([^/]+)/zarr\.json")
# All keys that hsifeat can write, including those of temporary files that interrupted writes leave.
_ARRAY = r"(zarr\.json|c(/\d+)+)"
_STORE_FILE = re.compile(
    r"(zarr|checksums)(\.copy)?\.json|timings\.json"
    r"|(scene(/projection|/labels)?|pixels|(planes|progress)(/t\d+)?)/zarr\.json"
    rf"|(scene/(cube|valid|projection/\w+|labels/[^/]+)|pixels/(rows|cols)|(planes|progress)/t\d+/[\w.\-]+)/{_ARRAY}"
    r"|((scene|pixels|planes|progress)/.*/)?\.?(zarr|checksums|timings|\d+)\.[\w.\-]+\.part(ial)?"
)


def shard_key(plane: PlaneId, unit: Unit) -> str:
    """Return the key of the shard that stores a unit (one block) of a plane."""
    return f"planes/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def record_key(plane: PlaneId, unit: Unit) -> str:
    """Return the key of the progress record of a unit (one block) of a plane."""
    return f"progress/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def plane_of(key: str) -> PlaneId | None:
    """Return the plane that a file belongs to, or None for files outside all planes.

    >>> plane_of("progress/t0050/mid_block/c/0/1/0")
    PlaneId(t=50, layer='mid_block')
    """
    parts = key.split("/")
    if len(parts) < 4 or parts[0] not in {"planes", "progress"} or not parts[1][1:].isdigit():
        return None
    return PlaneId(int(parts[1][1:]), parts[2])


def is_store_file(key: str) -> bool:
    """Return whether hsifeat writes files with this key.

    >>> is_store_file("planes/t0050/mid_block/c/0/1/0"), is_store_file("scene/photo.jpg"), is_store_file(".git/config")
    (True, False, False)
    """
    return _STORE_FILE.fullmatch(key) is not None
