"""Options of `hsifeat.pretrain`. The command line, preset files and the options page derive from this module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from hsifeat.base_config import BaseConfig, PathText, Whole, Wholes, option
from hsifeat.presets import preset_options
from hsifeat.pretraining.network_spec import Norm


class PretrainingConfig(BaseConfig):
    """Options of `hsifeat.pretrain`.

    If `steps`, `components` or `learning_rate` is None, the value comes from the `NetworkSpec` of the network.
    """

    network: Annotated[
        str,
        option(
            "Network: mtmsd, diffcrn, spectraldiff or multistage, trained on scenes, or natural32, trained on images.",
            metavar="NETWORK",
        ),
    ] = "mtmsd"
    size: Annotated[
        Literal["small", "paper"],
        option("Size of the network: small trains in minutes on two CPU cores, paper is the published size."),
    ] = "small"
    norm: Annotated[
        Norm,
        option(
            "Normalisation of a U-Net: group, over groups of channels of a tile, or pixel-rms, over the channels of each pixel. "
            "With pixel-rms, the network has no attention, and a feature depends only on pixels in its receptive field."
        ),
    ] = "group"
    steps: Annotated[
        Whole | None,
        option(
            "Total optimizer steps, including those of earlier calls.", default="depends on the network", ge=1, le=10**9
        ),
    ] = None
    minutes: Annotated[
        float | None,
        option(
            "Maximum duration of this call. Repeating the command continues an interrupted training and, with --steps, also one "
            "that has steps left.",
            unit="min",
            default="none",
            gt=0,
            le=1e6,
        ),
    ] = None
    components: Annotated[
        Whole | None,
        option(
            "Number of channels that the network receives: principal components, or evenly spaced bands for spectraldiff.",
            default="depends on the network",
            ge=1,
            le=2**16,
        ),
    ] = None
    boundaries: Annotated[
        Wholes | None,
        option(
            "First timesteps of the second and third decoder of multistage, such as 442,631.",
            metavar="T,T",
            default="computed from the first scene",
        ),
    ] = None
    learning_rate: Annotated[
        float | None, option("Learning rate of AdamW.", default="depends on the network", gt=0, le=1)
    ] = None
    seed: Annotated[Whole, option("Seed of the weights, patches, timesteps and noise.", ge=0, le=2**32 - 1)] = 0
    start: Annotated[
        PathText | None,
        option("Folder of a model of the same network that provides the initial weights.", metavar="FOLDER"),
    ] = None
    dtype: Annotated[
        Literal["float32", "float16"],
        option("Precision of the saved weights; during training, weights are float32."),
    ] = "float32"
    attribution: Annotated[
        str, option("Source and licence of the images, for the model card.", metavar="TEXT", default="none")
    ] = ""


def resolve_training(preset: str | Path | None, **options: Any) -> PretrainingConfig:
    """Combine explicit options, the options of a preset and the defaults, in this order of precedence.

    Parameters
    ----------
    preset : str, Path or None
        Name of a published training, or a ``.toml`` file; None for no preset.
    **options
        Options of `PretrainingConfig`; None counts as unset.

    Returns
    -------
    PretrainingConfig
        The validated options.

    Raises
    ------
    HsifeatError
        If an option is unknown or invalid. If the preset does not exist or has no ``[pretrain]`` section.

    Examples
    --------
    >>> resolve_training("mtmsd-indian-pines", size="small").components
    25
    """
    if preset is None:
        return PretrainingConfig.from_options(options)
    base = PretrainingConfig.from_options(preset_options(preset, "pretrain"), source=f"the preset {preset}: pretrain.")
    return PretrainingConfig.merged(base, options, inherited_from=f"the preset {preset}")
