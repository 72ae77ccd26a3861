"""The base class of noise policies, their registry, and the parser of ``--noise``.

A policy is an entry point of the group ``hsifeat.noise``: its name is what ``--noise NAME`` or ``--noise NAME:ARGUMENT``
says, and its value is a `NoisePolicy` class. ``tests/extraction/noise/test_conformance.py`` checks every registered one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.errors import HsifeatError, error_summary
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch

GROUP = "hsifeat.noise"


class NoisedTiles(Protocol):
    """The tiles of one unit, noised at any timestep.

    It may keep state from one timestep to the next, such as noise that was drawn, but what it yields must not depend on
    the order of the calls.
    """

    def at(self, batch: slice, t: int) -> Iterator[torch.Tensor]:
        """Yield the network's input for some tiles at a timestep, once per draw.

        Parameters
        ----------
        batch : slice
            Which tiles; its start is a multiple of the batch size.
        t : int
            Training timestep.

        Yields
        ------
        (n, denoiser channels, cell rows, cell cols) float32 tensor
            On the device of the network.
        """
        ...


@dataclass(frozen=True)
class NoisePolicy(ABC):
    """How encoded tiles are noised for the forward pass at a timestep.

    Attributes
    ----------
    schedule : NoiseSchedule
        Noise schedule of the backbone.
    seed : int
        Seed of whatever is random.
    draws : int
        Number of noise draws over which taps are averaged.
    """

    schedule: NoiseSchedule
    seed: int = 0
    draws: int = 1

    name: ClassVar[str]
    """Name of the entry point."""
    form: ClassVar[str]
    """What ``--noise`` takes, for messages: the name, or the name and a placeholder for the argument."""
    several_draws: ClassVar[bool] = False
    """Whether there can be more than one draw."""
    aligned: ClassVar[bool] = False
    """Whether a tile must begin at a multiple of the denoiser cell, because noise depends on the position of a cell."""
    noises: ClassVar[bool] = True
    """Whether tiles are noised at all."""

    def __post_init__(self) -> None:
        if self.draws < 1 or (self.draws > 1 and not self.several_draws):
            allowed = "at least 1" if self.several_draws else "1: this policy averages no draws"
            raise HsifeatError(f"draws is {self.draws}, but the noise {self.spec} takes {allowed}")

    @classmethod
    def parse(cls, argument: str | None, schedule: NoiseSchedule, seed: int, draws: int) -> Self:
        """Make the policy from what follows its name and a colon in ``--noise``.

        Parameters
        ----------
        argument : str or None
            Text after the colon; None without a colon.
        schedule : NoiseSchedule
            Noise schedule of the backbone.
        seed, draws : int
            See the attributes.

        Raises
        ------
        HsifeatError
            The policy takes no such argument, no such number of draws, or can't work with the schedule.
        """
        if argument is not None:
            raise HsifeatError(f"the noise {cls.name} takes no argument; found {argument!r}")
        return cls(schedule, seed, draws)

    @property
    def spec(self) -> str:
        """Canonical text of the policy, as ``--noise`` takes it."""
        return self.name

    def candidates(self) -> tuple[int, ...] | None:
        """Return the only timesteps that the policy reaches; None if it reaches all."""
        return None

    def check(self, timesteps: Sequence[int]) -> None:
        """Raise `HsifeatError` for a timestep that the policy does not reach."""
        reached = self.candidates()
        missing = [] if reached is None else [t for t in timesteps if t not in reached]
        if missing and reached is not None:
            listed = ", ".join(map(str, reached))
            raise HsifeatError(f"timestep {missing[0]} is no step of {self.spec}; its steps are {listed}")

    def passes(self, t: int, previous: int | None = None) -> int:  # noqa: ARG002  # for policies that go from t to t
        """Count the passes of the network per tile at a timestep.

        Parameters
        ----------
        t : int
            Training timestep.
        previous : int or None
            Timestep at which the same unit was computed just before.
        """
        return self.draws

    def probe(self, backbone: Backbone, noised: torch.Tensor, t: int, layers: Sequence[str]) -> torch.Tensor:
        """Run one typical pass of this policy, so that it can be timed.

        Parameters
        ----------
        backbone : Backbone
            The network.
        noised : (n, denoiser channels, cell rows, cell cols) float32 tensor
            Its input.
        t : int
            Training timestep.
        layers : sequence of str
            Taps that the extraction reads.
        """
        return next(iter(backbone.forward_to(noised, t, layers).values()))

    @abstractmethod
    def noised_tiles(
        self, backbone: Backbone, clean: torch.Tensor, cells: Sequence[Window], *, device: str, batch: int
    ) -> NoisedTiles:
        """Begin a unit.

        Parameters
        ----------
        backbone : Backbone
            The network, for policies that noise by its predictions.
        clean : (n, denoiser channels, cell rows, cell cols) float32 tensor
            The encoded tiles, on the CPU.
        cells : sequence of n Window
            Positions of the tiles on the grid of denoiser cells.
        device : str
            Device of the network.
        batch : int
            Maximum number of tiles per pass.
        """


def noise_policies() -> dict[str, EntryPoint]:
    """Return the entry points of all registered noise policies by name, in alphabetical order."""
    return dict(sorted((entry.name, entry) for entry in entry_points(group=GROUP)))


def load_policy(entry: EntryPoint) -> type[NoisePolicy]:
    """Load the class of a noise policy.

    Raises
    ------
    HsifeatError
        It can't be imported, or is no `NoisePolicy`.
    """
    try:
        policy = entry.load()
    except Exception as error:  # another package's code may raise anything
        raise HsifeatError(f"the noise policy {entry.name} can't be loaded: {error_summary(error)}") from error
    if not (isinstance(policy, type) and issubclass(policy, NoisePolicy)):
        raise HsifeatError(f"the noise policy {entry.name} is {entry.value}, which is no subclass of NoisePolicy")
    return policy


def parse_noise(text: str, schedule: NoiseSchedule, *, seed: int = 0, draws: int = 1) -> NoisePolicy:
    """Make the noise policy that a text names.

    Parameters
    ----------
    text : str
        Name of a registered policy, with its argument after a colon: ``field``, ``inversion:10``.
    schedule : NoiseSchedule
        Noise schedule of the backbone.
    seed : int
        Seed of the noise.
    draws : int
        Number of noise draws over which taps are averaged.

    Raises
    ------
    HsifeatError
        No such policy, or arguments that it does not take.

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
        raise HsifeatError(
            f"unknown noise {text!r}; allowed: {', '.join(_form(entry) for entry in registered.values())}"
        )
    return load_policy(registered[name]).parse(argument if colon else None, schedule, seed, draws)


def _form(entry: EntryPoint) -> str:
    try:
        return load_policy(entry).form
    except HsifeatError:  # a broken plug-in must not hide the others
        return entry.name
