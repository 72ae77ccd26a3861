"""What the tensors of a guided-diffusion checkpoint leave open: known by the file's sha256, or written down by the user."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, ValidationInfo, field_validator

from hsifeat.errors import BackboneError

_T = 1000


class CheckpointFlags(BaseModel):
    """The flags of a checkpoint that its tensors don't show.

    Attributes
    ----------
    heads, head_channels : int or None
        Attention has so many heads at every level, or heads of so many channels; one of both is given.
    attention_order : str
        ``legacy``: the rows of ``qkv`` are heads first; ``new`` (``use_new_attention_order``): queries, keys, values first.
    noise_schedule : str
        ``linear`` (betas from 0.1 / T to 20 / T) or ``cosine``.
    timesteps : int
        T, the training timesteps.
    rescale_timesteps : bool or None
        The network is told t * 1000 / T instead of t; must be known where T is not 1000.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    heads: PositiveInt | None = None
    head_channels: Annotated[PositiveInt | None, Field(validate_default=True)] = None
    attention_order: Literal["legacy", "new"]
    noise_schedule: Literal["linear", "cosine"]
    timesteps: PositiveInt
    rescale_timesteps: Annotated[bool | None, Field(validate_default=True)] = None

    @field_validator("head_channels")
    @classmethod
    def _one_of_both(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "heads" in info.data and (value is None) == (info.data["heads"] is None):
            raise ValueError("give one of heads and head_channels")
        return value

    @field_validator("rescale_timesteps")
    @classmethod
    def _needed(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value is None and info.data.get("timesteps", _T) != _T:
            raise ValueError(f"give true or false, since timesteps are not {_T}")
        return value

    @property
    def timestep_scale(self) -> float:
        """What the network is told for one timestep."""
        return _T / self.timesteps if self.rescale_timesteps else 1.0

    def heads_by_channels(self, channels: Iterable[int]) -> dict[int, int]:
        """Return the number of heads by channels of a level; `BackboneError` where the channels can't be so divided."""
        found = {}
        for count in channels:
            divisor = self.heads or self.head_channels or 1
            if count % divisor:
                kind = "heads" if self.heads else "head_channels"
                raise BackboneError(
                    f"{kind} = {divisor} does not fit attention on {count} channels, which it must divide"
                )
            found[count] = self.heads or count // divisor
        return found

    def __str__(self) -> str:
        # What JSON writes for words, numbers and truth is TOML too.
        return "; ".join(f"{k} = {json.dumps(v)}" for k, v in self.model_dump(exclude_none=True).items())


def _flags(
    order: Literal["legacy", "new"], schedule: Literal["linear", "cosine"], *, heads: int | None = None
) -> CheckpointFlags:
    return CheckpointFlags(
        heads=heads,
        head_channels=None if heads else 64,
        attention_order=order,
        noise_schedule=schedule,
        timesteps=_T,
    )


# OpenAI publishes no digests. This one is what others list for its file of this name: 2,211,383,297 bytes.
KNOWN_BY_SHA256 = {
    "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1": _flags("legacy", "linear"),
}
# Flags in the README of guided-diffusion and of ddpm-segmentation (ffhq). A name proves nothing, so that these are only told.
DOCUMENTED_BY_NAME = {
    "64x64_diffusion.pt": _flags("new", "cosine"),
    "128x128_diffusion.pt": _flags("legacy", "linear", heads=4),
    **dict.fromkeys(
        (
            "256x256_diffusion.pt", "256x256_diffusion_uncond.pt", "512x512_diffusion.pt", "lsun_bedroom.pt", "lsun_cat.pt",
            "lsun_horse.pt", "lsun_horse_nodropout.pt", "ffhq.pt",
        ),
        _flags("legacy", "linear"),
    ),
}  # fmt: skip
_WANTED = 'heads = N or head_channels = N; attention_order = "legacy" or "new"; noise_schedule = "linear" or "cosine"; timesteps = N'


def read_checkpoint_flags(checkpoint: Path) -> CheckpointFlags:
    """Return what the tensors leave open: from ``<checkpoint>.toml`` beside the file, or by its sha256.

    Raises
    ------
    BackboneError
        Neither is there, or the file beside it is not as it must be; the message says what to write.
    """
    beside = checkpoint.with_name(f"{checkpoint.name}.toml")
    if beside.exists():
        return _read(beside)
    with checkpoint.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest in KNOWN_BY_SHA256:
        return KNOWN_BY_SHA256[digest]
    documented = DOCUMENTED_BY_NAME.get(checkpoint.name)
    documentation = (
        "" if documented is None else f" (the file published under this name is documented to have {documented})"
    )
    raise BackboneError(
        f"{checkpoint} is not known by its sha256, {digest}, and tensors don't tell heads, their order, and the noise "
        f"schedule: write {beside} with the lines {_WANTED}{documentation}"
    )


def _read(path: Path) -> CheckpointFlags:
    try:
        return CheckpointFlags.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            reason = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
            )
        raise BackboneError(f"{path}: {reason}. Wanted are {_WANTED}") from error
