"""Noise policies: from a unit's encoded tiles to what the network is given at a timestep."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hsifeat.backbones.protocol import Backbone
from hsifeat.backbones.schedule import NoiseSchedule
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.noise_field import noise_field
from hsifeat.types import Window

if TYPE_CHECKING:
    import torch

POLICIES = "field, shared, none or inversion:N with N steps"
_PREDICTIONS = ("epsilon", "sample", "v_prediction")


@dataclass(frozen=True)
class Noising:
    """How tiles are noised.

    Attributes
    ----------
    policy : str
        ``field``: by a field over the scene, see `noise_field`. ``shared``: all tiles at all timesteps by one tensor, as
        ddpm-segmentation, MTMSD and GeoDiffNet do. ``none``: not at all; the timestep is only told to the network, as
        CleanDIFT's was trained to be. ``inversion``: by the network itself, see `invert_step`.
    seed : int
        Of what is drawn.
    draws : int
        Over how many draws of the noise taps are averaged, as in DIFT.
    steps : tuple of int
        Timesteps of an inversion, ascending; the encoded image is taken for what is at the first.
    """

    policy: str
    seed: int = 0
    draws: int = 1
    steps: tuple[int, ...] = ()

    def passes(self, t: int, before: int | None = None) -> int:
        """Count the forwards that a tile takes at `t`, where the same unit was at `before` just now."""
        if self.policy != "inversion":
            return self.draws
        return self.steps.index(t) - (0 if before is None else self.steps.index(before)) + 1

    def begin(
        self, backbone: Backbone, clean: torch.Tensor, cells: Sequence[Window], device: str, batch: int
    ) -> NoisedTiles:
        """Take up a unit.

        Parameters
        ----------
        backbone : Backbone
            Its schedule counts, and in an inversion its predictions.
        clean : (n, noised channels, rows, cols) float32 tensor
            The encoded tiles, on the CPU.
        cells : sequence of n Window
            Where they lie on the grid of noised cells.
        device : str
            Where the network runs.
        batch : int
            Most tiles in a forward.
        """
        if self.policy == "inversion":
            return _Inverted(self, backbone, clean, device, batch)
        if self.policy == "none":
            return _Clean(clean, device)
        kind = _ByField if self.policy == "field" else _ByOneTensor
        return kind(self, backbone.schedule, clean, cells, device)


def parse_noising(text: str, seed: int, draws: int, schedule: NoiseSchedule, timesteps: Sequence[int]) -> Noising:
    """Read a policy, and check that it fits a schedule and the timesteps asked for.

    Raises
    ------
    HsifeatError
        An unknown policy, draws of what is not drawn, or a timestep that is no step of the inversion.
    """
    inversion = re.fullmatch(r"inversion:([1-9]\d*)", text)
    policy = "inversion" if inversion else text
    if policy not in {"field", "shared", "none", "inversion"} or text == "inversion":
        raise HsifeatError(f"unknown noise {text!r}; allowed: {POLICIES}")
    if draws < 1 or (draws > 1 and policy not in {"field", "shared"}):
        raise HsifeatError(f"{draws} draws with the noise {text}: one or more can be drawn of field and shared, else 1")
    if inversion is None:
        return Noising(policy, seed, draws)
    count = int(inversion[1])
    if count > schedule.timesteps:
        raise HsifeatError(f"{text}: at most {schedule.timesteps} steps, as many as there are training timesteps")
    if schedule.prediction not in _PREDICTIONS:
        raise HsifeatError(
            f"{text}: a network that predicts {schedule.prediction} can't be inverted; allowed: {', '.join(_PREDICTIONS)}"
        )
    steps = tuple(i * (schedule.timesteps // count) for i in range(count))
    wrong = [t for t in timesteps if t not in steps]
    if wrong:
        raise HsifeatError(f"timestep {wrong[0]} is no step of {text}; its steps are {', '.join(map(str, steps))}")
    return Noising(policy, seed, 1, steps)


class NoisedTiles(ABC):
    """A unit's tiles on their way through the timesteps."""

    @abstractmethod
    def at(self, some: slice, t: int) -> Iterator[torch.Tensor]:
        """Give what the network is given of some tiles at `t`, (n, noised channels, rows, cols): one for each draw."""


class _Clean(NoisedTiles):
    """Tiles that are never noised."""

    def __init__(self, clean: torch.Tensor, device: str) -> None:
        self._clean, self._device = clean, device

    def at(self, some: slice, t: int) -> Iterator[torch.Tensor]:  # noqa: ARG002  # only the network is told of t
        yield self._clean[some].clone().to(self._device)


