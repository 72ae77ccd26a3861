"""Names of the files of a store."""

from __future__ import annotations

import re

from hsifeat.store.layout import Unit
from hsifeat.types import PlaneId

PLANE = re.compile(r"planes/(t\d+/[^/]+)/zarr\.json")
LABELS = re.compile(r"scene/labels/([^/]+)/zarr\.json")
# Every name that a store's files can have, those of writes that were cut off included.
_ARRAY = r"(zarr\.json|c(/\d+)+)"
_OWN = re.compile(
    r"(zarr|seals)(\.copy)?\.json|timings\.json|(scene(/projection|/labels)?|pixels|(planes|progress)(/t\d+)?)/zarr\.json"
    rf"|(scene/(cube|valid|projection/\w+|labels/[^/]+)|pixels/(rows|cols)|(planes|progress)/t\d+/[\w.\-]+)/{_ARRAY}"
    r"|((scene|pixels|planes|progress)/.*/)?\.?(zarr|seals|timings|\d+)\.[\w.\-]+\.part(ial)?"
)


def shard_key(plane: PlaneId, unit: Unit) -> str:
    """Return where a unit of a plane lies in the store."""
    return f"planes/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def record_key(plane: PlaneId, unit: Unit) -> str:
    """Return where the record of a unit of a plane lies in the store."""
    return f"progress/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def is_own(key: str) -> bool:
    """Tell whether a file has a name that a store's files have.

    >>> is_own("planes/t0050/mid_block/c/0/1/0"), is_own("scene/photo.jpg"), is_own(".git/config")
    (True, False, False)
    """
    return _OWN.fullmatch(key) is not None
