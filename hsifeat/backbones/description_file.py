"""Description files, which keep the description of a backbone in the cache folder.

Without a description file, the network is opened to describe the backbone. This takes seconds: torch and diffusers are
imported, the network is built, and the weights are read. A description file is out of date if a file of the model, the
code of hsifeat or the version of a library has changed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from stat import S_ISDIR
from typing import Any, Self

from pydantic import ValidationError

from hsifeat.backbones.description import BackboneDescription
from hsifeat.errors import StoreError
from hsifeat.files import cache_folder, change_stamp, open_regular, read_regular, write_file
from hsifeat.seals import SealError, open_json, seal_json

_MODULES = Path(__file__).parent
# Libraries whose version can change the layers or random weights of a network, or how its files are read.
_LIBRARIES = ("hsifeat", "torch", "diffusers", "transformers", "safetensors")
# The state of larger files consists of size, times and inode instead of a digest of the content.
_MAX_DIGESTED_BYTES = 2**24
# A file that changed more recently could change again without another time of change: FAT has steps of 2 s.
_SETTLED_S = 2.5


@dataclass(frozen=True)
class DescriptionFile:
    """Description file of one backbone. The file may not exist yet.

    Attributes
    ----------
    path : Path
        Path of the file. It depends on the plugin, its argument and options, and the installation of hsifeat.
    files : tuple of Path
        Files and folders that determine the backbone.
    state : dict
        Digest or modification time of each of `files`, and the versions of hsifeat and the libraries. All are from the
        time when this object was created.
    """

    path: Path
    files: tuple[Path, ...]
    state: dict[str, str]

    @classmethod
    def find(cls, plugin: str, argument: str, options: Mapping[str, Any], files: Iterable[Path]) -> Self:
        """Return the description file of a backbone, whether it exists or not.

        Parameters
        ----------
        plugin : str
            Name of the function that opens the backbone.
        argument : str
            Argument of the function: an absolute path, or another text.
        options : mapping of str to object
            Options of the function, as JSON values.
        files : iterable of Path
            Files and folders that determine the backbone. A path that does not exist is allowed: if a file is created
            there later, the description is out of date.
        """
        names = json.dumps([plugin, argument, dict(options), str(_MODULES)], sort_keys=True)
        paths = tuple(file.absolute() for file in files)
        return cls(
            cache_folder() / "backbones" / f"{hashlib.sha256(names.encode()).hexdigest()[:32]}.json",
            paths,
            _state(paths),
        )

    def read(self) -> BackboneDescription | None:
        """Return the description, or None if the file is missing, damaged or out of date."""
        try:
            content = open_json(self.path, self.path.name)
            if content["state"] == self.state:
                return BackboneDescription.model_validate(content["description"])
        except (SealError, StoreError, KeyError, ValidationError):
            pass
        return None

    def write(self, description: BackboneDescription) -> None:
        """Write a description to the file if no file of the model has changed since this object was created.

        If a file of the model is larger than 16 MiB, its changes are noticed by its size and times. File systems round
        these times, some to 2 s, so two changes in quick succession may get equal times. Therefore, nothing is written
        if such a file has changed within the last 2.5 s. Nothing is written either if the cache folder is not
        writable or the disk is full.
        """
        if _changed_recently(self.files) or _state(self.files) != self.state:
            return
        content = {"state": self.state, "description": description.model_dump(mode="json")}
        with suppress(StoreError):
            write_file(self.path, seal_json(content, self.path.name, indent=None))

    def delete(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


def _state(paths: Iterable[Path]) -> dict[str, str]:
    return {**_code(), **{str(path): _file_state(path) for path in paths}}


def _file_state(path: Path) -> str:
    try:
        status = path.stat()
        if S_ISDIR(status.st_mode):
            return "folder"
        if status.st_size > _MAX_DIGESTED_BYTES:
            return str(change_stamp(path))
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return type(error).__name__


def _changed_recently(paths: Iterable[Path]) -> bool:
    """Return whether a file whose content is not digested has changed within the last seconds."""
    for path in paths:
        with suppress(OSError):
            status = path.stat()
            age = time.time() - max(status.st_mtime, status.st_ctime)
            if status.st_size > _MAX_DIGESTED_BYTES and age < _SETTLED_S:
                return True
    return False


@cache
def _code() -> dict[str, str]:
    """Return the versions of the libraries, and a digest of the modules that open backbones."""
    versions = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    digest = hashlib.sha256()
    for file in sorted(_MODULES.rglob("*.py")):
        digest.update(read_regular(file))
    return {**versions, "modules": digest.hexdigest()}
