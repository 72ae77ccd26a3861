"""Upload of local files to a service in parts. After a broken connection, the missing bytes are sent again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hsifeat.client.transport import ServiceError, Transport
from hsifeat.errors import SceneError
from hsifeat.runtime.events import Advanced, Finished, Listener, Started

_TASK = "upload"
_TRIES = 5
_CONFLICT = 409


def upload_files(transport: Transport, paths: Sequence[Path], listen: Listener) -> str:
    """Upload files, and return the identifier of the complete upload.

    Parameters
    ----------
    transport : Transport
        Sends requests to the service.
    paths : sequence of Path
        Local files.
    listen : callable
        Receives the progress.

    Raises
    ------
    SceneError
        A file does not exist.
    ServiceError
        The service refuses a file, or can't be reached.
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
    transport.json("POST", f"/uploads/{state['id']}/complete")
    listen(Finished(_TASK))
    return str(state["id"])


def _send(transport: Transport, state: dict[str, Any], path: Path, listen: Listener, sent: int) -> None:
    size, offset, failures = path.stat().st_size, 0, 0
    address = f"/uploads/{state['id']}/files/{path.name}"
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            part = file.read(min(int(state["part_bytes"]), 8 * 2**20))
            try:
                transport.json("PUT", address, params={"offset": offset}, content=part)
                offset += len(part)
            except ServiceError as error:
                failures += 1
                if error.status not in {0, _CONFLICT} or failures == _TRIES:
                    raise
                # Some bytes may have arrived before the connection broke.
                files = transport.json("GET", f"/uploads/{state['id']}")["files"]
                offset = next(int(file["offset"]) for file in files if file["name"] == path.name)
            listen(Advanced(_TASK, (sent + offset) / 1e6))
