"""Options of pretraining that presets can hold, each declared once with its type, default and help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from hsifeat.base_config import BaseConfig, Whole, option
from hsifeat.presets import preset_options


class PretrainingConfig(BaseConfig):
    """Options of a training; see `hsifeat.pretrain` for what they do."""

    network: Annotated[
        str,
        option(
            "Network: mtmsd or diffcrn, trained on scenes; natural32, trained on a folder or tar archive of images."
        ),
    ] = "mtmsd"
    size: Annotated[str, option("Size of the network: small (a few minutes on two CPU cores) or paper.")] = "small"
    components: Annotated[
        Whole | None,
        option(
            "Number of principal components of the spectra that the network sees.", default="that of the size", ge=1
        ),
    ] = None
    steps: Annotated[Whole | None, option("Total number of optimizer steps.", default="that of the size", ge=1)] = None
    learning_rate: Annotated[float | None, option("Learning rate of AdamW.", default="that of the size", gt=0)] = None


def resolve_training(preset: str | Path | None, **options: Any) -> PretrainingConfig:
    """Validate options, and take the unset ones from a preset or else from the defaults.

    Raises
    ------
    HsifeatError
        A wrong option, or a preset without a section ``[pretrain]``.
    """
    if preset is None:
        return PretrainingConfig.from_options(options)
    base = PretrainingConfig.from_options(preset_options(preset, "pretrain"), source=f"the preset {preset}: pretrain.")
    return PretrainingConfig.merged(base, options, inherited_from=f"the preset {preset}")
