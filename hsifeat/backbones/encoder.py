"""Backbones from any frozen encoder of images, such as a vision transformer or a convolutional network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.taps import feature_map, first_tensor
from hsifeat.backbones.torch_module import ModuleBackbone
from hsifeat.errors import BackboneError

if TYPE_CHECKING:
    import torch

    from hsifeat.backbones.taps import MapReader

    EncoderCall = Callable[[torch.nn.Module, torch.Tensor], object]

OUTPUT = "output"
"""Name of the layer with the output of the whole encoder."""


def call_with_image(network: torch.nn.Module, image: torch.Tensor) -> object:
    """Call ``network(image)`` with an (n, channels, rows, cols) float32 tensor."""
    return network(image)


class EncoderBackbone(ModuleBackbone):
    """A backbone made from a frozen encoder of images. Images receive no noise, and the only timestep is 0.

    The backbone has a copy of the module. The layer ``encoder.NAME`` of the backbone is the layer NAME of the module.
    The layer ``output`` is the output of the whole module.

    Parameters
    ----------
    module : torch.nn.Module
        The encoder, which takes (n, channels, rows, cols) float32 images. The output of a layer is a feature map of the
        shape ``(n, c, rows / stride, cols / stride)``. With `patch`, the output can also be tokens, of the
        shape ``(n, tokens, c)``. The last tokens are the patches in row-major order. Other tokens, such as a class token,
        come before them. If an output is a tuple or a mapping, its first tensor is read.
    channels : int
        Number of channels of the images.
    name : str
        Name shown to users.
    mean, std : sequence of float, optional
        Mean and standard deviation of each channel in the training images of the encoder, for pixel values from 0 to 1.
        The module receives ``((x + 1) / 2 - mean) / std``, where x is the projected scene. [default: the module
        receives x]
    patch : int, optional
        Side of a patch in pixels of the module's input. Required for outputs that are tokens.
    upsample : int
        Factor of the bilinear enlargement of tiles; a divisor of `patch`. With a larger factor, a patch covers fewer pixels
        of the scene.
    call : callable
        Function of (module, image) that runs the module once. [default: call_with_image]
    config : mapping, optional
        Plain JSON values that identify the computation of the module, apart from the weights. [default: a digest of
        ``repr(module)``]
    side : int, optional
        Side of the image on which the module is run to find its layers, in pixels of the module's input. The side must
        be a multiple of the coarsest stride, and at least twice this stride. [default: 8 patches, or 64 without
        patches]

    Raises
    ------
    BackboneError
        If only one of `mean` and `std` is set. If the length of `mean` or `std` is not `channels`. If `upsample` does not
        divide `patch`. If `config` is not a mapping of JSON values. If `config` is None, and ``repr(module)`` contains memory addresses.

    Examples
    --------
    >>> import torch
    >>> network = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.ReLU())
    >>> encoder = EncoderBackbone(network, 3, name="patches", mean=[0.5, 0.5, 0.5], std=[0.2, 0.2, 0.2])
    >>> [(tap.name, tap.channels, tap.stride) for tap in encoder.taps]
    [('encoder.0', 8, 4), ('encoder.1', 8, 4), ('encoder', 8, 4), ('output', 8, 4)]
    """

    default_layers = (OUTPUT,)

    def __init__(
        self,
        module: torch.nn.Module,
        channels: int,
        *,
        name: str,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        patch: int | None = None,
        upsample: int = 1,
        call: EncoderCall = call_with_image,
        config: Mapping[str, Any] | None = None,
        side: int | None = None,
    ) -> None:
        if upsample < 1 or (patch is not None and patch % upsample):
            allowed = "a whole number" if patch is None else f"a divisor of the patch size {patch}"
            raise BackboneError(f"{name} enlarges tiles by {allowed}; found {upsample}")
        self._normalisation = _normalisation(name, channels, mean, std)
        self._patch, self._upsample, self._encoder_call = patch, upsample, call
        super().__init__(
            module,
            NoiseSchedule.clean(),
            channels,
            name=name,
            config=config,
            side=side or 8 * (patch or 8),
        )
        if call is not call_with_image:
            self._architecture["call"] = getattr(call, "__qualname__", type(call).__qualname__)

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the module's input, in pixels of the image: 1 divided by `upsample`."""
        return Fraction(1, self._upsample)

    def load(self) -> torch.nn.Module:
        """Return the encoder with its weights, wrapped by `with_output`."""
        return with_output(self._module, self._encoder_call)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Normalise and enlarge images.

        Parameters
        ----------
        images : (n, channels, rows, cols) float32 tensor
            Projected scene.

        Returns
        -------
        (n, channels, upsample * rows, upsample * cols) float32 tensor
            Input of the encoder.
        """
        import torch

        if self._normalisation is not None:
            mean, std = (torch.tensor(values)[:, None, None] for values in self._normalisation)
            images = ((images + 1) / 2 - mean.to(images)) / std.to(images)
        if self._upsample == 1:
            return images
        return torch.nn.functional.interpolate(
            images, scale_factor=self._upsample, mode="bilinear", align_corners=False
        )

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:  # noqa: ARG002  # no timesteps
        """Run the encoder. See `NetworkBackbone.call`."""
        return network(noisy)

    def map_reader(self, rows: int, cols: int) -> MapReader:
        """Return a function that reads a feature map from a layer's output. Each patch token becomes one cell."""
        if self._patch is None:
            return lambda output: feature_map(first_tensor(output))
        grid = rows // self._patch, cols // self._patch

        def read(output: Any) -> torch.Tensor | None:
            tokens: torch.Tensor | None = first_tensor(output)
            if tokens is None or tokens.ndim != 3 or tokens.shape[1] < grid[0] * grid[1]:
                return feature_map(tokens)
            # Tokens of classes and registers come first.
            patches: torch.Tensor = tokens[:, -grid[0] * grid[1] :]
            return patches.transpose(1, 2).reshape(len(tokens), -1, *grid)

        return read

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:  # noqa: ARG002  # raises an error
        """Raise `BackboneError`, because an encoder predicts no noise.

        The parameters have no effect; `noisy` is an (n, c, rows, cols) float32 tensor.
        """
        raise BackboneError(f"{self.name} is an encoder, which predicts no noise: this needs a denoiser")

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
        mean, std = self._normalisation or (None, None)
        preprocessing = {"mean": mean, "std": std, "patch": self._patch, "upsample": self._upsample}
        return {**super().identity(), "preprocessing": preprocessing}


def with_output(module: torch.nn.Module, call: EncoderCall) -> torch.nn.Module:
    """Return a network that runs an encoder. Its layer `OUTPUT` outputs the first tensor in the output of the encoder."""
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = module
            self.output = torch.nn.Identity()

        def forward(self, image: torch.Tensor) -> object:
            return self.output(first_tensor(call(self.encoder, image)))

    return Encoder()


def _normalisation(
    name: str, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> tuple[list[float], list[float]] | None:
    if mean is None and std is None:
        return None
    try:
        values = [[] if numbers is None else [float(value) for value in numbers] for numbers in (mean, std)]
    except (TypeError, ValueError):  # no sequence of numbers
        values = [[], []]
    if any(len(numbers) != channels for numbers in values) or not np.isfinite(values).all() or min(values[1]) <= 0:
        raise BackboneError(
            f"{name} needs a mean and a positive standard deviation for each of its {channels} channels; found mean={mean}, std={std}"
        )
    return values[0], values[1]
