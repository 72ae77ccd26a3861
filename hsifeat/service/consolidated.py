"""Consolidated metadata of Zarr groups, in the format of zarr-python 3.

Consolidated metadata is one document with the metadata of all arrays of a group. Clients such as xarray can't list files
over HTTP; they find the arrays of a group in this document. The service generates the document, because each new plane of a
store changes it.
"""

from __future__ import annotations

import json
from typing import Any

from hsifeat.features.features import Features

_NAME = "zarr.json"


def consolidated_metadata(features: Features, key: str) -> bytes | None:
    """Return the metadata of a Zarr group in a store, with the metadata of all arrays and groups below this group.

    Progress records and unfinished planes are left out.

    Parameters
    ----------
    features : Features
        Features of the store.
    key : str
        Path of the group's metadata in the store, such as ``planes/t0050/zarr.json``.

    Returns
    -------
    bytes or None
        A JSON document, or None if the store has no such group.
    """
    location, prefix = features.store.location, key.removesuffix(_NAME)
    group = _read(location.get(key))
    if group is None or group.get("node_type") != "group":
        return None
    left_out = {f"planes/{plane.id.path}/{_NAME}" for plane in features.unfinished}
    members: dict[str, Any] = {}
    for member in sorted(_with_groups(features.store.checksums)):
        if member.startswith(prefix) and member != key and member not in left_out:
            metadata = _read(location.get(member))
            if metadata is not None:
                members[member.removeprefix(prefix).removesuffix(f"/{_NAME}")] = metadata
    content = {"kind": "inline", "must_understand": False, "metadata": members}
    return json.dumps({**group, "consolidated_metadata": content}).encode()


def _with_groups(checksums: dict[str, str]) -> set[str]:
    """Return the metadata keys of all arrays except progress records, and of the groups that contain these arrays."""
    keys: set[str] = set()
    for key in checksums:
        folders = key.split("/")[:-1]
        if key.endswith(f"/{_NAME}") and folders[0] != "progress":
            keys |= {"/".join([*folders[:depth], _NAME]) for depth in range(1, len(folders) + 1)}
    return keys


def _read(content: bytes | None) -> dict[str, Any] | None:
    metadata = None if content is None else json.loads(content)
    return metadata if isinstance(metadata, dict) else None
