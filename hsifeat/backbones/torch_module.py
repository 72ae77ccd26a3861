"""Any network with a noise schedule as a backbone: what a third party needs to put its own before the cache."""

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


def call_with_timesteps(network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
    """Call ``network(noised, timesteps)`` with one timestep an image, (n,) int64."""
    import torch

    return network(noised, torch.full((len(noised),), t, device=noised.device))


class ModuleBackbone(NetworkBackbone):
    """A denoiser in pixel space that is a plain ``torch.nn.Module``.

    Its weights are copied, so that training the module further changes nothing here.

    Parameters
    ----------
    module : torch.nn.Module
        Predicts, from (n, channels, rows, cols) float32, as many channels of the same size, or more. Layers that give
        (n, c, rows / stride, cols / stride) can be tapped.
    schedule : NoiseSchedule
        What it was trained with.
    channels : int
        Channels of its images.
    name : str
        What people call it.
    call : callable
        Called with (module, noised, t), runs the module once; by default ``module(noised, timesteps)``, see
        `call_with_timesteps`.
    config : mapping, optional
        Plain JSON values that decide, beside its weights, what the network computes: sizes, how it is called, a label.
        By default the network as it is printed.
    side : int
        Side of the image with which the layers are listed: a multiple of the coarsest stride.

    Raises
    ------
    BackboneError
        Nothing but ``config`` can tell the architecture from others.
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
            raise BackboneError(f"{name} prints with addresses, which differ from run to run: give its config instead")
        description = {"printed": hashlib.sha256(printed.encode()).hexdigest()} if config is None else dict(config)
        if call is not call_with_timesteps:
            description = {"call": getattr(call, "__qualname__", type(call).__qualname__), **description}
        self._architecture = {"class": type(module).__qualname__, **description}

    def build(self) -> torch.nn.Module:
        """Return the network itself: how it is built is not known here."""
        return self.network

    def load(self) -> torch.nn.Module:
        """Return the network with its weights."""
        return self._module

    def call(self, network: torch.nn.Module, noised: torch.Tensor, t: int) -> object:
        """Run the network once."""
        return self._call(network, noised, t)

    @property
    def probe_device(self) -> str:
        """Where the network is: the layers of one that is built elsewhere are listed by a true forward."""
        tensors = self.network.state_dict().values()
        return next((str(tensor.device) for tensor in tensors), "cpu")

    @property
    def probe_side(self) -> int:
        """Side of the image with which the layers are listed."""
        return self._side

    @cached_property
    def taps(self) -> list[Tap]:
        """All layers that can be tapped, in the order of execution."""
        try:
            found = super().taps
        except Exception as error:  # another's code may raise anything
            side = self._side
            raise BackboneError(
                f"{self.name} can't be run on an image of shape (1, {self.channels}, {side}, {side}): {error_summary(error)}"
            ) from error
        if not found:
            raise BackboneError(
                f"{self.name} has no layer that gives a map (n, channels, rows, cols) whose side divides {self._side}: give "
                "a side that the coarsest stride divides"
            )
        return found

    def identity(self) -> dict[str, Any]:
        """Return weights digest, architecture, schedule and parameterisation."""
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
