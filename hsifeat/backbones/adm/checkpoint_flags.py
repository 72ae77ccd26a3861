"""Flags of guided-diffusion that a checkpoint lacks. They are read from a TOML file, or found by the checkpoint's sha256."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, ValidationInfo, field_validator

from hsifeat.errors import BackboneError, raise_resource_error
from hsifeat.files import open_regular, read_regular

_T = 1000


class CheckpointFlags(BaseModel):
    """Settings of a guided-diffusion network that can't be inferred from the tensors of its checkpoint.

    guided-diffusion takes these settings as flags of its command line, and does not save them in the checkpoint.

    Attributes
    ----------
    heads, head_channels : int or None
        `heads` is the number of attention heads at every level. `head_channels` is the number of channels of each
        attention head. Exactly one of these two attributes is set.
    attention_order : str
        Order of the rows of the tensor ``qkv`` of attention layers. With ``legacy``, the rows are sorted by head.
        Within a head, queries come first, then keys, then values. With ``new`` (``use_new_attention_order``), all
        queries come first, then all keys, then all values. Within each of the three, the rows are sorted by head.
    noise_schedule : str
        ``linear`` (betas from 0.1 / T to 20 / T) or ``cosine``.
    timesteps : int
        T, the number of training timesteps.
    rescale_timesteps : bool or None
        Whether the network receives t * 1000 / T instead of the timestep t. Required if T is not 1000.
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
    def _require_one(cls, value: int | None, info: ValidationInfo) -> int | None:
        if "heads" in info.data and (value is None) == (info.data["heads"] is None):
            raise ValueError("set exactly one of heads and head_channels")
        return value

    @field_validator("rescale_timesteps")
    @classmethod
    def _require_where_rescaled(cls, value: bool | None, info: ValidationInfo) -> bool | None:
        if value is None and info.data.get("timesteps", _T) != _T:
            raise ValueError(f"set it to true or false, since timesteps are not {_T}")
        return value

    @property
    def timestep_scale(self) -> float:
        """Factor by which a timestep is multiplied before the network receives it."""
        return _T / self.timesteps if self.rescale_timesteps else 1.0

    def heads_by_channels(self, channels: Iterable[int]) -> dict[int, int]:
        """Map the number of channels of an attention layer to the number of its attention heads.

        Raises
        ------
        BackboneError
            If a number of channels is not divisible by `heads` or `head_channels`, whichever attribute is set.
        """
        heads = {}
        for count in channels:
            divisor = self.heads or self.head_channels or 1
            if count % divisor:
                kind = "heads" if self.heads else "head_channels"
                raise BackboneError(f"{kind} = {divisor} must divide the {count} channels of an attention layer")
            heads[count] = self.heads or count // divisor
        return heads

    def __str__(self) -> str:
        # Strings, numbers and booleans are written alike in JSON and TOML.
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


# OpenAI publishes no digests. This one is what independent projects check, such as Disco Diffusion, after they download
# jul-2021/256x256_diffusion_uncond.pt (2,211,383,297 bytes) from OpenAI's address. The flags are those of guided-diffusion's
# README for this file. The digest only selects the flags: it does not vouch for the weights.
KNOWN_BY_SHA256 = {
    "a37c32fffd316cd494cf3f35b339936debdc1576dad13fe57c42399a5dbc78b1": _flags("legacy", "linear"),
}
# From the READMEs of guided-diffusion and of ddpm-segmentation (ffhq). The name of a file does not prove its content, so these
# flags are only suggested in an error message.
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
_REQUIRED_LINES = 'heads = N or head_channels = N; attention_order = "legacy" or "new"; noise_schedule = "linear" or "cosine"; timesteps = N'


def read_checkpoint_flags(checkpoint: Path) -> CheckpointFlags:
    """Return the flags of a checkpoint, read from ``<checkpoint>.toml`` or looked up by the checkpoint's sha256.

    Raises
    ------
    BackboneError
        If the TOML file is missing and the sha256 is unknown. If the TOML file is invalid. The message shows the lines
        that the TOML file needs.
    """
    flags_file = checkpoint.with_name(f"{checkpoint.name}.toml")
    if flags_file.exists():
        return _read_flags(flags_file)
    with open_regular(checkpoint) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest in KNOWN_BY_SHA256:
        return KNOWN_BY_SHA256[digest]
    flags = DOCUMENTED_BY_NAME.get(checkpoint.name)
    documentation = "" if flags is None else f" (the file published under this name is documented to have {flags})"
    raise BackboneError(
        f"{checkpoint} has an unknown sha256, {digest}, and its tensors show neither attention heads nor their order nor the noise "
        f"schedule: write {flags_file} with the lines {_REQUIRED_LINES}{documentation}"
    )


def _read_flags(path: Path) -> CheckpointFlags:
    try:
        return CheckpointFlags.model_validate(tomllib.loads(read_regular(path).decode("utf-8-sig")))
    except (OSError, ValueError, RecursionError) as error:
        raise_resource_error(error)
        reason = str(error)
        if isinstance(error, ValidationError):
            reason = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}" for e in error.errors()
            )
        raise BackboneError(f"{path}: {reason}. Required: {_REQUIRED_LINES}") from error
