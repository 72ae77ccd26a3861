"""An upload: a set of files that a client sends in parts."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hsifeat.files import disk_errors, read_regular, write_file
from hsifeat.service.problems import ProblemError
from hsifeat.service.uploads.inspection import CUBE_SUFFIXES, RefusedFileError, check_content

_MANIFEST = "upload.json"
_CHUNK_BYTES = 2**20


class OffsetError(ProblemError):
    """Raised if a file is incomplete, or a part begins at a wrong position or is sent at the same time as another part.

    Attributes
    ----------
    offset : int
        Number of bytes of the file that the service has received. The next part must begin at this position.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(409, message, {"Upload-Offset": str(offset)})
        self.offset = offset


class FileManifest(BaseModel):
    """Name, size and digest of a file, as the client states them before the upload."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=100, description="File name, with the suffix of its format.")]
    size_bytes: Annotated[int, Field(ge=1, le=2**50, description="Size in bytes.")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="sha256 of the content, 64 hexadecimal digits.")]


class UploadManifest(BaseModel):
    """The manifest of an upload: owner, files, and whether all files are complete and checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    owner: str
    files: tuple[FileManifest, ...]
    complete: bool

    @property
    def size_bytes(self) -> int:
        """Size of all files in bytes."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True)
class Upload:
    """An upload in a folder.

    Attributes
    ----------
    path : Path
        Folder of the upload. The identifier of the upload is the name of the folder.
    manifest : UploadManifest
        Owner and files of the upload.
    max_unpacked_bytes : int
        Maximum size in bytes of all values of a file after decompression.
    lifetime_s : float
        Time in seconds from the last use of the upload to its deletion.
    """

    path: Path
    manifest: UploadManifest
    max_unpacked_bytes: int
    lifetime_s: float

    @classmethod
    def find(cls, path: Path, max_unpacked_bytes: int, lifetime_s: float) -> Upload | None:
        """Return the upload in a folder, or None if the folder contains no upload. For the parameters, see `Upload`."""
        try:
            manifest = UploadManifest.model_validate_json(read_regular(path / _MANIFEST))
        except (OSError, ValidationError):
            return None
        return cls(path, manifest, max_unpacked_bytes, lifetime_s)

    @property
    def id(self) -> str:
        """Identifier, 16 hexadecimal digits."""
        return self.path.name

    @property
    def folder(self) -> Path:
        """Folder of the uploaded files."""
        return self.path / "files"

    @property
    def expires(self) -> float:
        """Time in seconds since 1970 at which the upload is deleted if it is not used before; 0 for a deleted upload."""
        try:
            return (self.path / _MANIFEST).stat().st_mtime + self.lifetime_s
        except FileNotFoundError:
            return 0.0

    def offset(self, name: str) -> int:
        """Return the number of bytes of a file that the service has received."""
        try:
            return self._file(self._manifest_of(name)).stat().st_size
        except FileNotFoundError:
            return 0

    def digests(self) -> Any:
        """Return names and digests of the files, as JSON values."""
        return sorted([file.name, file.sha256] for file in self.manifest.files)

    @contextmanager
    def open_part(self, name: str, offset: int) -> Iterator[PartWriter]:
        """Yield a writer that appends a part to a file.

        If an error occurs, the bytes that were written before the error are kept.

        Parameters
        ----------
        name : str
            Name of the file.
        offset : int
            Position of the part in the file. It must equal the number of bytes of this file that the service has received.

        Raises
        ------
        OffsetError
            If `offset` differs from the number of received bytes. If another request appends to the file at the same time.
        RefusedFileError
            If the upload has no file with this name. If the upload is already complete.
        StoreError
            If the file can't be written, for example because the disk is full.
        """
        from filelock import FileLock, Timeout

        file = self._manifest_of(name)
        if self.manifest.complete:
            raise RefusedFileError(f"upload {self.id} is complete: begin a new upload to send other files")
        lock = FileLock(self.path / f"{name}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OffsetError(f"another request appends to {name}: wait for its end", self.offset(name)) from None
        try:
            arrived = self.offset(name)
            if offset != arrived:
                raise OffsetError(f"the next part of {name} begins at {arrived}; found a part at {offset}", arrived)
            os.utime(self.path / _MANIFEST)
            with disk_errors(self._file(file)):
                target = self._file(file).open("ab")
            part = PartWriter(target, file.size_bytes - arrived, self._file(file))
            try:
                yield part
            finally:
                part.close()
        finally:
            lock.release()

    def complete(self) -> Upload:
        """Check sizes, digests and contents of all files, and return the complete upload.

        A file with a wrong digest is deleted. The client can send this file again.

        Raises
        ------
        OffsetError
            If bytes of a file are missing.
        RefusedFileError
            If a file has a wrong digest. If the content of a file is not accepted.
        """
        if self.manifest.complete:
            return self
        for file in self.manifest.files:
            arrived = self.offset(file.name)
            if arrived != file.size_bytes:
                raise OffsetError(f"{file.name} has {arrived} of {file.size_bytes} bytes: send the rest first", arrived)
        for file in self.manifest.files:
            if _sha256(self._file(file)) != file.sha256:
                self._file(file).unlink()
                raise RefusedFileError(f"{file.name} does not have the sha256 {file.sha256}: send the file again")
        for file in self.manifest.files:
            check_content(self._file(file), self.max_unpacked_bytes)
        manifest = self.manifest.model_copy(update={"complete": True})
        write_file(self.path / _MANIFEST, manifest.model_dump_json())
        return Upload(self.path, manifest, self.max_unpacked_bytes, self.lifetime_s)

    def complete_folder(self) -> Path:
        """Return the folder with the files of a complete upload, and record that the upload was used now.

        Raises
        ------
        RefusedFileError
            If the upload is not complete.
        """
        if not self.manifest.complete:
            raise RefusedFileError(
                f"upload {self.id} is not complete: send all parts, then POST /uploads/{self.id}/complete"
            )
        os.utime(self.path / _MANIFEST)
        return self.folder

    def scene_file(self) -> str:
        """Return the name of the only file that can be a scene, according to its suffix.

        Raises
        ------
        RefusedFileError
            If no file, or more than one file, can be a scene.
        """
        names = [file.name for file in self.manifest.files if file.name.rpartition(".")[2].lower() in CUBE_SUFFIXES]
        headers = [name for name in names if name.lower().endswith(".hdr")]
        if len(headers or names) != 1:
            raise RefusedFileError(
                f"upload {self.id}: say in files which file is the scene; found {', '.join(names) or 'none'}"
            )
        return (headers or names)[0]

    def delete(self) -> None:
        """Delete the upload."""
        (self.path / _MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.path, ignore_errors=True)

    def _manifest_of(self, name: str) -> FileManifest:
        for file in self.manifest.files:
            if file.name == name:
                return file
        names = ", ".join(file.name for file in self.manifest.files)
        raise RefusedFileError(f"upload {self.id} has no file {name!r}; its files: {names}")

    def _file(self, file: FileManifest) -> Path:
        return self.folder / file.name


class PartWriter:
    """Appends the bytes of the next part of an uploaded file, up to the declared size of the file.

    Parameters
    ----------
    target : binary file
        The file, opened for appending.
    left_bytes : int
        Declared size of the file minus its present size, in bytes.
    path : Path
        Path of the file for error messages.
    """

    def __init__(self, target: BufferedWriter, left_bytes: int, path: Path) -> None:
        self._target = target
        self._left_bytes = left_bytes
        self._path = path

    def write(self, content: bytes) -> None:
        """Append bytes.

        Raises
        ------
        RefusedFileError
            If the file would exceed its declared size. In this case, nothing is written.
        DiskFullError
            If the disk is full. The bytes that fit are kept.
        """
        if len(content) > self._left_bytes:
            raise RefusedFileError(
                f"{self._path.name}: the part reaches beyond the size that the upload was created with"
            )
        with disk_errors(self._path):
            self._target.write(content)
        self._left_bytes -= len(content)

    def close(self) -> None:
        """Close the file, and wait until its bytes are on the disk."""
        with disk_errors(self._path), self._target:
            self._target.flush()
            os.fsync(self._target.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
