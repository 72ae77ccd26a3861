"""Checks of a head whose fitted attributes come from a file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.base import Head, ProbabilisticHead
from hsifeat.quiet_warnings import ignored_warnings

_MAX_COLUMNS = 2**24
_PROBE_ROWS = 2


def check_restored(head: Head) -> None:
    """Check the fitted attributes of a head, and let the head predict two rows of zeros.

    The check refuses a head from a damaged or hostile file before the head is used.

    Raises
    ------
    Exception
        If the attributes can't be the result of a fit. The class of the error depends on the library that raises it.
    """
    width = head.n_features_in_
    if not isinstance(width, int | np.integer) or not 1 <= width <= _MAX_COLUMNS:
        raise ValueError(f"the head takes {width!r} columns")
    if head.layout is not None and head.layout.width != width:
        raise ValueError(f"the head takes {width} columns, but its layout has {head.layout.width}")
    classes = head.classes_
    is_list = (
        isinstance(classes, np.ndarray) and classes.ndim == 1 and len(classes) >= 2 and classes.dtype.kind in "iufUb"
    )
    if not is_list or (classes.dtype.kind == "f" and (classes != np.floor(classes)).any()):
        raise ValueError("the classes are not a list of two or more numbers or names")
    if not (classes[1:] > classes[:-1]).all():
        raise ValueError("the classes are not in ascending order")
    head._check_restored()  # noqa: SLF001 - not for callers
    rows = np.zeros((_PROBE_ROWS, int(width)), np.float32)
    with ignored_warnings(), np.errstate(all="ignore"):
        predicted = head.predict(rows)
        probabilities = head.predict_proba(rows) if isinstance(head, ProbabilisticHead) else None
    if predicted.shape != (_PROBE_ROWS,):
        raise ValueError(f"the head predicts an array of shape {predicted.shape} for two rows")
    if probabilities is not None:
        _check_probabilities(probabilities, len(classes))


def _check_probabilities(probabilities: NDArray[np.float64], classes: int) -> None:
    sound = probabilities.shape == (_PROBE_ROWS, classes) and np.allclose(probabilities.sum(axis=1), 1, atol=1e-3)
    if not sound or not (probabilities >= 0).all():
        raise ValueError("the head predicts numbers that are no probabilities")
