"""Backbones made from any ``torch.nn.Module`` that denoises: the way to extract features of one's own network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.weights import digest_tensors
from hsifeat.errors import BackboneError, error_summary
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch

    Call = Callable[[torch.nn.Module, torch.Tensor, int], object]


def call_with_timesteps(network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
    """Call ``network(noisy, timesteps)`` with one timestep per image, (n,) int64.

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
        The network's output.
    """
    import torch

    return network(noisy, torch.full((len(noisy),), t, device=noisy.device))


class ModuleBackbone(NetworkBackbone):
    """A pixel-space denoiser that is a plain ``torch.nn.Module``, as a backbone.

    The module is copied, so that training it further changes nothing here.

    Parameters
    ----------
    module : torch.nn.Module
        Takes (n, channels, rows, cols) float32 and predicts as many channels of the same size, or more. Its layers that give
        (n, c, rows / stride, cols / stride) can be tapped.
    schedule : NoiseSchedule
        The noise schedule that it was trained with.
    channels : int
        Channels of its images.
    name : str
        Name for people.
    call : callable
        Called with (module, noisy, t), runs the module once; by default `call_with_timesteps`.
    config : mapping, optional
        Plain JSON values that decide, beside the weights, what the network computes: sizes, a label, the way it is called.
        By default the printed module.
    side : int
        Side of the image with which the layers are listed: a multiple of the coarsest stride.

    Raises
    ------
    BackboneError
        The printed module contains memory addresses, so that only `config` can identify the architecture.

    Examples
    --------
    >>> import torch
    >>> class Denoiser(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
    ...     def forward(self, noisy, timesteps):
    ...         return self.conv(noisy)
    >>> schedule = NoiseSchedule.from_betas(torch.linspace(1e-4, 0.02, 1000))
    >>> backbone = ModuleBackbone(Denoiser(), schedule, channels=3, name="denoiser")
    >>> [tap.name for tap in backbone.taps]
    ['conv']
    """

    def __init__(
        self,
        module: torch.nn.Module,
        schedule: NoiseSchedule,
        channels: int,
        *,
        name: str,
        call: Call = call_with_timesteps,
        config: Mapping[str, Any] | None = None,
        side: int = 64,
    ) -> None:
        self.name, self.schedule, self.channels = name, schedule, channels
        self._module = deepcopy(module).float().cpu()
        self._call = call
        self._side = side
        printed = repr(module)
        if config is None and re.search(r" at 0x[0-9a-f]+", printed):
            raise BackboneError(
                f"the printed {name} contains memory addresses, which differ from run to run and so can't identify it: pass its "
                "sizes as config={...}"
            )
        description = {"printed": hashlib.sha256(printed.encode()).hexdigest()} if config is None else dict(config)
        if call is not call_with_timesteps:
            description = {"call": getattr(call, "__qualname__", type(call).__qualname__), **description}
        self._architecture = {"class": type(module).__qualname__, **description}

    def build(self) -> torch.nn.Module:
        """Return the module given to the constructor: a module that is already built cannot be built anew without weights."""
        return self.network

    def load(self) -> torch.nn.Module:
        """Return the network with its weights."""
        return self._module

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network with the function `call` of the constructor. See `NetworkBackbone.call`."""
        return self._call(network, noisy, t)

    @property
    def probe_device(self) -> str:
        """Device of the network: it can't be built on ``meta``, so that its layers are listed by a real forward pass."""
        tensors = self.network.state_dict().values()
        return next((str(tensor.device) for tensor in tensors), "cpu")

    @property
    def probe_side(self) -> int:
        """Side of the image of the forward pass that lists the layers."""
        return self._side

    @cached_property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution."""
        try:
            taps = super().taps
        except Exception as error:  # the user's module may raise anything
            side = self._side
            raise BackboneError(
                f"{self.name} can't be run on an image of shape (1, {self.channels}, {side}, {side}): {error_summary(error)}"
            ) from error
        if not taps:
            raise BackboneError(
                f"{self.name} has no layer that gives a map (n, channels, rows, cols) whose side divides {self._side}: set "
                "side to a multiple of the coarsest stride"
            )
        return taps

    def identity(self) -> dict[str, Any]:
        """Return weights digest, architecture, schedule and prediction."""
        return {
            "weights": self._digest,
            "architecture": self._architecture,
            "schedule": self.schedule.digest,
            "prediction": self.schedule.prediction,
            "conditioning": {},
        }

    @cached_property
    def _digest(self) -> str:
        tensors = {**dict(self._module.named_buffers()), **self._module.state_dict()}
        return digest_tensors(tensors.items())
