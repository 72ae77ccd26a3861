"""Keys of the files of a store. A key is a path relative to the location of the store."""

from __future__ import annotations

import re
from collections.abc import Iterable

from hsifeat.errors import StoreError
from hsifeat.formatting import format_count
from hsifeat.store.confinement import check_key
from hsifeat.store.plane_layout import Unit
from hsifeat.types import PlaneId

PLANE = re.compile(r"planes/(t\d{4,9}/[\w.\-]+)/zarr\.json")
PROGRESS = re.compile(r"progress/t\d{4,9}/[\w.\-]+/(zarr\.json|c/.+)")
LABELS = re.compile(r"scene/labels/([^/]+)/zarr\.json")
# All keys that hsifeat can write, including temporary files of interrupted writes.
_ARRAY = r"(zarr\.json|c(/\d{1,9}){1,3})"
_PLANE = r"(planes|progress)/t\d{4,9}/[\w.\-]+"
_STORE_FILE = re.compile(
    r"(zarr|checksums)(\.copy)?\.json|timings\.json|writer\.token"
    r"|(scene(/projection|/labels)?|pixels|planes(/t\d{4,9})?)/zarr\.json"
    rf"|(scene/(cube|valid|projection/\w+|labels/[^/]+)|pixels/(rows|cols)|{_PLANE})/{_ARRAY}"
    r"|((scene|pixels|planes|progress)/(.*/)?)?\.?(zarr|checksums|timings|writer|\d+)\.[\w.\-]+\.part(ial)?"
)


_PLANE_FILE = re.compile(r"(planes|progress)/t(?P<t>\d{4,9})/(?P<layer>(?!\.{1,2}/)[\w.\-]+)/")
_LABELS_FILE = re.compile(r"scene/labels/([^/]+)/")
_UNIT_FILE = re.compile(r"(planes|progress)/(t\d{4,9}/(?!\.{1,2}/)[\w.\-]+/c/\d{1,9}/\d{1,9}/0)")
_RECORDS = re.compile(r"progress/t\d{4,9}/[\w.\-]+/c")


def shard_key(plane: PlaneId, unit: Unit) -> str:
    """Return the key of the shard with the values of a unit (one block) of a plane."""
    return f"planes/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def record_key(plane: PlaneId, unit: Unit) -> str:
    """Return the key of the progress record that marks a unit (one block) of `plane` as complete."""
    return f"progress/{plane.path}/c/{unit.index[0]}/{unit.index[1]}/0"


def records_key(plane: PlaneId) -> str:
    """Return the key in ``checksums.json`` of the checksum over all progress records of `plane`. No file has this key."""
    return f"progress/{plane.path}/c"


def is_records_key(key: str) -> bool:
    """Return whether `key` is the result of `records_key` for some plane."""
    return _RECORDS.fullmatch(key) is not None


def plane_of(key: str) -> PlaneId | None:
    """Return the plane to which the file with the key `key` belongs; None if it belongs to no plane.

    >>> plane_of("progress/t0050/mid_block/c/0/1/0")
    PlaneId(t=50, layer='mid_block')
    """
    match = _PLANE_FILE.match(key)
    return PlaneId(int(match["t"]), match["layer"]) if match else None


def label_map_of(key: str) -> str | None:
    """Return the name of the label map to which the file with the key `key` belongs; None if it belongs to no label map.

    >>> label_map_of("scene/labels/fields/c/0/0")
    'fields'
    """
    match = _LABELS_FILE.match(key)
    return match[1] if match else None


def record_of_shard(key: str) -> str | None:
    """Return the key of the progress record of the shard `key`, or None if `key` is not a shard of a plane.

    >>> record_of_shard("planes/t0050/mid_block/c/0/1/0")
    'progress/t0050/mid_block/c/0/1/0'
    >>> record_of_shard("planes/t0050/mid_block/zarr.json")
    """
    match = _UNIT_FILE.fullmatch(key)
    return f"progress/{match[2]}" if match and match[1] == "planes" else None


def is_unit_file(key: str) -> bool:
    """Return whether a file is a shard or a progress record: a file of one unit of one plane.

    >>> is_unit_file("planes/t0050/c/c/0/1/0"), is_unit_file("planes/t0050/c/zarr.json")
    (True, False)
    """
    return _UNIT_FILE.fullmatch(key) is not None


def is_store_file(key: str) -> bool:
    """Return whether a store of hsifeat can have a file with the key `key`.

    >>> is_store_file("planes/t0050/mid_block/c/0/1/0"), is_store_file("scene/photo.jpg"), is_store_file(".git/config")
    (True, False, False)
    """
    try:
        return _STORE_FILE.fullmatch(check_key(key)) is not None
    except StoreError:
        return False


def refuse_foreign_files(location: object, files: Iterable[str], advice: str) -> None:
    """Raise a `StoreError` if a store contains files that hsifeat did not write.

    Parameters
    ----------
    location : Location
        Location of the store, for the message.
    files : iterable of str
        Keys of files of the store.
    advice : str
        What to do then, for the message.
    """
    if foreign := [file for file in files if not is_store_file(file)]:
        raise StoreError(
            f"{location} contains {format_count(len(foreign), 'file')} that hsifeat did not write, such as {foreign[0]}: move such files "
            f"elsewhere, {advice}"
        )


def is_checksum_key(key: object) -> bool:
    """Return whether ``checksums.json`` may contain `key`.

    Keys of files of a store are allowed. For each plane, one more key is allowed, for the checksum of all progress records
    of the plane.

    >>> is_checksum_key("progress/t0050/mid_block/c"), is_checksum_key("../.bashrc"), is_checksum_key("scene/photo.jpg")
    (True, False, False)
    """
    return isinstance(key, str) and (is_store_file(key) or is_records_key(key))
