"""Functions that damage files of a store, and list the damages that `verify` reports."""

import json

from hsifeat.errors import StoreError
from hsifeat.store.location import as_location
from hsifeat.store.verify import verify


def guarded_files(path):
    """List all files that a checksum or digest protects. These are all files except the timings."""
    return sorted(p for p in path.rglob("*") if p.is_file() and p.name != "timings.json")


def flip(file, at=-1, bits=1):
    content = bytearray(file.read_bytes())
    content[at] ^= bits
    file.write_bytes(content)


def edit_attributes(file, **attributes):
    """Set attributes in the ``zarr.json`` of an array or group."""
    metadata = json.loads(file.read_bytes())
    metadata["attributes"] |= attributes
    file.write_text(json.dumps(metadata))


def damages(path):
    """Return the damages that `verify` reports, as (kind, key). If the manifest is damaged, `verify` may raise an error."""
    try:
        return [(d.kind, d.key) for d in verify(as_location(path)).damages]
    except StoreError as error:
        return [("raised", str(error))]
