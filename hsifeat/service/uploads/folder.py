"""The folder of uploads: creating, finding and deleting uploads."""

from __future__ import annotations

import secrets
import shutil
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from hsifeat.errors import DiskFullError
from hsifeat.files import disk_errors, write_file
from hsifeat.formatting import format_bytes, list_some
from hsifeat.service.job_settings import GB, JobSettings
from hsifeat.service.problems import ProblemError
from hsifeat.service.uploads.inspection import check_name
from hsifeat.service.uploads.upload import FileManifest, Upload, UploadManifest

# Twenty rasters with a companion each.
_MAX_FILES = 40
_ID_BYTES = 8
# Space that stays free on the disk for the database and for running jobs.
_RESERVE_BYTES = 2**30


class UploadTooLargeError(ProblemError):
    """Raised if an upload is too large, or if all uploads together would become too large."""

    def __init__(self, message: str) -> None:
        super().__init__(413, message)


class UnknownUploadError(ProblemError):
    """Raised if no upload has the given identifier."""

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


@dataclass(frozen=True)
class UploadFolder:
    """The uploads of a service. Each upload is in a subfolder.

    Attributes
    ----------
    path : Path
        Folder of the uploads.
    max_bytes, max_total_bytes : int
        Maximum size in bytes of one upload, and of all uploads together.
    max_unpacked_bytes : int
        Maximum size in bytes of all values of a file after decompression.
    lifetime_s : float
        Time in seconds from the last use of an upload to its deletion.
    """

    path: Path
    max_bytes: int
    max_total_bytes: int
    max_unpacked_bytes: int
    lifetime_s: float

    @classmethod
    def of_settings(cls, settings: JobSettings) -> UploadFolder:
        """Return the uploads in the folder that the settings name."""
        return cls(
            settings.uploads_folder,
            settings.upload_gb * GB,
            settings.uploads_gb * GB,
            # A value has at most 8 bytes.
            settings.scene_values * 8,
            settings.upload_hours * 3600.0,
        )

    def create(self, files: Sequence[FileManifest], owner: str) -> Upload:
        """Create an upload. The contents of its files are sent afterwards.

        Parameters
        ----------
        files : sequence of FileManifest
            Names, sizes and digests of the files.
        owner : str
            Name of the person who uploads.

        Raises
        ------
        RefusedFileError
            If a name or format is not accepted.
        UploadTooLargeError
            If the files, or all uploads, are too large in total. If there are no files or too many. If two files have the
            same name.
        DiskFullError
            If the disk has too little free space.
        """
        names = [file.name for file in files]
        for name in names:
            check_name(name)
        if not 1 <= len(files) <= _MAX_FILES:
            raise UploadTooLargeError(f"an upload has 1 to {_MAX_FILES} files; found {len(files)}")
        counts = Counter(name.lower() for name in names)
        if equal := [name for name in names if counts[name.lower()] > 1]:
            raise UploadTooLargeError(
                f"the names of the files of an upload must differ by more than capital letters; found {list_some(equal, 8)}"
            )
        size = sum(file.size_bytes for file in files)
        total = sum(upload.manifest.size_bytes for upload in self.uploads())
        if size > self.max_bytes:
            raise UploadTooLargeError(
                f"the upload has {format_bytes(size)}; allowed: at most {format_bytes(self.max_bytes)}"
            )
        if total + size > self.max_total_bytes:
            raise UploadTooLargeError(
                f"the uploads of this service take {format_bytes(total)} of at most {format_bytes(self.max_total_bytes)}, and another "
                f"{format_bytes(size)} do not fit: delete uploads that nobody needs, or wait until they expire"
            )
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.path).free
        if size + _RESERVE_BYTES > free:
            raise DiskFullError(
                f"the disk of this service is full: {format_bytes(free)} are free, and the upload needs {format_bytes(size)} and a "
                f"reserve of {format_bytes(_RESERVE_BYTES)}; ask the operator for more room"
            )
        upload = Upload(
            self.path / secrets.token_hex(_ID_BYTES),
            UploadManifest(owner=owner, files=tuple(files), complete=False),
            self.max_unpacked_bytes,
            self.lifetime_s,
        )
        with disk_errors(upload.path):
            upload.path.mkdir(mode=0o700)
            upload.folder.mkdir()
            write_file(upload.path / "upload.json", upload.manifest.model_dump_json())
        return upload

    def get(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises
        ------
        UnknownUploadError
            If there is no upload with this identifier.
        """
        if len(upload_id) == 2 * _ID_BYTES and set(upload_id) <= set("0123456789abcdef"):
            upload = Upload.find(self.path / upload_id, self.max_unpacked_bytes, self.lifetime_s)
            if upload is not None:
                return upload
        raise UnknownUploadError(
            f"no upload {upload_id!r}: uploads that nobody uses expire; POST /uploads begins a new one"
        )

    def uploads(self) -> list[Upload]:
        """List all uploads."""
        found = [Upload.find(path, self.max_unpacked_bytes, self.lifetime_s) for path in sorted(self.path.glob("*"))]
        return [upload for upload in found if upload is not None]

    def delete_expired(self, used: Collection[str]) -> list[str]:
        """Delete the uploads that were last used more than `lifetime_s` ago, and return their identifiers.

        Parameters
        ----------
        used : collection of str
            Identifiers of uploads that unfinished jobs need. These uploads are not deleted.
        """
        expired = [upload for upload in self.uploads() if upload.expires < time.time() and upload.id not in used]
        for upload in expired:
            upload.delete()
        return [upload.id for upload in expired]
