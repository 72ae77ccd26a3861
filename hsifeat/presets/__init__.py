"""Published extractions by name: one TOML file each, which says how to train and extract, and in what that differs from the paper."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hsifeat.errors import HsifeatError, error_summary, suggest_names


class Options(BaseModel):
    """What a preset may choose: the options of `hsifeat.extract`, under the same names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    backbone: str | None = None
    timesteps: list[int] | Annotated[str, Field(pattern=r"^auto:[0-9]{1,9}$")] | None = None
    layers: list[str] | None = None
    projection: str | None = None
    tile: int | None = None
    halo: int | None = None
    stitch: str | None = None
    padding: str | None = None
    origin: tuple[int, int] | None = Field(default=None, strict=False)
    pixels: str | None = None
    noise: str | None = None
    draws: int | None = None
    seed: int | None = None
    class_label: int | str | None = None
    prompt: str | None = None
    upsample: int | None = None
    dtype: str | None = None


class Training(BaseModel):
    """How a preset's backbone is trained: options of `hsifeat.pretrain`, under the same names, with their usual values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    network: str = "mtmsd"
    size: str = "small"
    components: int | None = None
    steps: int | None = None
    learning_rate: float | None = None


class Preset(BaseModel):
    """A published extraction.

    Attributes
    ----------
    title : str
        What it is.
    source : str
        Paper or code that the facts are from.
    differs : list of str
        In what it differs from what was published, and what was not published.
    extract : Options
        What is chosen.
    pretrain : Training or None
        How its backbone is trained, where that is done on the scene itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str
    source: str
    differs: list[str] = []
    extract: Options
    pretrain: Training | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Return what is chosen, for `hsifeat.extract`."""
        return self.extract.model_dump(exclude_none=True)


def preset_names() -> list[str]:
    """Return the names of the presets that come with hsifeat."""
    return sorted(file.name.removesuffix(".toml") for file in files(__name__).iterdir() if file.name.endswith(".toml"))


def open_preset(source: str | Path) -> Preset:
    """Read a preset.

    Parameters
    ----------
    source : str or Path
        A name of `preset_names`, or a ``.toml`` file.

    Raises
    ------
    HsifeatError
        There is no such preset, or it is no TOML, lacks something or has what no preset has.
    """
    text = str(source)
    if text.endswith(".toml"):
        try:
            content = Path(source).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise HsifeatError(f"the preset {source} can't be read: {error}") from error
    elif text in preset_names():
        content = (files(__name__) / f"{text}.toml").read_text(encoding="utf-8")
    else:
        raise HsifeatError(f"no preset {text!r}; {suggest_names(text, preset_names())}, or a .toml file")
    try:
        given = tomllib.loads(content)
    except (ValueError, RecursionError) as error:
        raise HsifeatError(f"the preset {source} is no TOML: {error_summary(error)}") from error
    try:
        return Preset.model_validate(given)
    except ValidationError as error:
        wrong = error.errors()[0]
        parts: dict[object, type[BaseModel]] = {"extract": Options, "pretrain": Training}
        deep = len(wrong["loc"]) > 1
        where = f"below {wrong['loc'][0]}" if deep else "at the top"
        fields = parts[wrong["loc"][0]] if deep else Preset
        allowed = f"; allowed {where}: {', '.join(fields.model_fields)}" if wrong["type"] == "extra_forbidden" else ""
        raise HsifeatError(
            f"the preset {source}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}{allowed}"
        ) from error


def choose_training(preset: str | Path | None, **given: Any) -> Training:
    """Return how to train a backbone: what is given and not None, and the rest as a preset or the usual choice says.

    Raises
    ------
    HsifeatError
        There is no such preset, or it has no word on training.
    """
    usual = Training() if preset is None else open_preset(preset).pretrain
    if usual is None:
        raise HsifeatError(f"the preset {preset} says nothing of training: its backbone is one that others trained")
    return usual.model_copy(update={name: value for name, value in given.items() if value is not None})
