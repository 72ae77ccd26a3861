"""Noise policy ``inversion:N``: noise is added by deterministic DDIM inversion in N steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.policy import CleanUnit, NoisePolicy

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class InversionNoise(NoisePolicy):
    """Add noise to tiles by DDIM inversion, starting from the encoded tile at timestep 0; see `invert_step`.

    Attributes
    ----------
    count : int
        Number N of timesteps of an inversion. The timesteps are ``i * (T // N)`` for i from 0 to N - 1, where T is the
        number of training timesteps.
    """

    count: int = 1

    name: ClassVar = "inversion"
    form: ClassVar = "inversion:N"

    @classmethod
    def parse(cls, argument: str | None, schedule: NoiseSchedule, seed: int, draws: int) -> Self:
        """Return the policy whose number of steps is `argument`. See `NoisePolicy.parse`."""
        if not re.fullmatch(r"[1-9]\d{0,8}", argument or ""):
            wrong = "nothing" if argument is None else repr(argument)
            raise HsifeatError(f"the noise inversion:N takes a number of steps, such as inversion:10; found {wrong}")
        return cls(schedule, seed, draws, int(argument or 0))

    def __post_init__(self) -> None:
        """Raise `HsifeatError` if `count` is larger than the number of training timesteps."""
        super().__post_init__()
        if self.count > self.schedule.timesteps:
            max_steps = self.schedule.timesteps
            raise HsifeatError(f"{self.spec}: at most {max_steps} steps, as many as the schedule has timesteps")

    @property
    def spec(self) -> str:
        """Value of ``--noise`` that selects this policy."""
        return f"{self.name}:{self.count}"

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """Timesteps of the inversion in ascending order, starting at 0."""
        return tuple(i * (self.schedule.timesteps // self.count) for i in range(self.count))

    def candidates(self) -> tuple[int, ...]:
        """Return the timesteps of the inversion steps; no other timesteps are supported."""
        return self.steps

    def passes(self, t: int, previous: int | None = None) -> int:
        """Return the number of passes per tile at a timestep. See `NoisePolicy.passes`.

        Each inversion step between timestep `previous` and timestep `t` needs one pass. One more pass computes the
        features. If `previous` is None, the inversion starts at timestep 0.
        """
        return self.steps.index(t) - (0 if previous is None else self.steps.index(previous)) + 1

    def probe(
        self,
        backbone: Backbone,
        noised: torch.Tensor,
        t: int,
        layers: Sequence[str],  # noqa: ARG002
    ) -> torch.Tensor:
        """Run the whole network, as each step of an inversion does, and return its prediction. See `NoisePolicy.probe`."""
        return backbone.predict(noised, t)

    def noised_tiles(self, unit: CleanUnit) -> _InvertedTiles:
        """Return an object that adds noise to tiles of `unit` at the timesteps `steps`. See `NoisePolicy.noised_tiles`."""
        return _InvertedTiles(self, unit)


class _InvertedTiles:
    """Tiles that are inverted to any timestep of an `InversionNoise`.

    The state of each batch is kept, so that inversion to a later timestep continues from this state.
    """

    def __init__(self, policy: InversionNoise, unit: CleanUnit) -> None:
        self._steps, self._backbone, self._clean, self._device = policy.steps, unit.backbone, unit.clean, unit.device
        self._reached = dict.fromkeys(range(0, len(unit.clean), unit.batch), 0)
        self._state = unit.clean.clone()

    def at(self, batch: slice, t: int) -> Iterator[torch.Tensor]:
        target = self._steps.index(t)
        if self._reached[batch.start] > target:
            self._reached[batch.start], self._state[batch] = 0, self._clean[batch]
        x = self._state[batch].clone().to(self._device)
        for step in range(self._reached[batch.start], target):
            output = self._backbone.predict(x, self._steps[step])
            x = invert_step(self._backbone.schedule, output, x, self._steps[step], self._steps[step + 1])
        self._reached[batch.start], self._state[batch] = target, x.cpu()
        yield x


def invert_step(schedule: NoiseSchedule, output: torch.Tensor, x: torch.Tensor, t: int, after: int) -> torch.Tensor:
    """Return the result of one step of deterministic DDIM inversion.

    Parameters
    ----------
    schedule : NoiseSchedule
        Noise schedule; its `alphas_cumprod` are ``abar_t``. Its method `separate` estimates the clean tiles ``x0`` and the
        noise ``eps`` from `x` and `output`.
    output : (n, channels, rows, cols) float32 tensor
        Prediction of the network for `x` at timestep `t`.
    x : (n, channels, rows, cols) float32 tensor
        Noised tiles ``x_t``.
    t, after : int
        Timesteps of `x` and of the result, with ``t < after``.

    Returns
    -------
    (n, channels, rows, cols) float32 tensor
        ``x_after = sqrt(abar_after) x0 + sqrt(1 - abar_after) eps``.

    Notes
    -----
    Song, Meng & Ermon, "Denoising diffusion implicit models", ICLR 2021, eq. 12 with sigma = 0, in the
    direction of increasing noise.
    """
    import torch

    x0, eps = schedule.separate(x, output, t)
    abar = torch.tensor(schedule.alphas_cumprod[after])
    signal_scale, noise_scale = (part.sqrt().to(x.device) for part in (abar, 1 - abar))
    return signal_scale * x0 + noise_scale * eps
