"""The choice of pixels on which the reduction of column groups is fitted."""

from __future__ import annotations

from typing import Literal, get_args

from hsifeat.errors import HeadError, suggest_names

# A sample of the scene's pixels without their labels, or the training pixels.
Reduction = Literal["scene", "train"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
DEFAULT_REDUCTION: Reduction = "train"

# Largest number of pixels in the sample of a scene.
SAMPLE_PIXELS = 5000


def check_reduction(reduction: str) -> Reduction:
    """Return a reduction.

    Raises
    ------
    HeadError
        If the reduction is unknown.
    """
    for known in REDUCTIONS:
        if reduction == known:
            return known
    raise HeadError(f"unknown reduction {reduction!r}; {suggest_names(reduction, REDUCTIONS)}")
