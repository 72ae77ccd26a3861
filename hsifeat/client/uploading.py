"""Upload of local files to a service in parts. If the connection breaks, the upload continues with the missing bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
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


def upload_files(transport: Transport, paths: Sequence[Path], listen: Listener) -> str:
    """Upload files, and return the identifier of the complete upload.

    Parameters
    ----------
    transport : Transport
        Sends requests to the service.
    paths : sequence of Path
        Local files.
    listen : callable
        Callback for the progress of the upload.

    Raises
    ------
    SceneError
        If a file does not exist.
    ServiceError
        If the service refuses a file, or can't be reached.
    """
    files = []
    for path in paths:
        if not path.is_file():
            raise SceneError(f"no such file: {path}")
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files.append({"name": path.name, "size_bytes": path.stat().st_size, "sha256": digest})
    state = transport.json("POST", "/uploads", json={"files": files})
    total = sum(path.stat().st_size for path in paths)
    listen(Started(_TASK, total / 1e6, "MB"))
    sent = 0
    for path in paths:
        _send(transport, state, path, listen, sent)
        sent += path.stat().st_size
    _complete(transport, state)
    listen(Finished(_TASK))
    return str(state["id"])


def _send(transport: Transport, state: dict[str, Any], path: Path, listen: Listener, sent: int) -> None:
    size, offset, retries = path.stat().st_size, 0, Retries()
    address = f"/uploads/{state['id']}"
    with path.open("rb") as file:
        while offset < size:
            try:
                if retries.failures:  # Some bytes may have arrived before the connection broke.
                    files = transport.json("GET", address)["files"]
                    arrived = next(int(entry["offset"]) for entry in files if entry["name"] == path.name)
                    if arrived > offset:
                        retries.succeed()
                    offset = arrived
                file.seek(offset)
                if part := file.read(min(int(state["part_bytes"]), _PART_BYTES)):
                    transport.json("PUT", f"{address}/files/{path.name}", params={"offset": offset}, content=part)
                offset += len(part)
                retries.succeed()
            except ServiceError as error:
                retries.pause(error, also={_CONFLICT})
            listen(Advanced(_TASK, (sent + offset) / 1e6))


def _complete(transport: Transport, state: dict[str, Any]) -> None:
    """Ask the service to check the uploaded files. The request may be repeated."""
    retries = Retries()
    while True:
        try:
            transport.json("POST", f"/uploads/{state['id']}/complete", timeout=_CHECK_S)
        except ServiceError as error:
            retries.pause(error)
        else:
            return
