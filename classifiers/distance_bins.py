"""Bins of the distance from a test pixel to the nearest training pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hsifeat.errors import HeadError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Upper ends in pixels of the default bins, except the last bin, which has no upper end.
DISTANCE_ENDS = (4, 9, 16)


@dataclass(frozen=True)
class DistanceBin:
    """Range of distances to the nearest training pixel: more than `low_px` and at most `high_px`.

    Attributes
    ----------
    low_px : float
        Lower end in pixels, exclusive.
    high_px : float or None
        Upper end in pixels, inclusive. None if there is no upper end.

    Examples
    --------
    >>> str(DistanceBin(0, 4)), str(DistanceBin(16, None)), DistanceBin(16, None).key
    ('0\N{EN DASH}4 px', 'over 16 px', 'over_16_px')
    """

    low_px: float
    high_px: float | None

    @property
    def key(self) -> str:
        """Name of the bin in column names of ``results.csv``, such as ``0-4_px`` in ``oa_0-4_px``."""
        return f"over_{self.low_px:g}_px" if self.high_px is None else f"{self.low_px:g}-{self.high_px:g}_px"

    def __str__(self) -> str:
        if self.high_px is None:
            return f"over {self.low_px:g} px"
        return f"{self.low_px:g}\N{EN DASH}{self.high_px:g} px"


def distance_bins(ends_px: Sequence[int] = DISTANCE_ENDS) -> tuple[DistanceBin, ...]:
    """Return bins with the upper ends `ends_px`, followed by a bin without an upper end.

    Parameters
    ----------
    ends_px : sequence of int
        Upper ends in pixels, positive and ascending.

    Raises
    ------
    HeadError
        If the ends are not positive and ascending.

    Examples
    --------
    >>> [one.key for one in distance_bins((4, 9))]
    ['0-4_px', '4-9_px', 'over_9_px']
    """
    starts = [0, *ends_px]
    if not ends_px or any(low >= high for low, high in zip(starts, ends_px, strict=False)):
        raise HeadError(
            "bins of the distance to the nearest training pixel need positive, ascending ends in pixels, such as 4,9,16; "
            f"found {','.join(map(str, ends_px)) or 'none'}"
        )
    return tuple(DistanceBin(low, high) for low, high in zip(starts, [*ends_px, None], strict=True))


@dataclass(frozen=True)
class BinAccuracy:
    """Overall accuracy of one head on the test pixels of a distance bin.

    Attributes
    ----------
    bin : DistanceBin
        Range of distances to the nearest training pixel.
    pixels : int
        Number of test pixels in the range, at least 1.
    oa : float
        Overall accuracy on these pixels, from 0 to 1.
    """

    bin: DistanceBin
    pixels: int
    oa: float

    def __str__(self) -> str:
        return f"{self.bin} {self.oa:.1%} of {self.pixels}"


def bin_accuracies(
    correct: NDArray[np.bool_], distances_px: NDArray[np.float64], bins: Sequence[DistanceBin]
) -> tuple[BinAccuracy, ...]:
    """Return the overall accuracy in each distance bin that has test pixels.

    Parameters
    ----------
    correct : (n,) bool array
        Whether each test pixel is classified correctly.
    distances_px : (n,) float64 array
        Distance in pixels from each test pixel to the nearest training pixel.
    bins : sequence of DistanceBin
        Bins of the distance.

    Examples
    --------
    >>> import numpy as np
    >>> scores = bin_accuracies(np.array([True, False, True]), np.array([1.0, 4.0, 30.0]), distance_bins())
    >>> [str(score) for score in scores]
    ['0\N{EN DASH}4 px 50.0% of 2', 'over 16 px 100.0% of 1']
    """
    scores = []
    for one in bins:
        inside = distances_px > one.low_px
        if one.high_px is not None:
            inside &= distances_px <= one.high_px
        if inside.any():
            scores.append(BinAccuracy(one, int(inside.sum()), float(correct[inside].mean())))
    return tuple(scores)
