"""Cluster the pixels of square windows into tokens, as in DSTC, and compute the class proportions of a token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of n windows of P pixels.

    Attributes
    ----------
    values : (n, K, d) float64 array
        Features of the K tokens. The features of a token are a weighted mean of features of pixels.
    assignment : (n, P) intp array
        Index of the token of each pixel, from 0 to K - 1.
    """

    values: NDArray[np.float64]
    assignment: NDArray[np.intp]

    @property
    def centre(self) -> NDArray[np.intp]:
        """Index of the token of the central pixel of each window, an (n,) integer array."""
        return self.assignment[:, self.assignment.shape[1] // 2]


def cell_numbers(side: int, grid: int) -> NDArray[np.intp]:
    """Return the row and column of each pixel's cell, a (side * side, 2) integer array. A window has `grid` x `grid` cells.

    >>> cell_numbers(4, 2)[:, 1].tolist()
    [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1]
    """
    cells = np.concatenate([np.full(len(part), i) for i, part in enumerate(np.array_split(np.arange(side), grid))])
    return np.stack(np.meshgrid(cells, cells, indexing="ij"), axis=-1).reshape(-1, 2)


def cluster(features: NDArray[np.floating], guides: NDArray[np.floating], grid: int, iterations: int = 2) -> Tokens:
    """Cluster the pixels of windows into tokens, as in the published code of DSTC (arXiv 2407.07307).

    Each grid cell has one token. The initial centre ``s_c`` of the token is the mean of the features ``v_p`` in the cell.
    Each iteration computes ``sim_pc = softmax_c(-||v_p + g_p - s_c||^2)`` over the tokens of the pixel's cell and of the
    eight neighbouring cells. All iterations but the last then set ``s_c = sum_p sim_pc v_p / sum_p sim_pc``. The features of
    a token are ``(sum_p sim_pc v_p + m_c) / (sum_p sim_pc + 1)``, where ``m_c`` is the initial centre. A pixel belongs to the
    token with the largest similarity.

    Parameters
    ----------
    features : (n, P, d) float array
        Features ``v`` of the P pixels of square windows, ordered by row, then column.
    guides : (n, P, d) float array
        Values ``g`` that are added to the features, but only when distances are computed.
    grid : int
        Number of grid cells along each side.
    iterations : int
        Number of iterations; 2 in DSTC.

    Returns
    -------
    Tokens
        ``grid * grid`` tokens for each window.

    Examples
    --------
    >>> v = np.array([0.0, 0, 0, 9, 0, 0, 9, 9, 9]).reshape(1, 9, 1)
    >>> cluster(v, np.zeros_like(v), grid=3).values.shape
    (1, 9, 1)
    """
    v = np.asarray(features, np.float64)
    located = v + guides
    cells = cell_numbers(round(v.shape[1] ** 0.5), grid)
    tokens = np.stack(np.meshgrid(*[np.arange(grid)] * 2, indexing="ij"), axis=-1).reshape(-1, 2)
    steps = np.abs(cells[:, None] - tokens).max(axis=2)  # (P, K)
    inside = (steps == 0) / np.maximum((steps == 0).sum(axis=0), 1)
    means = np.einsum("pk,npd->nkd", inside, v)
    centres, similarity = means, np.empty(0)
    for iteration in range(iterations):
        if iteration:
            centres = np.einsum("npk,npd->nkd", similarity, v) / similarity.sum(axis=1)[..., None]
        products = np.einsum("npd,nkd->npk", located, centres)
        scores = (
            2 * products - (centres**2).sum(axis=2)[:, None]
        )  # without the norm of the pixel, the same for all tokens
        scores = np.where(steps <= 1, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=2, keepdims=True))
        similarity = weights / weights.sum(axis=2, keepdims=True)
    totals = similarity.sum(axis=1)[..., None]
    values = (np.einsum("npk,npd->nkd", similarity, v) + means) / (totals + 1)
    return Tokens(values, similarity.argmax(axis=2))


def class_proportions(
    tokens: Tokens, positions: NDArray[np.int64], codes: NDArray[np.int64], classes: int
) -> NDArray[np.float32]:
    """Return the class proportions of the token that contains the central pixel, for each window.

    Parameters
    ----------
    tokens : Tokens
        Tokens of the windows around n training pixels.
    positions : (n, 2) int64 array
        Row and column of each training pixel.
    codes : (n,) int64 array
        Class of each training pixel, from 0 to C - 1.
    classes : int
        Number C of classes.

    Returns
    -------
    (n, C) float32 array
        Proportion of each class among the training pixels in the token. Each row adds up to 1.
    """
    side = round(tokens.assignment.shape[1] ** 0.5)
    places = positions - positions.min(axis=0)
    labels = np.full(places.max(axis=0) + side, -1, np.int64)  # padded by half a window on each side
    labels[tuple((places + side // 2).T)] = codes
    offsets = np.moveaxis(np.indices((side, side)), 0, -1).reshape(-1, 2)
    around = labels[tuple(np.moveaxis(places[:, None] + offsets, 2, 0))]  # (n, P)
    around[:, around.shape[1] // 2] = codes  # pixels may occur twice
    counted = (around >= 0) & (tokens.assignment == tokens.centre[:, None])
    counts = np.zeros((len(codes), classes))
    rows, pixels = np.nonzero(counted)
    np.add.at(counts, (rows, around[rows, pixels]), 1)
    proportions: NDArray[np.float32] = (counts / counts.sum(axis=1, keepdims=True)).astype(np.float32)
    return proportions
