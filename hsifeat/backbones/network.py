"""Base class of backbones made of one torch network. The class lists the layers, and runs the network reproducibly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.exclusive import exclusive_property, exclusive_use
from hsifeat.backbones.locked_imports import without_compiler
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.taps import feature_map, list_taps, tap
from hsifeat.errors import BackboneError
from hsifeat.torch_state import cudnn_settings, full_precision
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch

    from hsifeat.backbones.taps import MapReader


class NetworkBackbone(ABC):
    """A backbone made of one torch network. If a subclass does not override `encode`, the backbone works in pixel space.

    A subclass provides `identity`, `build`, `load` and `call`. Threads may share a backbone: its forward passes run one after
    another.

    Attributes
    ----------
    name : str
        Name shown to users.
    source : str
        Argument of `open_backbone` that opens this backbone.
    channels : int
        Number of channels of the images that `encode` takes.
    schedule : NoiseSchedule
        Noise schedule that the network was trained with.
    projection_file : Path or None
        File with the projection that the network was trained with. A projection maps bands to channels.
    """

    name: str
    source: str = ""
    channels: int
    schedule: NoiseSchedule
    projection_file: Path | None = None

    @property
    def denoiser_channels(self) -> int:
        """Number of channels of the network's input. In pixel space, this is the number of channels of the image."""
        return self.channels

    @property
    def cell_px(self) -> Fraction:
        """Side of one cell of the network's input, in pixels of the image; 1 in pixel space."""
        return Fraction(1)

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """Build the network with arbitrary weights. `taps` calls this method on the ``meta`` device to list the layers."""

    @abstractmethod
    def load(self) -> torch.nn.Module:
        """Return the network with its weights, in float32 on the CPU."""

    @abstractmethod
    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network once on noised input.

        Parameters
        ----------
        network : torch.nn.Module
            The denoiser.
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            Noised input ``x_t``.
        t : int
            Training timestep.

        Returns
        -------
        object
            The network's output, or a tuple whose first element is the output.
        """

    def map_reader(self, rows: int, cols: int) -> MapReader:  # noqa: ARG002  # for subclasses
        """Return a function that reads the feature map in a layer's output.

        Parameters
        ----------
        rows, cols : int
            Height and width of the network's input.
        """
        return feature_map

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:  # noqa: ARG002  # for subclasses
        """Return a dict from layer names to aliases, such as the names of the layers in papers."""
        return {}

    @property
    def probe_device(self) -> str:
        """Device on which `taps` runs the network to find its layers. On ``meta``, only shapes are computed."""
        return "meta"

    @property
    def probe_side(self) -> int:
        """Side of the square array of zeros on which `taps` runs the network to find its layers.

        The side is in pixels, or in latent cells if the network works in latent space. It must be a multiple of the
        stride of every layer.
        """
        return 64

    @exclusive_property
    def taps(self) -> list[Tap]:
        """All layers whose feature maps can be read, in the order of execution.

        To find the layers, the torch network is run on a square array of zeros. The side of the array is the attribute
        ``probe_side`` of the torch network. If there is no such attribute, the side is the property `probe_side` of this
        backbone. If the torch network runs different layers in different intervals of timesteps, it must have an attribute
        ``probe_timesteps``. This attribute lists the first timestep of each interval, in ascending order from 0.
        """
        return self._find_taps()

    def _find_taps(self, high: int = 1, wide: int = 1) -> list[Tap]:
        """Return the layers that give maps of an array of `high` * side rows and `wide` * side columns; see `taps`."""
        import torch

        device = self.probe_device
        with torch.device(device):
            network = self.build().eval()

        side: int = getattr(network, "probe_side", self.probe_side)
        rows, cols = high * side, wide * side

        def forward(t: int) -> object:
            with torch.device(device), torch.no_grad(), without_compiler():
                return self.call(network, torch.zeros(1, self.denoiser_channels, rows, cols), t)

        aliases = self.aliases(network)
        taps: dict[str, Tap] = {}
        starts = tuple(getattr(network, "probe_timesteps", (0,)))
        for t, stop in zip(starts, (*starts[1:], self.schedule.timesteps), strict=True):
            for layer in list_taps(network, partial(forward, t), rows, cols, self.map_reader(rows, cols)):
                known = taps.setdefault(layer.name, layer)
                taps[layer.name] = replace(known, intervals=(*known.intervals, (t, stop)))
        # Convert strides from cells to scene pixels. In latent space, the cells of a layer may be smaller than a scene pixel or
        # not aligned with the pixels; such a layer is left out.
        return [
            replace(
                layer,
                alias=aliases.get(layer.name, ""),
                stride=int(layer.stride * self.cell_px),
                intervals=() if len(layer.intervals) == len(starts) else layer.intervals,
            )
            for layer in taps.values()
            if (layer.stride * self.cell_px).denominator == 1
        ]

    @exclusive_property
    def network(self) -> torch.nn.Module:
        """The network with its weights, in evaluation mode, without gradients and with the faster layers of `speed_up`."""
        from hsifeat.backbones.inference import speed_up

        network = self.load().eval().requires_grad_(requires_grad=False)
        clone_weights(network)
        speed_up(network)
        return network

    def to(self, device: str) -> None:
        """Move the network to a device, after loading the weights if necessary."""
        with exclusive_use(self):
            self.network.to(device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return (n, channels, rows, cols) float32 images unchanged, because a network in pixel space reads images."""
        return images

    def forward_to(self, noisy: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run the network until it has computed all `layers`, and return the feature maps of `layers`.

        Parameters
        ----------
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            Noised input ``x_t``, on the backbone's device. Its rows and columns are multiples of the coarsest stride.
        t : int
            Training timestep.
        layers : sequence of str
            Names of layers, as in `taps`.

        Returns
        -------
        dict of str to (n, channels, rows / stride, cols / stride) float32 tensor
            Maps each name in `layers` to the feature map of the layer.

        Raises
        ------
        BackboneError
            If `noisy` does not have the shape above. If the schedule has no timestep `t`. If the forward pass at timestep
            `t` does not reach one of `layers`.
        """
        self._check_shape(noisy)
        self.schedule.check((t,))
        with exclusive_use(self), deterministic_inference(noisy.device.type):
            read = self.map_reader(noisy.shape[2], noisy.shape[3])
            return tap(self.network, layers, lambda: self.call(self.network, noisy, t), t, read)

    def predict(self, noisy: torch.Tensor, t: int) -> torch.Tensor:
        """Run the whole network, and return its prediction.

        Parameters
        ----------
        noisy : (n, denoiser channels, rows, cols) float32 tensor
            Noised input ``x_t``, on the backbone's device.
        t : int
            Training timestep.

        Returns
        -------
        (n, denoiser channels, rows, cols) float32 tensor
            The prediction, without the channels of a learned variance.

        Raises
        ------
        BackboneError
            If `noisy` does not have the shape above. If the schedule has no timestep `t`.
        """
        self._check_shape(noisy)
        self.schedule.check((t,))
        with exclusive_use(self), deterministic_inference(noisy.device.type):
            output: Any = self.call(self.network, noisy, t)
            prediction: torch.Tensor = output[0] if isinstance(output, tuple) else output
            return prediction[:, : self.denoiser_channels]

    def map_bytes(self, shape: tuple[int, int, int, int], t: int, layers: Sequence[str]) -> int:
        """Return the peak memory of the feature maps in `forward_to`, in bytes, without the memory of the weights.

        If the network can be built on the ``meta`` device, only the shapes of the maps are computed, not their values.

        Parameters
        ----------
        shape : tuple of int
            Shape (n, denoiser channels, rows, cols) of the noised input.
        t : int
            Training timestep.
        layers : sequence of str
            Names of layers, as in `taps`.
        """
        import torch

        from hsifeat.backbones.activations import peak_map_bytes
        from hsifeat.backbones.inference import speed_up

        device = self.probe_device
        with torch.device(device):
            network = self.build().eval().requires_grad_(requires_grad=False)
        if device == "meta":
            speed_up(network)

        def forward() -> dict[str, torch.Tensor]:
            noisy = torch.zeros(shape)
            return tap(network, layers, lambda: self.call(network, noisy, t), t, self.map_reader(shape[2], shape[3]))

        # `ModuleBackbone.build` returns the network that other threads may be running.
        with exclusive_use(self), torch.device(device), torch.no_grad(), without_compiler():
            return peak_map_bytes(forward)

    def _check_shape(self, noisy: torch.Tensor) -> None:
        if noisy.ndim != 4 or noisy.shape[1] != self.denoiser_channels:
            raise BackboneError(
                f"{self.name} takes (n, {self.denoiser_channels}, rows, cols); found a tensor of shape {tuple(noisy.shape)}"
            )


def clone_weights(network: torch.nn.Module) -> None:
    """Copy all weights to newly allocated memory.

    Weights can be memory-mapped from a file. The memory alignment of such weights depends on the file, and can change
    the last bits of the output of a normalisation layer.
    """
    import torch

    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def use_mean_embedding(embedding: torch.nn.Module) -> None:
    """Change `embedding`, a table of label embeddings, so that it returns the mean of all table rows for every label."""

    def replace_by_mean(table: Any, _labels: Any, output: torch.Tensor) -> torch.Tensor:
        mean: torch.Tensor = table.weight.mean(0)
        return mean.expand_as(output)

    embedding.register_forward_hook(replace_by_mean)


@contextmanager
def deterministic_inference(device_type: str) -> Iterator[None]:
    """Run a ``with`` block without gradients, in full float32 precision and with the same bits on every run.

    Settings of the caller, such as autocast and TF32, have no effect in the block and are restored after it.

    Parameters
    ----------
    device_type : str
        Type of the device: ``cpu`` or ``cuda``.
    """
    import torch

    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast(device_type, enabled=False))
        if device_type == "cuda":
            stack.enter_context(cudnn_settings(benchmark=False, deterministic=True, allow_tf32=False))
        stack.enter_context(full_precision())
        yield
