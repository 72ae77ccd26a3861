"""Backbones from frozen image encoders, such as vision transformers, in model folders of the library transformers."""

from __future__ import annotations

import math
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.diffusers_folder import check_numbers, drop_private_keys, read_json
from hsifeat.backbones.encoder import EncoderBackbone, call_with_image
from hsifeat.backbones.locked_imports import load_transformers, silent_transformers
from hsifeat.backbones.options import UNTRAINED, UPSAMPLE
from hsifeat.backbones.plugins import BackbonePlugin, existing_path
from hsifeat.errors import BackboneError, error_summary, raise_resource_error
from hsifeat.torch_state import own_random_state

if TYPE_CHECKING:
    import torch

_PREPROCESSOR = "preprocessor_config.json"
# Settings of the encoder that do not affect its output.
_METADATA = {"architectures", "dtype", "torch_dtype", "transformers_version", "id2label", "label2id"}


class FolderEncoder(EncoderBackbone):
    """An image encoder from a folder."""

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values.

        The values include the factor `upsample`. An extraction with ``--like STORE`` takes its `upsample` from the
        recipe of STORE.
        """
        return {**super().identity(), "upsample": self.cell_px.denominator}


def open_encoder_folder(source: str, *, upsample: int = UPSAMPLE, untrained_seed: int | None = None) -> FolderEncoder:
    """Open an image encoder. Images are normalised as in the training of the encoder.

    Parameters
    ----------
    source : str
        Folder with ``config.json``, ``model.safetensors`` and ``preprocessor_config.json``. The last file has the mean
        and standard deviation of each channel (``image_mean`` and ``image_std``).
    upsample : int
        Maximum factor by which tiles are enlarged. If the encoder has patches, the factor is the largest number up to
        this maximum that divides the side of a patch. Otherwise, the factor is this maximum.
    untrained_seed : int, optional
        Seed of random weights that replace the trained weights.

    Raises
    ------
    BackboneError
        If a file is missing or damaged, or does not describe an encoder of images.
    """
    folder = Path(source).absolute()
    config = read_json(folder / "config.json")
    mean, std = _read_normalisation(folder)
    try:
        check_numbers(config)
    except ValueError as error:
        raise BackboneError(f"{folder / 'config.json'} does not describe an encoder: {error}") from error
    network = _load(folder, untrained_seed)
    patch = getattr(network.config, "patch_size", None)
    if patch is not None and (not isinstance(patch, int) or patch < 1):
        raise BackboneError(f"{folder}: allowed are square patches; found patch_size {patch!r}")
    if getattr(network.config, "num_detection_tokens", 0):
        raise BackboneError(
            f"{folder}: its last tokens are detection tokens, not patches; in Python, hsifeat.EncoderBackbone(call=…) can leave them out"
        )
    if patch is not None:
        upsample = max((n for n in range(1, upsample + 1) if patch % n == 0), default=upsample)
    interpolates = "interpolate_pos_encoding" in signature(network.forward).parameters
    settings = {name: value for name, value in drop_private_keys(config).items() if name not in _METADATA}
    backbone = FolderEncoder(
        network,
        getattr(network.config, "num_channels", 3),
        name=folder.name if untrained_seed is None else f"{folder.name}-untrained",
        mean=mean,
        std=std,
        patch=patch,
        upsample=upsample,
        call=_call_at_any_size if interpolates else call_with_image,
        config=settings,
    )
    backbone.source = str(folder) if untrained_seed is None else f"{UNTRAINED}{folder}"
    return backbone


def _call_at_any_size(network: torch.nn.Module, image: torch.Tensor) -> object:
    """Run an encoder whose position embeddings are interpolated to the size of the image."""
    return network(image, interpolate_pos_encoding=True)


def _read_normalisation(folder: Path) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel, on a scale from 0 to 1."""
    file = folder / _PREPROCESSOR
    if not file.exists():
        raise BackboneError(
            f"{folder} has no {_PREPROCESSOR}: the encoder needs image_mean and image_std, the mean and standard deviation of each "
            "channel in its training images from 0 to 1"
        )
    settings = read_json(file)
    values: list[Any] = [settings.get("image_mean"), settings.get("image_std")]
    if not settings.get("do_rescale", True) or not settings.get("do_normalize", True) or None in values:
        raise BackboneError(
            f"{file}: allowed are images from 0 to 1 (do_rescale) that are normalised (do_normalize) by image_mean and image_std"
        )
    if settings.get("do_flip_channel_order"):
        raise BackboneError(f"{file}: allowed are images in the order red, green, blue; found do_flip_channel_order")
    mean, std = ([value] if isinstance(value, int | float) else list(value) for value in values)
    return _for_unit_range(mean, std, settings, file)


def _for_unit_range(
    mean: list[Any], std: list[Any], settings: dict[str, Any], file: Path
) -> tuple[list[Any], list[Any]]:
    """Convert mean and standard deviation to pixel values from 0 to 1, if the encoder has another scale, such as -1 to 1."""
    factor, offset = settings.get("rescale_factor", 1 / 255), int(bool(settings.get("rescale_offset")))
    if not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise BackboneError(f"{file}: rescale_factor is a positive number; found {factor!r:.40}")
    scale = 255 * factor
    if math.isclose(scale, 1, rel_tol=1e-6) and not offset:
        return mean, std
    try:
        return [(value + offset) / scale for value in mean], [value / scale for value in std]
    except TypeError as error:
        raise BackboneError(
            f"{file}: image_mean and image_std are numbers; found {mean!r:.40} and {std!r:.40}"
        ) from error


def _load(folder: Path, untrained_seed: int | None) -> Any:
    """Return the encoder in float32. A layer ``pooler`` without trained weights is left out."""
    import torch

    load_transformers()
    from transformers import AutoConfig, AutoModel

    try:
        with own_random_state(untrained_seed), silent_transformers():
            if untrained_seed is not None:
                return AutoModel.from_config(AutoConfig.from_pretrained(folder, local_files_only=True)).float()
            network, loading = AutoModel.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except Exception as error:  # transformers raises errors of many classes
        raise_resource_error(error)
        raise BackboneError(f"{folder} can't be opened by transformers: {error_summary(error)}") from error
    missing = sorted(loading["missing_keys"])
    if any(not name.startswith("pooler.") for name in missing):
        raise BackboneError(f"{folder} lacks the weights {missing[0]}: copy the whole folder again")
    if missing:
        network.pooler = None
    return network


def _is_encoder(source: str) -> bool:
    folder = existing_path(source)
    if folder is None or not (folder / "config.json").is_file():
        return False
    config = read_json(folder / "config.json")
    return "model_type" in config and "_class_name" not in config


PLUGIN = BackbonePlugin(
    open=open_encoder_folder,
    form="FOLDER",
    description="a frozen image encoder of transformers, such as DINOv2, which processes images without noise",
    weights="save_pretrained of transformers",
    matches=_is_encoder,
    order=85,
)
