"""Upload of local files to a service in parts. If the connection breaks, the upload continues with the missing bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hsifeat.client.transport import Retries, ServiceError, Transport
from hsifeat.errors import SceneError
from hsifeat.runtime.events import Advanced, Finished, Listener, Started

_TASK = "upload"
_PART_BYTES = 8 * 2**20
_CONFLICT = 409
# Time in which the service checks the digests of all files.
_CHECK_S = 1800.0


def upload_files(transport: Transport, named: Sequence[tuple[str, Path]], listen: Listener) -> str:
    """Upload files, and return the identifier of the complete upload.

    Parameters
    ----------
    transport : Transport
        Sends requests to the service.
    named : sequence of (str, Path)
        Names in the upload and paths of local files.
    listen : callable
        Callback for the progress of the upload.

    Raises
    ------
    SceneError
        If a file does not exist, or is a folder. If two files have the same name in the upload. If a file becomes shorter during the upload.
    ServiceError
        If the service refuses a file, or can't be reached.
    """
    paths = dict(named)
    for name, path in named:
        if paths[name] != path:
            raise SceneError(f"{path} and {paths[name]} would both be named {name} in the upload: rename one of them")
    files, sizes = [], []
    for name, path in named:
        if path.is_dir():
            raise SceneError(
                f"{path} is a folder, and only files can be uploaded (MATLAB, NumPy, HDF5, NetCDF 4, GeoTIFF or ENVI): convert it to one "
                "file, such as .nc or .tif, or give a path below one of the folders of the service"
            )
        if not path.is_file():
            raise SceneError(f"no such file: {path}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            sizes.append(file.tell())
        files.append({"name": name, "size_bytes": sizes[-1], "sha256": digest})
    state = transport.json("POST", "/uploads", json={"files": files})
    unit, unit_bytes = _unit(sum(sizes))
    listen(Started(_TASK, sum(sizes) / unit_bytes, unit))
    sent = 0
    for (name, path), size in zip(named, sizes, strict=True):
        for offset in _send(transport, state, name, path, size):
            listen(Advanced(_TASK, (sent + offset) / unit_bytes))
        sent += size
    _complete(transport, state)
    listen(Finished(_TASK))
    return str(state["id"])


def _unit(size_bytes: int) -> tuple[str, float]:
    """Return the largest unit in which a size has two digits, and its bytes. Progress is shown in whole numbers.

    >>> _unit(2_400_000_000), _unit(31_168), _unit(700)
    (('MB', 1000000.0), ('kB', 1000.0), ('bytes', 1.0))
    """
    units = ("MB", 1e6), ("kB", 1e3), ("bytes", 1.0)
    return next((unit for unit in units if size_bytes >= 10 * unit[1]), units[-1])


def _send(transport: Transport, state: dict[str, Any], name: str, path: Path, size: int) -> Iterator[int]:
    """Upload a file in parts, and yield the number of bytes that were sent so far."""
    offset, retries = 0, Retries()
    address = f"/uploads/{state['id']}"
    with path.open("rb") as file:
        while offset < size:
            try:
                if retries.failures:  # Some bytes may have arrived before the connection broke.
                    files = transport.json("GET", address)["files"]
                    arrived = next(int(entry["offset"]) for entry in files if entry["name"] == name)
                    if arrived > offset:
                        retries.succeed()
                    offset = arrived
                file.seek(offset)
                part = file.read(min(int(state["part_bytes"]), _PART_BYTES, size - offset))
                if not part and offset < size:
                    raise SceneError(
                        f"{path} became shorter during the upload: it had {size} bytes, and has {path.stat().st_size}; upload it again when "
                        "no program writes it"
                    )
                if part:
                    transport.json("PUT", f"{address}/files/{name}", params={"offset": offset}, content=part)
                offset += len(part)
                retries.succeed()
            except ServiceError as error:
                retries.pause(error, also={_CONFLICT})
            yield offset


def _complete(transport: Transport, state: dict[str, Any]) -> None:
    """Ask the service to check the uploaded files. Repeating the request is safe."""
    retries = Retries()
    while True:
        try:
            transport.json("POST", f"/uploads/{state['id']}/complete", timeout=_CHECK_S)
        except ServiceError as error:
            retries.pause(error)
        else:
            return
