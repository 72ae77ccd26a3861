"""Pixels on which heads fit principal components of column groups: the training pixels, or a sample of the scene."""

from __future__ import annotations

from typing import Literal, get_args

from hsifeat.errors import HeadError, suggest_names

# A sample of the scene's pixels without their labels, or the training pixels.
Reduction = Literal["scene", "train"]
REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)
DEFAULT_REDUCTION: Reduction = "scene"

# Largest number of pixels in the sample of a scene.
SAMPLE_PIXELS = 5000


def check_reduction(reduction: str) -> Reduction:
    """Check that `reduction` is ``scene`` or ``train``, and return it.

    Raises
    ------
    HeadError
        If `reduction` is another text.
    """
    for known in REDUCTIONS:
        if isinstance(reduction, str) and reduction == known:
            return known
    raise HeadError(f"unknown reduction {reduction!r}; {suggest_names(str(reduction), REDUCTIONS)}")
