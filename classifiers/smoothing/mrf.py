"""The smoothing rule ``mrf:BETA``: a Markov random field, in which neighbours prefer the same class with the strength BETA."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from classifiers.smoothing.rule import ProbabilityTile, SmoothingRule, normalise

# Heads trained on few pixels are overconfident; below this probability, no neighbour could change a class.
_LOWEST_PROBABILITY = 0.01
_SWEEPS = 10
_MAX_BETA = 20
_COLOURS = tuple(product((0, 1), repeat=2))
_NEIGHBOURS = tuple(offset for offset in product((-1, 0, 1), repeat=2) if offset != (0, 0))


@dataclass(frozen=True)
class MarkovSmoothing(SmoothingRule):
    """Mean-field approximation of a Potts field on the 8 neighbours of each pixel (Zhang, IEEE Trans. Signal Process. 1992).

    The field has the energy ``-sum_i log p_i(c_i) - beta * (number of pairs of neighbours with equal classes)``, as in
    Tarabalka et al., IEEE Geosci. Remote Sens. Lett. 2010. Here ``p_i(c_i)`` is the probability of class ``c_i`` at
    pixel ``i`` before smoothing. If it is below 0.01, it counts as 0.01. The field is approximated by a distribution in
    which pixels are independent. Ten sweeps of coordinate descent reduce the Kullback-Leibler divergence of the
    distribution from the field. The results are the class probabilities of each pixel in this distribution.

    The pixels are divided into four sets, called colours. Each 2x2 square has one pixel of each colour, so pixels of the
    same colour are never neighbours. A sweep updates one colour after the other, and all pixels of a colour at once.

    Attributes
    ----------
    beta : float
        Weight of a pair of neighbours with equal classes, in units of the natural logarithm of a probability.
    """

    beta: float
    name: ClassVar[str] = "mrf"
    form: ClassVar[str] = "mrf:BETA"

    @classmethod
    def parse(cls, argument: str) -> Self:
        """Return the rule whose `beta` is the number in `argument`, such as ``1.5``."""
        return cls(cls._number(argument, 0.001, _MAX_BETA))

    @property
    def text(self) -> str:
        """Value of ``--smooth`` that selects this rule."""
        return f"{self.name}:{self.beta:g}"

    @property
    def reach_px(self) -> int:
        """Number of updates of colours in ten sweeps. With each update, a pixel can affect pixels one pixel further away."""
        return _SWEEPS * len(_COLOURS)

    def smooth(self, tile: ProbabilityTile) -> NDArray[np.float64]:
        """Return the class probabilities of each pixel in the mean-field approximation; see `SmoothingRule.smooth`."""
        unary = np.log(np.maximum(tile.probabilities, _LOWEST_PROBABILITY))
        # A border of one pixel without probabilities gives every pixel of the tile eight neighbours.
        marginals = np.pad(normalise(np.exp(unary)) * tile.valid[..., None], ((1, 1), (1, 1), (0, 0)))
        for _ in range(_SWEEPS):
            for row, col in _COLOURS:
                _update(marginals, unary, self.beta, tile.valid, (row - tile.row) % 2, (col - tile.col) % 2)
        return marginals[1:-1, 1:-1]


def _update(
    marginals: NDArray[np.float64],
    unary: NDArray[np.float64],
    beta: float,
    valid: NDArray[np.bool_],
    row: int,
    col: int,
) -> None:
    """Update `marginals` at the pixels of one colour. The first pixel of this colour is at `row` and `col`."""
    rows, cols = valid.shape
    support = np.zeros_like(unary[row::2, col::2])
    for down, right in _NEIGHBOURS:
        support += marginals[1 + row + down : 1 + rows + down : 2, 1 + col + right : 1 + cols + right : 2]
    score = unary[row::2, col::2] + beta * support
    score -= score.max(axis=-1, keepdims=True)
    update = normalise(np.exp(score)) * valid[row::2, col::2, None]
    marginals[1 + row : 1 + rows : 2, 1 + col : 1 + cols : 2] = update
