"""Client side of a job of a service: state, progress, cancellation and download."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hsifeat.client.transport import Retries, ServiceError, Transport
from hsifeat.errors import HsifeatError
from hsifeat.files import atomic_write, check_output, check_replaced, delete_leftovers, disk_errors, temporary_path
from hsifeat.runtime.events import Advanced, Event, Finished, Listener, Note, Started, silent
from hsifeat.scenes.maps import check_replaces_map

_EVENTS: dict[str, type[Any]] = {"started": Started, "advanced": Advanced, "finished": Finished, "note": Note}
_RESULT_FILES = {"model.json", "results.json"}
_FINAL = {"done", "failed", "cancelled"}


class RemoteJob:
    """A job of a service.

    Parameters
    ----------
    transport : Transport
        Sends requests to the service.
    state : dict
        Description of the job, as the service sends it.

    Attributes
    ----------
    state : dict
        Description of the job at the last request.
    """

    def __init__(self, transport: Transport, state: dict[str, Any]) -> None:
        self._transport = transport
        self.state = state

    def __repr__(self) -> str:
        return f"<RemoteJob {self.id}: {self.state['kind']}, {self.state['state']}>"

    @property
    def id(self) -> str:
        """Identifier of the job."""
        return str(self.state["id"])

    @property
    def result(self) -> dict[str, Any]:
        """Description of the result, such as the key of a store; empty until the job is complete."""
        result: dict[str, Any] = self.state["result"]
        return result

    def refresh(self) -> RemoteJob:
        """Ask the service for the state of the job, and return the job."""
        self.state = self._transport.json("GET", f"/jobs/{self.id}")
        return self

    def wait(self, listen: Listener = silent) -> RemoteJob:
        """Wait until the job is complete, and return the job.

        Parameters
        ----------
        listen : callable
            Callback for the progress events of the job. If the connection breaks, the callback receives the missed
            events after the next connection. If the job is complete already, the callback receives its notes only.

        Raises
        ------
        HsifeatError
            If the job failed or was cancelled.
        ServiceError
            If the service can't be reached in 30 consecutive attempts, or refuses a request.
        """
        last, retries = 0, Retries()
        started: set[str] = set()
        was_complete = self.state["state"] in _FINAL
        is_read = was_complete and listen is silent
        while not is_read:
            try:
                for number, event in self._events(last):
                    last = number
                    retries.succeed()
                    if isinstance(event, Started):
                        started.add(event.task)
                    if isinstance(event, Note) or (event.task in started and not was_complete):
                        listen(event)
                if not was_complete:
                    self.refresh()
                retries.succeed()
                is_read = self.state["state"] in _FINAL
            except ServiceError as error:
                retries.pause(error)
        if self.state["state"] != "done":
            raise HsifeatError(f"job {self.id} {self.state['state']}: {self.state['reason']}")
        return self

    def cancel(self) -> RemoteJob:
        """Withdraw the caller's request, and return the job. The job is cancelled if no one else has requested it."""
        self.state = self._transport.json("POST", f"/jobs/{self.id}/cancel")
        return self

    def download(self, path: str | Path) -> Path:
        """Download the result of a finished job.

        Parameters
        ----------
        path : str or Path
            File to write: a GeoTIFF for a prediction, or a zip file for a model or a report. The class names of a GeoTIFF are
            in a second file with the additional suffix ``.aux.xml``. If the path has no suffix, the zip file is unpacked
            into a new folder with this path. The file or folder appears when the download is complete.

        Returns
        -------
        Path
            The file or folder.

        Raises
        ------
        HsifeatError
            If the job has no result to download. If `path` can't be written, or lies in a store or a model. If `path` is a file
            that is no earlier result. If the new
            folder already exists. If the result is not a zip file, but `path` has no suffix. If the suffix of `path` is not
            the suffix of the result.
        """
        path = Path(path)
        if path.exists() and not path.suffix:
            raise HsifeatError(f"{path} exists: name a new folder, or a file with a suffix")
        check_output(path)
        name = str(self.result.get("download", ""))
        suffix = Path(name).suffix
        if name and path.suffix.lower().replace(".tiff", ".tif") not in (
            {suffix, ""} if suffix == ".zip" else {suffix}
        ):
            raise HsifeatError(f"the result of job {self.id} is the file {name}: name a file, such as {path}{suffix}")
        if path.suffix:
            if suffix == ".zip":
                check_replaced(path, "result of a job", _is_result)
            else:
                check_replaces_map(path)
            with atomic_write(path) as part:
                self._fetch(part)
                self._fetch_names(name, path)
            return path
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            delete_leftovers(path.parent)
            archive, new = (temporary_path(path, suffix) for suffix in ("part", "new"))
            try:
                self._fetch(archive)
                _unpack(archive, new)
                new.rename(path)
            finally:
                archive.unlink(missing_ok=True)
                shutil.rmtree(new, ignore_errors=True)
        return path

    def _fetch_names(self, name: str, path: Path) -> None:
        """Download the file with the class names of a map. If the map has none, delete the file of an earlier map."""
        names, target = f"{name}.aux.xml", path.with_name(f"{path.name}.aux.xml")
        if not name.endswith(".tif"):
            return
        if any(file["name"] == names for file in self._transport.json("GET", f"/jobs/{self.id}/files")):
            with atomic_write(target) as part:
                self._fetch(part, f"files/{names}")
        else:
            target.unlink(missing_ok=True)

    def _fetch(self, target: Path, file: str = "result") -> None:
        with self._transport.stream(f"/jobs/{self.id}/{file}") as response, target.open("wb") as out:
            for block in response.iter_bytes():
                out.write(block)

    def _events(self, last: int) -> Iterator[tuple[int, Event]]:
        """Yield the number and the content of each event after event number `last`, until the job ends."""
        headers = {"Last-Event-ID": str(last)} if last else {}
        fields: dict[str, str] = {}
        with self._transport.stream(f"/jobs/{self.id}/events", headers=headers) as response:
            for line in response.iter_lines():
                name, _, value = line.partition(":")
                if line:
                    fields[name] = value.removeprefix(" ")
                    continue
                kind = _EVENTS.get(fields.get("event", ""))
                if kind is not None:
                    yield int(fields["id"]), kind(**json.loads(fields["data"]))
                fields = {}


def _is_result(path: Path) -> bool:
    """Return whether an existing zip file may be the model or report of a job."""
    with zipfile.ZipFile(path) as file:
        return any(Path(name).name in _RESULT_FILES for name in file.namelist())


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into `folder`, without the top folder in the zip file that contains all members."""
    folder.mkdir()
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            parts = Path(member.filename).parts[1:]
            if member.is_dir() or not parts or ".." in parts or Path(*parts).is_absolute():
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open(member) as source, target.open("wb") as out:
                shutil.copyfileobj(source, out)
