"""Scale the output columns of a reduction: equalise their variances, and set columns without variance to zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.group_reducer import moments

# A column is constant up to rounding if its deviation is at most this many rounding errors of the largest deviation. An
# example is the last principal component of n centred rows. Rows outside the training set may vary in such a column, so
# dividing by the deviation would magnify this variation.
ROUNDING_ERRORS = 50


def whitening_gain(
    columns: NDArray[np.floating], share: float, weight: NDArray[np.floating] | None = None
) -> NDArray[np.float64]:
    """Return factors that equalise the variances of columns fully or partly, and preserve the total variance.

    Parameters
    ----------
    columns : (n, k) float array
        Reduced columns of the training rows.
    share : float
        Exponent from 0 to 1. Each column is divided by ``deviation ** share``, where ``deviation`` is its standard
        deviation. All columns are then multiplied by one number, which restores the total variance. 0 leaves the columns
        unchanged, and 1 gives all columns the same variance.
    weight : (n,) float array, optional
        Weight of each row. [default: equal weights]

    Returns
    -------
    (k,) float64 array
        Factor by which each column is multiplied; 0 for a column without variance.

    Examples
    --------
    >>> columns = np.array([[-4.0, -1.0], [4.0, 1.0]])
    >>> (columns * whitening_gain(columns, 1.0)).var(axis=0).round(6).tolist()
    [8.5, 8.5]
    """
    variance = moments(columns, weight)[1]
    deviation = np.sqrt(variance)
    gain = np.where(
        varying_columns(deviation, columns.dtype), np.maximum(deviation, np.finfo(float).tiny) ** -share, 0.0
    )
    total = (variance * gain**2).sum()
    return gain * np.sqrt(variance.sum() / total) if total > 0 else gain


def varying_columns(deviation: NDArray[np.float64], dtype: np.dtype) -> NDArray[np.bool_]:
    """Return a (k,) bool array: whether the standard deviation of a column exceeds the rounding errors of `dtype`."""
    varying: NDArray[np.bool_] = deviation > ROUNDING_ERRORS * np.finfo(dtype).eps * deviation.max(initial=0.0)
    return varying
