"""What all backbones made of one torch network share: taps, exact forwards, and the digest of the weights."""

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
    """A backbone in pixel space made of one network; what a kind of network adds is in its subclass.

    Attributes
    ----------
    name : str
        What people call it.
    source : str
        What opens it again, where it is a file, a folder or a model on a hub.
    channels : int
        Channels of the image that it takes.
    schedule : NoiseSchedule
        What it was trained with.
    projection_file : Path or None
        The projection that it was trained behind.
    """

    name: str
    source: str = ""
    channels: int
    schedule: NoiseSchedule
    projection_file: Path | None = None

    @property
    def denoiser_channels(self) -> int:
        """Channels of what is noised: in pixel space the image's."""
        return self.channels

    @property
    def cell_px(self) -> Fraction:
        """Scene pixels along a cell of what is noised."""
        return Fraction(1)

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return all that decides its taps, as plain JSON values."""

    @abstractmethod
    def build(self) -> torch.nn.Module:
        """Build the network without weights that matter; called on the ``meta`` device to list its layers."""

    @abstractmethod
    def load(self) -> torch.nn.Module:
        """Return the network with its weights, in float32 on the CPU."""

    @abstractmethod
    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network once on (n, noised channels, rows, cols); return its output, in a tuple or not."""

    def aliases(self, network: torch.nn.Module) -> dict[str, str]:  # noqa: ARG002  # for subclasses
        """Return other names of layers, by their own."""
        return {}

    @property
    def probe_device(self) -> str:
        """Device on which the layers are listed; on ``meta`` nothing is computed."""
        return "meta"

    @property
    def probe_side(self) -> int:
        """Side of the image, in cells of what is noised, with which the layers are listed."""
        return 64

    @cached_property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution, with the papers' numbering as alias.

        A network may say otherwise than `probe_side` by an attribute of that name; one whose layers depend on t says by an
        attribute ``probe_timesteps`` at which timesteps all of them are reached.
        """
        import torch

        device = self.probe_device
        with torch.device(device):
            network = self.build().eval()

        side: int = getattr(network, "probe_side", self.probe_side)

        def forward(t: int) -> object:
            with torch.device(device), torch.no_grad():
                return self.call(network, torch.zeros(1, self.denoiser_channels, side, side), t)

        names = self.aliases(network)
        listed: dict[str, Tap] = {}
        for t in getattr(network, "probe_timesteps", (0,)):
            for found in list_taps(network, partial(forward, t), side):
                listed.setdefault(found.name, found)
        # In latent space a layer may be finer than the scene, or lie between its pixels: no grid of it holds that.
        return [
            replace(found, alias=names.get(found.name, ""), stride=int(found.stride * self.cell_px))
            for found in listed.values()
            if (found.stride * self.cell_px).denominator == 1
        ]

    @cached_property
    def network(self) -> torch.nn.Module:
        """The network with its weights."""
        network = self.load().eval().requires_grad_(requires_grad=False)
        clone_weights(network)
        return network

    def to(self, device: str) -> None:
        """Load the weights, if need be, and move the network to a device."""
        self.network.to(device)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """In pixel space an image is what is noised."""
        return images

    def forward_to(self, noised: torch.Tensor, t: int, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Run noised images to the last of `layers`; nothing after it is computed.

        Parameters
        ----------
        noised : (n, noised channels, rows, cols) float32 tensor
            ``x_t``, on the backbone's device; rows and cols are multiples of the coarsest stride.
        t : int
            Training timestep.
        layers : sequence of str
            Names of taps.

        Returns
        -------
        dict of str to (n, channels, rows / stride, cols / stride) float32 tensor
        """
        self._check(noised)
        with deterministic_inference(noised.device.type):
            return tap(self.network, layers, lambda: self.call(self.network, noised, t), t)

    def predict(self, noised: torch.Tensor, t: int) -> torch.Tensor:
        """Return the whole network's output: as many channels as were noised; a learned variance is cut off."""
        self._check(noised)
        with deterministic_inference(noised.device.type):
            output: Any = self.call(self.network, noised, t)
            first: torch.Tensor = output[0] if isinstance(output, tuple) else output
            return first[:, : self.denoiser_channels]

    def _check(self, noised: torch.Tensor) -> None:
        if noised.ndim != 4 or noised.shape[1] != self.denoiser_channels:
            raise BackboneError(
                f"{self.name} takes (n, {self.denoiser_channels}, rows, cols); found a tensor of shape {tuple(noised.shape)}"
            )


def clone_weights(network: torch.nn.Module) -> None:
    """Copy the weights to memory of their own: how they lie in a mapped file can decide the last bits of a norm."""
    import torch

    for tensor in (*network.parameters(), *network.buffers()):
        tensor.data = tensor.data.clone(memory_format=torch.contiguous_format)


def use_mean_embedding(embedding: torch.nn.Module) -> None:
    """Let a table of label embeddings give the mean of all of them, whatever the label."""

    def mean(table: Any, _labels: Any, found: torch.Tensor) -> torch.Tensor:
        average: torch.Tensor = table.weight.mean(0)
        return average.expand_as(found)

    embedding.register_forward_hook(mean)


@contextmanager
def deterministic_inference(device_type: str) -> Iterator[None]:
    """Compute without gradients, in float32 that is float32, the same bits on each run, whatever the caller has set."""
    import torch

    before = torch.get_float32_matmul_precision()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode())
        stack.enter_context(torch.autocast(device_type, enabled=False))
        stack.enter_context(torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False))
        stack.callback(torch.set_float32_matmul_precision, before)
        torch.set_float32_matmul_precision("highest")
        yield
