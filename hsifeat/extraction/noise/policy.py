"""Base class of noise policies, and functions that find registered policies and parse the value of ``--noise``.

A noise policy is registered as an entry point of the group ``hsifeat.noise``. The name of the entry point is
NAME in ``--noise NAME`` and ``--noise NAME:ARGUMENT``. The value of the entry point is a subclass of `NoisePolicy`.
``tests/extraction/noise/test_conformance.py`` tests all registered policies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.errors import HsifeatError, allowed_names
from hsifeat.registration import load_subclass, registered_entries
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch

GROUP = "hsifeat.noise"


class NoisedTiles(Protocol):
    """Tiles of one unit (one shard of each plane). Noise can be added to them at any timestep.

    An implementation may keep state between timesteps, such as drawn noise. The results must not depend on the order
    of the calls of `at`.
    """

    def at(self, batch: slice, t: int) -> Iterator[torch.Tensor]:
        """Yield the network's input for a batch of tiles at a timestep, once per noise draw.

        Parameters
        ----------
        batch : slice
            Indices of the tiles; the start is a multiple of the batch size.
        t : int
            Training timestep.

        Yields
        ------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            Tiles with noise, on the device of the network.
        """
        ...


@dataclass(frozen=True, eq=False)
class CleanUnit:
    """Encoded tiles of one unit (one shard of each plane), and the network that will process them.

    Attributes
    ----------
    backbone : Backbone
        The network, which some noise policies need for predictions.
    clean : (n, denoiser channels, cell rows, cell cols) float32 tensor
        The tiles without noise, on the CPU.
    cells : sequence of n Window
        Positions of the tiles, in cells of the denoiser's input. Cell (0, 0) is at the upper left corner of the scene.
    device : str
        Device of the network.
    batch : int
        Maximum number of tiles per forward pass.
    """

    backbone: Backbone
    clean: torch.Tensor
    cells: Sequence[Window]
    device: str
    batch: int


@dataclass(frozen=True)
class NoisePolicy(ABC):
    """Base class of policies that add noise to encoded tiles before the forward pass at a timestep.

    Attributes
    ----------
    schedule : NoiseSchedule
        Noise schedule of the backbone.
    seed : int
        Seed of the noise.
    draws : int
        Number of noise draws over which features are averaged.
    """

    schedule: NoiseSchedule
    seed: int = 0
    draws: int = 1

    name: ClassVar[str]
    """Name of the entry point."""
    form: ClassVar[str]
    """Form of the value of ``--noise`` in help texts and messages, such as ``inversion:N``."""
    several_draws: ClassVar[bool] = False
    """Whether `draws` may be greater than 1."""
    aligned: ClassVar[bool] = False
    """Whether tiles must start at the border of a cell of the denoiser's input, because the noise depends on its position."""
    noises: ClassVar[bool] = True
    """Whether the policy adds noise to tiles."""

    def __post_init__(self) -> None:
        if self.draws < 1 or (self.draws > 1 and not self.several_draws):
            allowed = "at least 1" if self.several_draws else "1: this policy averages no draws"
            raise HsifeatError(f"draws is {self.draws}, but the noise {self.spec} takes {allowed}")

    @classmethod
    def parse(cls, argument: str | None, schedule: NoiseSchedule, seed: int, draws: int) -> Self:
        """Return the policy for the argument after the colon in ``--noise NAME:ARGUMENT``.

        Parameters
        ----------
        argument : str or None
            Text after the colon; None if there is no colon.
        schedule : NoiseSchedule
            Noise schedule of the backbone.
        seed, draws : int
            Seed of the noise, and number of noise draws.

        Raises
        ------
        HsifeatError
            If the policy does not support the argument, the number of draws or the schedule.
        """
        if argument is not None:
            raise HsifeatError(f"the noise {cls.name} takes no argument; found {argument!r}")
        return cls(schedule, seed, draws)

    @property
    def spec(self) -> str:
        """Value of ``--noise`` that selects this policy."""
        return self.name

    def candidates(self) -> tuple[int, ...] | None:
        """Return the timesteps that the policy supports; None if all timesteps are supported."""
        return None

    def check(self, timesteps: Sequence[int]) -> None:
        """Raise `HsifeatError` if the policy does not support one of the timesteps."""
        supported = self.candidates()
        missing = [] if supported is None else [t for t in timesteps if t not in supported]
        if missing and supported is not None:
            steps = ", ".join(map(str, supported))
            raise HsifeatError(f"timestep {missing[0]} is no step of {self.spec}; its steps are {steps}")

    def passes(self, t: int, previous: int | None = None) -> int:  # noqa: ARG002  # for iterative policies
        """Return the number of forward passes per tile at a timestep.

        Parameters
        ----------
        t : int
            Training timestep.
        previous : int or None
            Timestep of the previous step for the same tiles; None for the first step. A policy that adds noise step by
            step continues from this timestep.
        """
        return self.draws

    def probe(self, backbone: Backbone, noised: torch.Tensor, t: int, layers: Sequence[str]) -> torch.Tensor:
        """Run a typical forward pass of the policy.

        The caller measures the time of this pass to estimate the time of the extraction.

        Parameters
        ----------
        backbone : Backbone
            The network.
        noised : (n, denoiser channels, cell rows, cell cols) float32 tensor
            Input of the network.
        t : int
            Training timestep.
        layers : sequence of str
            Layers whose features are extracted.

        Returns
        -------
        float32 tensor
            The output of any one layer of the network for the n tiles.
        """
        return next(iter(backbone.forward_to(noised, t, layers).values()))

    @abstractmethod
    def noised_tiles(self, unit: CleanUnit) -> NoisedTiles:
        """Return an object that adds noise to the tiles of a unit (one shard of each plane) at any timestep."""


def noise_policies() -> dict[str, EntryPoint]:
    """Map the names of all registered noise policies to their entry points. The names are in alphabetical order."""
    return registered_entries(GROUP)


def load_policy(entry: EntryPoint) -> type[NoisePolicy]:
    """Return the class of a registered noise policy.

    Raises
    ------
    HsifeatError
        If the class can't be imported, or is not a subclass of `NoisePolicy`.
    """
    return load_subclass(entry, NoisePolicy, "noise policy", HsifeatError)  # type: ignore[type-abstract]


def parse_noise(text: str, schedule: NoiseSchedule, *, seed: int = 0, draws: int = 1) -> NoisePolicy:
    """Return the noise policy for a value of ``--noise``.

    Parameters
    ----------
    text : str
        Name of a registered policy, with an optional argument after a colon, such as ``field`` or ``inversion:10``.
    schedule : NoiseSchedule
        Noise schedule of the backbone.
    seed : int
        Seed of the noise.
    draws : int
        Number of noise draws over which features are averaged.

    Raises
    ------
    HsifeatError
        If the policy does not exist, or does not support the argument or the number of draws.

    Examples
    --------
    >>> from hsifeat.backbones.schedule import schedule_from_config
    >>> schedule = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})
    >>> parse_noise("inversion:4", schedule).candidates()
    (0, 250, 500, 750)
    """
    name, colon, argument = text.partition(":")
    registered = noise_policies()
    if name not in registered:
        raise HsifeatError(f"unknown noise {text!r}; {allowed_names(_form(entry) for entry in registered.values())}")
    return load_policy(registered[name]).parse(argument if colon else None, schedule, seed, draws)


def _form(entry: EntryPoint) -> str:
    try:
        return load_policy(entry).form
    except HsifeatError:  # a broken plug-in must not hide the others
        return entry.name
