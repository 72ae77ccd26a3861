"""Checksums of the files of a trained model, as listed in its training record."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hsifeat.errors import BackboneError, raise_resource_error
from hsifeat.seals import SealError, file_digest, open_json

RECORD = "training.json"
_ADVICE = "copy the whole folder again, or repeat the training"


def record_files(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the digests of files, for the key ``files`` of a training record.

    The result maps each of `names` to the digest of the file. Names are paths relative to `folder`.
    """
    return {name: file_digest(folder / name, name) for name in names}


class RecordedFiles:
    """The files of a model folder and their recorded digests. Only folders that `hsifeat.pretrain` wrote have a record.

    Parameters
    ----------
    folder : Path
        Folder of the model, or a subfolder such as ``unet``.

    Raises
    ------
    BackboneError
        If the training record is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder if (folder / RECORD).is_file() else folder.parent
        self._digests: dict[str, str] = {}
        file = self._folder / RECORD
        if file.is_file():
            try:
                # Other programs may write a file of this name, without a seal.
                digests = open_json(file, RECORD, advice=_ADVICE, required=False).get("files", {})
            except SealError as error:
                raise BackboneError(str(error)) from error
            self._digests = digests if isinstance(digests, dict) else {}
        self._checked: set[str] = set()

    def check(self, file: Path) -> None:
        """Compare a file of the model with its recorded digest. A file that the record does not list is not checked.

        Raises
        ------
        BackboneError
            If the file can't be read. If the digest of the file differs from the recorded digest.
        """
        if not file.is_relative_to(self._folder):
            return
        name = file.relative_to(self._folder).as_posix()
        if name not in self._digests or name in self._checked:
            return
        try:
            matches = file_digest(file, name) == self._digests[name]
        except OSError as error:
            raise_resource_error(error)
            raise BackboneError(f"{file} can't be read ({error.strerror or error}): {_ADVICE}") from error
        if not matches:
            raise BackboneError(
                f"{file} is damaged or was replaced, since it does not match {RECORD}: {_ADVICE}, or delete {RECORD} if you "
                "replaced the file on purpose"
            )
        self._checked.add(name)
