"""The folder in which a model is trained, with its settings, its checkpoint and its training record."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsifeat.backbones.diffusers_folder import read_json
from hsifeat.backbones.recorded_files import RECORD
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import BackboneError, PretrainingError
from hsifeat.files import atomic_write, check_output, disk_errors, write_file
from hsifeat.pretraining.training import Trainer
from hsifeat.projection import Projection
from hsifeat.seals import SealError, check_seal, open_json, seal_file, seal_json

_SETTINGS, _CHECKPOINT, _LOCK = "settings.json", "checkpoint.pt", ".lock"
# Version of `settings.json` and the checkpoint.
FORMAT = 2
_OTHER_FOLDER = "name another folder with `out`"


@dataclass(frozen=True)
class ModelFolder:
    """The folder in which one model is trained.

    Attributes
    ----------
    path : Path
        The folder. The first checkpoint creates it.
    identity : mapping
        Everything that determines the weights, except the number of steps, as plain JSON values.
    """

    path: Path
    identity: Mapping[str, Any]

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint, the file with the state of the training."""
        return self.path / _CHECKPOINT

    @property
    def _checkpoint_name(self) -> str:
        """Name that is included in the checksum of the checkpoint.

        The name contains a digest of `identity`, so that no other model can use the checkpoint.
        """
        identity = json.dumps(dict(self.identity), sort_keys=True)
        return f"{_CHECKPOINT} {hashlib.sha256(identity.encode()).hexdigest()}"

    def read_record(self) -> dict[str, Any] | None:
        """Return the training record of the model in the folder, or None if the folder has no complete model.

        Raises
        ------
        PretrainingError
            If a file is damaged. If the model in the folder has another format than `FORMAT`, or another identity than
            `identity`.
        """
        settings = self.path / _SETTINGS
        if not settings.exists():
            return None
        if _read_format(settings) != FORMAT:
            raise PretrainingError(
                f"{self.path} holds a model that another version of hsifeat trained: it can be used, but not trained further; "
                f"{_OTHER_FOLDER}"
            )
        stored = _open_json(settings, _OTHER_FOLDER)
        for name, old, new in _differences(stored, self.identity):
            raise PretrainingError(
                f"{self.path} holds a model with another {name} (stored: {old}; this training: {new}): {_OTHER_FOLDER}"
            )
        if not (self.path / RECORD).exists():
            return None
        record = _open_json(self.path / RECORD, f"delete it and run the command again, or {_OTHER_FOLDER}")
        if not all(isinstance(record.get(name), int | float) for name in ("steps", "seconds")):
            raise PretrainingError(
                f"{self.path / RECORD} is not a training record: delete it and run the command again, or {_OTHER_FOLDER}"
            )
        return record

    def write_checkpoint(self, trainer: Trainer, projection: Projection | None) -> None:
        """Write a checkpoint atomically. The first call also writes `identity` and `projection`.

        Before writing, the weights are tested: their loss is computed on the batch of the next step.

        Raises
        ------
        DivergedError
            If this loss is not finite, or is far above the loss of the first step. The previous checkpoint is then kept.
        """
        trainer.check_weights()
        with disk_errors(self.path):
            if not (self.path / _SETTINGS).exists():
                self.path.mkdir(parents=True, exist_ok=True)
                self.write_projection(projection)
                write_file(self.path / _SETTINGS, seal_json(self.identity, _SETTINGS))
            with atomic_write(self.checkpoint) as part:
                trainer.save(part)
                seal_file(part, self._checkpoint_name)

    def write_projection(self, projection: Projection | None) -> None:
        """Write the projection of the scenes to the folder. Do nothing if `projection` is None (training on images)."""
        if projection is not None:
            with atomic_write(self.path / PROJECTION_FILE) as part:
                projection.save(part)

    def load_checkpoint(self, trainer: Trainer) -> None:
        """Restore the state of the training from the checkpoint.

        Raises
        ------
        PretrainingError
            If the checkpoint is damaged, or belongs to another model.
        """
        advice = f"delete it to start again, or {_OTHER_FOLDER}"
        try:
            check_seal(self.checkpoint, self._checkpoint_name, advice=advice)
        except SealError as error:
            raise PretrainingError(str(error)) from error
        trainer.load(self.checkpoint)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Lock the folder of a model, and delete the incomplete files of killed trainings.

    If the folder does not exist, it is created. A created folder is removed if the ``with`` block wrote nothing to it.

    Raises
    ------
    PretrainingError
        If another training is running in the folder.
    StoreError
        If `folder` is not writable.
    """
    from filelock import FileLock, Timeout

    new_folders = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(folder / _LOCK)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise PretrainingError(
                f"another training is running in {folder}: wait for its end, or {_OTHER_FOLDER}"
            ) from None
    try:
        for part in folder.glob(".*.part"):
            if part.is_file():
                part.unlink()
        yield
    finally:
        (folder / _LOCK).unlink(missing_ok=True)
        lock.release()
        with suppress(OSError):
            for path in new_folders:
                path.rmdir()


def check_usable(folder: Path) -> None:
    """Check that a model can be trained in a folder.

    Raises
    ------
    PretrainingError
        If `folder` is a file, or contains files but no model of `hsifeat.pretrain`.
    StoreError
        If `folder` is a store or a saved head, or lies in one. If `folder` is not writable.
    """
    if folder.exists() and not folder.is_dir():
        raise PretrainingError(f"{folder} is a file: name a folder with `out`")
    check_output(folder)
    if not folder.is_dir() or (folder / _SETTINGS).exists():
        return
    own = {PROJECTION_FILE, _LOCK}
    if any(p.name not in own and not (p.name[0] == "." and p.suffix == ".part") for p in folder.iterdir()):
        raise PretrainingError(f"{folder} holds other files: name an empty or a new folder with `out`")


def _read_format(settings: Path) -> object:
    """Return the format version in a settings file. Settings files of all formats have this field."""
    try:
        return read_json(settings).get("format")
    except BackboneError as error:
        raise PretrainingError(f"{error}: {_OTHER_FOLDER}") from error


def _open_json(file: Path, advice: str) -> dict[str, Any]:
    try:
        return open_json(file, file.name, advice=advice)
    except SealError as error:
        raise PretrainingError(str(error)) from error


def _differences(stored: Mapping[str, Any], current: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in current:
        old, new = stored.get(name), current[name]
        if old == new:
            continue
        if name == "settings" and isinstance(old, dict):
            yield from _differences(old, new)
        else:
            yield (name if name.endswith("ss") else name.removesuffix("s")), _brief(old), _brief(new)


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(_brief, value))
    return str(value.get("name", value) if isinstance(value, dict) else value)