class _Drawn(NoisedTiles):
    """Tiles that are noised by what is drawn; a draw is kept for the next timestep."""

    def __init__(
        self, how: Noising, schedule: NoiseSchedule, clean: torch.Tensor, cells: Sequence[Window], device: str
    ) -> None:
        self._how, self._schedule, self._clean, self._cells, self._device = how, schedule, clean, cells, device
        self._drawn: dict[int, torch.Tensor] = {}

    def at(self, some: slice, t: int) -> Iterator[torch.Tensor]:
        clean = self._clean[some].to(self._device)
        for draw in range(self._how.draws):
            if draw not in self._drawn:
                self._drawn[draw] = self._draw(draw)
            noise = self._noise(self._drawn[draw], some).to(self._device)
            yield self._schedule.add_noise(clean, noise, t)

    @abstractmethod
    def _draw(self, draw: int) -> torch.Tensor:
        """Draw what serves all tiles."""

    @abstractmethod
    def _noise(self, drawn: torch.Tensor, some: slice) -> torch.Tensor:
        """Take the noise of some tiles from it."""


class _ByField(_Drawn):
    """Tiles that are noised by a field: drawn as far as they reach, or, where they lie scattered, for each on its own."""

    def __init__(
        self, how: Noising, schedule: NoiseSchedule, clean: torch.Tensor, cells: Sequence[Window], device: str
    ) -> None:
        super().__init__(how, schedule, clean, cells, device)
        self._bounds = bounds_of(cells) if cells else Window(0, 0, 0, 0)
        self._scattered = self._bounds.rows * self._bounds.cols > sum(cell.rows * cell.cols for cell in cells)

    def _draw(self, draw: int) -> torch.Tensor:
        import torch

        windows = self._cells if self._scattered else [self._bounds]
        fields = [noise_field(window, self._clean.shape[1], self._how.seed, draw) for window in windows]
        return torch.from_numpy(np.stack(fields))

    def _noise(self, drawn: torch.Tensor, some: slice) -> torch.Tensor:
        import torch

        if self._scattered:
            return drawn[some]
        bounds = self._bounds
        moved = (Window(w.row - bounds.row, w.col - bounds.col, w.rows, w.cols) for w in self._cells[some])
        return torch.stack([drawn[0, :, *window.slices] for window in moved])


class _ByOneTensor(_Drawn):
    def _draw(self, draw: int) -> torch.Tensor:
        import torch

        # One after the other from one generator: the first is what torch.randn gives after manual_seed, as in the papers.
        generator = torch.Generator().manual_seed(self._how.seed)
        shape = (1, *self._clean.shape[1:])
        return [torch.randn(shape, generator=generator) for _ in range(draw + 1)][draw]

    def _noise(self, drawn: torch.Tensor, some: slice) -> torch.Tensor:
        return drawn.expand(len(self._clean[some]), -1, -1, -1)


class _Inverted(NoisedTiles):
    """Tiles that the network itself takes from step to step; each batch is where it was asked for last."""

    def __init__(self, how: Noising, backbone: Backbone, clean: torch.Tensor, device: str, batch: int) -> None:
        self._how, self._backbone, self._clean, self._device = how, backbone, clean, device
        self._where = dict.fromkeys(range(0, len(clean), batch), 0)
        self._now = clean.clone()

    def at(self, some: slice, t: int) -> Iterator[torch.Tensor]:
        steps, wanted = self._how.steps, self._how.steps.index(t)
        if self._where[some.start] > wanted:
            self._where[some.start], self._now[some] = 0, self._clean[some]
        x = self._now[some].clone().to(self._device)
        for here in range(self._where[some.start], wanted):
            output = self._backbone.predict(x, steps[here])
            x = invert_step(self._backbone.schedule, output, x, steps[here], steps[here + 1])
        self._where[some.start], self._now[some] = wanted, x.cpu()
        yield x


def invert_step(schedule: NoiseSchedule, output: torch.Tensor, x: torch.Tensor, t: int, after: int) -> torch.Tensor:
    """Go a step of deterministic DDIM inversion (Song et al. 2021, eq. 12 with sigma = 0, run towards the noise).

    Parameters
    ----------
    schedule : NoiseSchedule
        ``abar`` of the timesteps, and what the network predicts.
    output : tensor
        What it predicted for `x` at `t`.
    x : tensor
        ``x_t``.
    t, after : int
        From where to where; ``t < after``.

    Returns
    -------
    tensor
        ``x_after = sqrt(abar_after) x0 + sqrt(1 - abar_after) eps``.
    """
    import torch

    x0, eps = schedule.separate(x, output, t)
    after_kept = torch.tensor(schedule.alphas_cumprod[after])
    next_image, next_noise = (part.sqrt().to(x.device) for part in (after_kept, 1 - after_kept))
    return next_image * x0 + next_noise * eps


def bounds_of(windows: Sequence[Window]) -> Window:
    """Return the smallest window around all of them.

    >>> bounds_of([Window(0, 4, 2, 2), Window(3, 1, 2, 2)])
    Window(row=0, col=1, rows=5, cols=5)
    """
    top, left = min(w.row for w in windows), min(w.col for w in windows)
    bottom, right = max(w.row + w.rows for w in windows), max(w.col + w.cols for w in windows)
    return Window(top, left, bottom - top, right - left)
