"""Class probabilities from reduced columns. Softmax classifiers compute in single precision."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from classifiers.heads.sklearn_head import SklearnHead
from classifiers.threads import one_library_thread
from hsifeat.runtime.resources import available_cores

# Number of rows that a thread predicts between two calls of `check`.
_CHUNK_ROWS = 2**14


def predict_columns(
    head: SklearnHead, columns: NDArray[np.float32], check: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """Predict class probabilities from reduced columns.

    Parameters
    ----------
    head : SklearnHead
        A fitted head.
    columns : (n, k) float32 array
        Output of the reducer of the head.
    check : callable
        Function that is called repeatedly during the work. It can raise an exception to stop the work.

    Returns
    -------
    (n, C) float32 array
        Probabilities of the head's `classes_`. They equal the probabilities from `predict_proba` up to the precision of
        float32.
    """
    predict = _softmax_prediction(head) or (lambda some: head.classifier_.predict_proba(some * head.gain_))
    p = np.empty((len(columns), len(head.classes_)), np.float32)

    def predict_chunk(start: int) -> None:
        check()
        p[start : start + _CHUNK_ROWS] = predict(columns[start : start + _CHUNK_ROWS])

    # Threads of BLAS wait for each other. On busy cores this takes longer than a product of few columns.
    with one_library_thread("blas"), ThreadPoolExecutor(available_cores()) as pool:
        for _ in pool.map(predict_chunk, range(0, len(columns), _CHUNK_ROWS)):
            pass
    return p


def _softmax_prediction(head: SklearnHead) -> Callable[[NDArray[np.float32]], NDArray[np.float32]] | None:
    """Return a float32 version of the `predict_proba` of a head with `SklearnHead.is_softmax`; None for other heads.

    Single precision is several times faster than double precision.
    """
    if not head.is_softmax:
        return None
    weights, bias = (head.classifier_.coef_ * head.gain_).T, head.classifier_.intercept_
    if len(head.classes_) == 2:  # the decision of the second class against the first
        weights, bias = np.hstack([np.zeros_like(weights), weights]), np.array([0.0, *bias])
    weights, bias = weights.astype(np.float32), bias.astype(np.float32)

    def predict(columns: NDArray[np.float32]) -> NDArray[np.float32]:
        scores = columns @ weights + bias
        np.exp(scores - scores.max(axis=1, keepdims=True), out=scores)
        return np.asarray(scores / scores.sum(axis=1, keepdims=True), np.float32)

    return predict
