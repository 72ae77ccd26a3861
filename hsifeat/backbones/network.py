"""Base class of backbones that consist of one torch network: its taps, and forward passes with reproducible bits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.taps import list_taps, tap
from hsifeat.errors import BackboneError
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch


class NetworkBackbone(ABC):
    """A backbone made of one network, in pixel space unless a subclass says otherwise.

    A subclass provides `identity`, `build`, `load` and `call`.

    Attributes
    ----------
    name : str
        Name for people.
    source : str
        The text that opens the backbone again.
    channels : int
        Channels of the image.
    schedule : NoiseSchedule
        Noise schedule that the network was trained with.
    projection_file : Path or None
        File of the projection that the network was trained behind.
    """

    name: str
    source: str = ""
    channels: int
    schedule: NoiseSchedule
    projection_file: Path | None = None

    @property
    def denoiser_channels(self) -> int:
        """Channels of the network's input: in pixel space those of the image."""
        return self.channels

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the network's input, in scene pixels."""
        return Fraction(1)

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return everything that decides the taps' values, as plain JSON values."""

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """Build the network with arbitrary weights; it is called on the ``meta`` device to list the layers."""

    @abstractmethod
    def load(self) -> torch.nn.Module:
        """Return the network with its weights, in float32 on the CPU."""

    @abstractmethod
    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network once on ``x_t``.

        Parameters
        ----------
        network : torch.nn.Module
            The denoiser.
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            ``x_t``.
        t : int
            Timestep.

        Returns
        -------
        object
            The network's output, or a tuple that begins with it.
        """

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:  # noqa: ARG002  # for subclasses
        """Return the papers' names of layers, by layer."""
        return {}

    @property
    def probe_device(self) -> str:
        """Device of the forward pass that lists the layers; on ``meta`` nothing is computed."""
        return "meta"

    @property
    def probe_side(self) -> int:
        """Side, in cells, of the empty input that is run once to list the layers; a multiple of every stride."""
        return 64

    @cached_property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution.

        A network overrides `probe_side` by an attribute of that name. Where t decides which layers are reached, its attribute
        ``probe_timesteps`` lists timesteps that together reach all of them.
        """
        import torch

        device = self.probe_device
        with torch.device(device):
            network = self.build().eval()

        side: int = getattr(network, "probe_side", self.probe_side)

        def forward(t: int) -> object:
            with torch.device(device), torch.no_grad():
                return self.call(network, torch.zeros(1, self.denoiser_channels, side, side), t)

        aliases = self.aliases(network)
        taps: dict[str, Tap] = {}
        for t in getattr(network, "probe_timesteps", (0,)):
            for layer in list_taps(network, partial(forward, t), side):
                taps.setdefault(layer.name, layer)
        # Strides become those on the scene's grid. In latent space a layer may be finer than the scene's pixels, or not
        # aligned with them: such a layer has no grid and is left out.
        return [
            replace(layer, alias=aliases.get(layer.name, ""), stride=int(layer.stride * self.cell_px))
            for layer in taps.values()
            if (layer.stride * self.cell_px).denominator == 1
        ]

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network with its weights, in evaluation mode and without gradients."""
        network = self.load().eval().requires_grad_(requires_grad=False)
        clone_weights(network)
        return network

    def to(self, device: str) -> None:
        """Load the weights if they are not loaded yet, and move the network to a device."""
        self.network.to(device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images, (n, channels, rows, cols) float32: in pixel space they are the network's clean input."""
        return images

    def forward_to(self, noisy: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run the network up to the last of `layers`; nothing after it is computed.

        Parameters
        ----------
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            ``x_t``, on the backbone's device; rows and cols are multiples of the coarsest stride.
        t : int
            Training timestep.
        layers : sequence of str
            Names of taps.

        Returns
        -------
        dict of str to (n, channels, rows / stride, cols / stride) float32 tensor

        Raises
        ------
        BackboneError
            The input has another shape, or a layer is not reached at this timestep.
        """
        self._check_shape(noisy)
        with deterministic_inference(noisy.device.type):
            return tap(self.network, layers, lambda: self.call(self.network, noisy, t), t)

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:
        """Run the whole network.

        Parameters
        ----------
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            ``x_t``, on the backbone's device.
        t : int
            Training timestep.

        Returns
        -------
        (n, denoiser channels, rows, cols) float32 tensor
            The prediction; channels of a learned variance are cut off.

        Raises
        ------
        BackboneError
            The input has another shape.
        """
        self._check_shape(noisy)
        with deterministic_inference(noisy.device.type):
            output: Any = self.call(self.network, noisy, t)
            prediction: torch.Tensor = output[0] if isinstance(output, tuple) else output
            return prediction[:, : self.denoiser_channels]

    def _check_shape(self, noisy: torch.Tensor) -> None:
        if noisy.ndim != 4 or noisy.shape[1] != self.denoiser_channels:
            raise BackboneError(
                f"{self.name} takes (n, {self.denoiser_channels}, rows, cols); found a tensor of shape {tuple(noisy.shape)}"
            )


def clone_weights(network: torch.nn.Module) -> None:
    """Copy all weights to freshly allocated memory: the alignment of a mapped file can change the last bits of a norm."""
    import torch

    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def use_mean_embedding(embedding: torch.nn.Module) -> None:
    """Make a table of label embeddings return the mean of its rows for every label."""

    def replace_by_mean(table: Any, _labels: Any, output: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = table.weight.mean(0)
        return mean.expand_as(output)

    embedding.register_forward_hook(replace_by_mean)


@contextmanager
def deterministic_inference(device_type: str) -> Iterator[None]:
    """Compute without gradients, in full float32 precision and with the same bits on every run.

    The caller's settings, such as autocast and TF32, have no effect inside and are restored at the end.

    Parameters
    ----------
    device_type : str
        ``cpu`` or ``cuda``.
    """
    import torch

    precision = torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast(device_type, enabled=False))
        stack.enter_context(torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False))
        stack.callback(torch.set_float32_matmul_precision, precision)
        torch.set_float32_matmul_precision("highest")
        yield
