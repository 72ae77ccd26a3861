"""Backbones from any ``torch.nn.Module`` that denoises images, such as a user's own network."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from copy import deepcopy
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.exclusive import exclusive_property
from hsifeat.backbones.locked_imports import without_compiler
from hsifeat.backbones.network import NetworkBackbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.backbones.taps import first_tensor
from hsifeat.backbones.weights import digest_tensors
from hsifeat.errors import BackboneError, error_summary, raise_resource_error
from hsifeat.torch_state import own_random_state
from hsifeat.types import Tap

if TYPE_CHECKING:
    import torch

    Call = Callable[[torch.nn.Module, torch.Tensor, int], object]


def call_with_timesteps(network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
    """Call ``network(noisy, timesteps)``, where ``timesteps`` is an (n,) int64 tensor filled with `t`.

    Parameters
    ----------
    network : torch.nn.Module
        The denoiser.
    noisy : (n, denoiser channels, rows, cols) float32 tensor
        Noised images ``x_t``.
    t : int
        Training timestep of all images.

    Returns
    -------
    object
        The network's output.
    """
    import torch

    return network(noisy, torch.full((len(noisy),), t, device=noisy.device))


def _copied(module: torch.nn.Module, name: str) -> torch.nn.Module:
    """Return a copy of a module on the CPU, in float32."""
    try:
        return deepcopy(module).float().cpu()
    except Exception as error:  # the user's module may raise anything
        raise_resource_error(error)
        raise BackboneError(
            f"the module of {name} can't be copied ({error_summary(error)}): if it has weight_norm, spectral_norm or pruning of "
            "torch.nn.utils, remove them first, as with torch.nn.utils.remove_weight_norm or torch.nn.utils.prune.remove"
        ) from error


def _as_json(config: object) -> dict[str, Any]:
    try:
        if not isinstance(config, Mapping):
            raise TypeError(f"a {type(config).__name__} is no mapping")  # noqa: TRY301
        values: dict[str, Any] = json.loads(json.dumps(dict(config), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise BackboneError(
            f"config is a mapping of JSON values, which identify the network: {error_summary(error)}: give texts, finite numbers, bools, "
            "None, lists and dicts; NumPy arrays have .tolist(), and NumPy numbers .item()"
        ) from error
    return values


class ModuleBackbone(NetworkBackbone):
    """A backbone made from a plain ``torch.nn.Module`` that denoises images in pixel space.

    The backbone has a copy of the module. Further training of the original module does not change the backbone.

    Parameters
    ----------
    module : torch.nn.Module
        The denoiser. Its input is an (n, channels, rows, cols) float32 tensor of images. Its output is a prediction
        with the same numbers of rows and columns, and with at least as many channels. Features can be read from all
        layers whose output has the shape (n, c, rows / stride, cols / stride).
    schedule : NoiseSchedule
        Noise schedule that the module was trained with.
    channels : int
        Number of channels of the images.
    name : str
        Name shown to users.
    call : callable
        Function of (module, noisy, t) that runs the module once. [default: call_with_timesteps]
    config : mapping, optional
        Plain JSON values that, together with the weights, identify what the module computes. Examples are layer sizes,
        and a fixed class label that `call` passes to the module. [default: a digest of ``repr(module)``]
    side : int
        Side, in pixels, of the image on which the module is run to find its layers. It must be a multiple of the
        coarsest stride, and at least twice the coarsest stride.

    Raises
    ------
    BackboneError
        If `config` is not a mapping of JSON values. If `config` is None, and ``repr(module)`` contains memory addresses. Memory addresses can't identify an
        architecture.

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
        self._module = _copied(module, name)
        self._call = call
        self._side = side
        printed = repr(module)
        if config is None and re.search(r" at 0x[0-9a-f]+", printed):
            raise BackboneError(
                f"the printed {name} contains memory addresses, which differ from run to run and can't identify a network: pass its "
                "sizes as config={...}"
            )
        description = {"printed": hashlib.sha256(printed.encode()).hexdigest()} if config is None else _as_json(config)
        if call is not call_with_timesteps:
            description = {"call": getattr(call, "__qualname__", type(call).__qualname__), **description}
        self._architecture = {"class": type(module).__qualname__, **description}

    def build(self) -> torch.nn.Module:
        """Return the backbone's copy of the user's module. `taps` runs this copy to list its layers."""
        return self.network

    def load(self) -> torch.nn.Module:
        """Return the backbone's copy of the user's module, whose weights must not be changed. See `NetworkBackbone.load`."""
        return self._module

    def call(self, network: torch.nn.Module, noisy: torch.Tensor, t: int) -> object:
        """Run the network with the function `call` that the constructor received. See `NetworkBackbone.call`."""
        return self._call(network, noisy, t)

    @property
    def probe_device(self) -> str:
        """Device on which `taps` runs the module to find its layers.

        This is the device of the weights.
        """
        tensors = self.network.state_dict().values()
        return next((str(tensor.device) for tensor in tensors), "cpu")

    @property
    def probe_side(self) -> int:
        """Side, in pixels, of the image on which `taps` runs the module to find its layers."""
        return self._side

    @exclusive_property
    def taps(self) -> list[Tap]:
        """All layers whose feature maps can be read, in the order of execution.

        Raises
        ------
        BackboneError
            If the module can't be run on an image with `channels` channels and a side of `probe_side` pixels. If no layer
            has a feature map whose side divides `probe_side`. If the module draws random numbers in each pass.
        """
        try:
            with self._own_random_state():
                taps = self._taps_of_any_size()
            is_random = self._is_random()
        except Exception as error:  # the user's module may raise anything
            raise_resource_error(error)
            side = self._side
            raise BackboneError(
                f"{self.name} can't be run on an image of shape (1, {self.channels}, {side}, {side}): {error_summary(error)}"
            ) from error
        if not taps:
            raise BackboneError(
                f"{self.name} has no layer that gives a map (n, channels, rows, cols) whose side divides {self._side}: set "
                "side to a multiple of the coarsest stride, at least twice as large"
            )
        if is_random:
            raise BackboneError(
                f"{self.name} draws random numbers in each pass, so that its features differ from run to run: turn off dropout that stays on in "
                "evaluation mode, or pass fixed numbers to the module"
            )
        return taps

    def _taps_of_any_size(self) -> list[Tap]:
        """Return the layers whose maps follow the size of the image.

        In a square image, other layers can look like these: those with maps of a fixed size, and those whose channels are the last axis
        and as many as the cells of a side. So the module also runs on an image that is twice as wide or, if it takes square images
        only, twice as large. A module that takes neither has a fixed size of the image.
        """
        taps = self._find_taps()
        for high in (1, 2):
            try:
                others = {(one.name, one.channels, one.stride) for one in self._find_taps(high, 2)}
            except Exception as error:  # noqa: BLE001  # the user's module may raise anything
                if high == 2:
                    raise_resource_error(error)
                continue
            # If the module changes the size of its input, no map follows it; the extraction checks the sizes of all maps.
            return [one for one in taps if (one.name, one.channels, one.stride) in others] or taps
        return taps

    def _is_random(self) -> bool:
        """Return whether the output of the module depends on the random numbers of torch, as with dropout that stays on."""
        import torch

        network, device = self.network, torch.device(self.probe_device)
        image = torch.linspace(-1, 1, self._side**2, device=device).reshape(1, 1, self._side, self._side)

        def run() -> Any:
            with device, torch.no_grad(), without_compiler():
                return first_tensor(self.call(network, image.repeat(1, self.denoiser_channels, 1, 1), 0))

        def state() -> torch.Tensor:
            return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()

        with self._own_random_state():
            before, output = state(), run()
            if output is None or torch.equal(before, state()):
                return False
            return not torch.allclose(output, run(), rtol=1e-3, atol=1e-5, equal_nan=True)

    def _own_random_state(self) -> AbstractContextManager[None]:
        return own_random_state(devices=[self.probe_device] if self.probe_device.startswith("cuda") else ())

    def identity(self) -> dict[str, Any]:
        """Return everything that determines the layers' outputs, as plain JSON values."""
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
