"""The folder of a trained model while it is trained: what is trained in it, its checkpoint, its record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hsifeat.backbones.diffusers_folder import read_json
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import BackboneError, PretrainingError
from hsifeat.files import atomic_write, disk_errors, write_file
from hsifeat.pretraining.training import Trainer
from hsifeat.projection import Projection

RECORD, _SETTINGS = "training.json", "settings.json"
# Of what `settings.json` says; changes with what a run can go on from.
FORMAT = 2
_ELSEWHERE = "name another folder with --out"


@dataclass(frozen=True)
class ModelFolder:
    """A folder in which one model is trained.

    Attributes
    ----------
    path : Path
        The folder; it is made with the first checkpoint.
    identity : mapping
        What decides the model besides the number of steps, as plain JSON values.
    """

    path: Path
    identity: Mapping[str, Any]

    @property
    def checkpoint(self) -> Path:
        """The state of a run that can go on."""
        return self.path / "checkpoint.pt"

    def record(self) -> dict[str, Any] | None:
        """Return the record of the model that is complete here, None if there is none.

        Raises
        ------
        PretrainingError
            The folder holds another model, one of an older version, or damaged files.
        """
        settings = self.path / _SETTINGS
        if not settings.exists():
            return None
        there = _read(settings)
        if there.get("format") != FORMAT:
            raise PretrainingError(
                f"{self.path} holds a model that another version of hsifeat trained: it can be used, but not trained on; "
                f"{_ELSEWHERE}"
            )
        for name, old, new in _differences(there, self.identity):
            raise PretrainingError(
                f"{self.path} holds a model with another {name} (there {old}, asked for {new}): {_ELSEWHERE}"
            )
        if not (self.path / RECORD).exists():
            return None
        record = _read(self.path / RECORD)
        if not all(isinstance(record.get(name), int | float) for name in ("steps", "seconds")):
            raise PretrainingError(f"{self.path / RECORD} is no record of a training: delete it, or {_ELSEWHERE}")
        return record

    def keep(self, trainer: Trainer, projection: Projection | None) -> None:
        """Write a checkpoint whole, if the weights are sound, and before the first one what the run is.

        Raises
        ------
        DivergedError
            The weights give no sound loss on the next batch: what was kept before stays.
        """
        trainer.check()
        with disk_errors(self.path):
            if not (self.path / _SETTINGS).exists():
                self.path.mkdir(parents=True, exist_ok=True)
                if projection is not None:
                    with atomic_write(self.path / PROJECTION_FILE) as part:
                        projection.save(part)
                write_file(self.path / _SETTINGS, json.dumps(self.identity, indent=1))
            trainer.save(self.checkpoint)

    def sweep(self) -> None:
        """Remove half-written files of a run that was killed."""
        for part in self.path.glob(".*.part"):
            if part.is_file():
                part.unlink()


def check_free(folder: Path) -> None:
    """Raise `PretrainingError` for a folder that holds something else than a model of ours."""
    if folder.exists() and not folder.is_dir():
        raise PretrainingError(f"{folder} is a file: name a folder with --out")
    if not folder.is_dir() or (folder / _SETTINGS).exists():
        return
    if any(p.name != PROJECTION_FILE and not (p.name[0] == "." and p.suffix == ".part") for p in folder.iterdir()):
        raise PretrainingError(f"{folder} holds something else: name an empty or a new folder with --out")


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except BackboneError as error:
        raise PretrainingError(f"{error}: delete it, or {_ELSEWHERE}") from error


def _differences(there: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield what differs between two identities: name, and both values in brief."""
    for name in asked:
        old, new = there.get(name), asked[name]
        if old == new:
            continue
        if name == "settings" and isinstance(old, dict):
            yield from _differences(old, new)
        else:
            yield name.removesuffix("s"), _brief(old), _brief(new)


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return " and ".join(map(_brief, value))
    return str(value.get("name", value) if isinstance(value, dict) else value)
