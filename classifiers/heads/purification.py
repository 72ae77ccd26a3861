"""MTMSD's purification: keep the channels that tell classes and timesteps apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.heads.base import check_width
from classifiers.heads.layer_reducer import layout_or_one_plane, source
from classifiers.layout import ColumnGroup, ColumnKind, Layout
from hsifeat.errors import HeadError

PURIFIED: tuple[ColumnKind, ...] = ("plane", "mean")


class Purifier(SelectorMixin, BaseEstimator):
    """Keep the channels of planes with the highest `criterion`, the same ones at every timestep.

    The class- and timestep-oriented purification of MTMSD (Zhou et al., TGRS 2024, arXiv 2306.08964). A channel is one of
    a layer's; those of all layers stand side by side and compete. Planes are purified, and apart from them their window
    means; other columns pass. The criterion compares values across timesteps, so it takes columns as they are: scale
    after it, not before.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None takes them for a single plane.
    channels : int
        How many are kept of the planes, and as many of the window means; 768 in the paper. All where there are fewer.
    balance : float
        Lambda of the criterion, from 0 to 1: how much likeness counts against spread.

    Attributes
    ----------
    criterion_ : dict of str to (I,) float64 array
        For ``plane`` and ``mean``: J of each channel, layers in the order of the first timestep.
    support_ : (D,) bool array
        Which columns are kept.
    layout_ : Layout
        What the kept columns are.
    """

    def __init__(self, layout: Layout | None = None, *, channels: int = 768, balance: float = 0.8) -> None:
        self.layout = layout
        self.channels = channels
        self.balance = balance

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to training rows `X` ``(n, D)`` and their labels `y` ``(n,)``.

        Raises
        ------
        HeadError
            If the width does not fit the layout, a timestep lacks a layer of another, there is a single class, or a
            parameter is out of range.
        """
        rows, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        check_width(self.layout, rows.shape[1])
        if self.channels < 1:
            raise HeadError(f"purification can't keep {self.channels} channels; give 1 or more")
        if not 0 <= self.balance <= 1:
            raise HeadError(f"the balance of purification is {self.balance}; give a number from 0 to 1")
        classes = np.unique(labels)
        if len(classes) < 2:
            raise HeadError(
                f"all {len(labels)} rows are of one class, {classes.tolist()[0]!r}; purification compares classes"
            )
        layout = layout_or_one_plane(self.layout, rows.shape[1])
        means = np.stack([rows[labels == c].mean(axis=0, dtype=np.float64) for c in classes])  # (K, D)
        self.support_ = np.ones(rows.shape[1], dtype=bool)
        self.criterion_: dict[str, NDArray[np.float64]] = {}
        for kind in PURIFIED:
            columns = timestep_columns(layout, kind)  # (T, I)
            if columns.size:
                self.criterion_[kind] = criterion(means[:, columns], self.balance)
                worst = np.argsort(-self.criterion_[kind], kind="stable")[self.channels :]
                self.support_[columns[:, worst]] = False
        self.layout_ = _kept(layout, self.support_)
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


def criterion(means: NDArray[np.floating], balance: float = 0.8) -> NDArray[np.float64]:
    """Return J of each channel, from the means of each class at each timestep.

    ``J(i) = sum_t [-lambda simC + (1 - lambda) varC]_{t,i} + 1/2 sum_c [-lambda simT + (1 - lambda) varT]_{c,i}``, where
    the means are brought to 0 … 1 over classes (C) or timesteps (T), sim is the mean product of two different ones and
    var their variance. What does not vary over classes, or timesteps, is 0/0 there: it counts as 1 for all, which is the
    worst (sim 1, var 0). With a single timestep the second sum is left out. Both are ours.

    Parameters
    ----------
    means : (K, T, I) float array
        Of K classes, T timesteps and I channels, not scaled.
    balance : float
        Lambda.

    Returns
    -------
    (I,) float64 array
        The higher, the better.
    """
    total: NDArray[np.float64] = _merit(means, 0, balance).sum(axis=0)  # over t
    if means.shape[1] > 1:
        total += 0.5 * _merit(means, 1, balance).sum(axis=0)  # over c
    return total


def timestep_columns(layout: Layout, kind: ColumnKind) -> NDArray[np.intp]:
    """Return the columns ``(T, I)`` of the planes (or of their window means), layers in one order at every timestep.

    Raises
    ------
    HeadError
        If the layers, or how many channels they have, differ between timesteps.
    """
    by_time: dict[int, dict[str, ColumnGroup]] = {}
    for group in layout.learned:
        if group.kind == kind and group.t is not None:
            by_time.setdefault(group.t, {})[source(group)] = group
    if not by_time:
        return np.empty((0, 0), np.intp)
    times = sorted(by_time)
    layers = {name: group.width for name, group in by_time[times[0]].items()}
    for t in times[1:]:
        others = {name: group.width for name, group in by_time[t].items()}
        if others != layers:
            raise HeadError(
                f"the layers must be the same at each timestep: t{times[0]} has {_told(layers)}; t{t} has {_told(others)}"
            )
    return np.stack([layout.columns(*(by_time[t][name] for name in layers)) for t in times])


def _merit(means: NDArray[np.floating], axis: int, balance: float) -> NDArray[np.float64]:
    """Return ``-lambda sim + (1 - lambda) var`` along an axis of the means, brought to 0 … 1 along it."""
    low, high = means.min(axis=axis, keepdims=True), means.max(axis=axis, keepdims=True)
    # Equal values have means that differ by roundings. Features are float32 at most, so that is noise in any case.
    varies = high - low > 10 * np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high))
    scaled = np.divide(means - low, high - low, out=np.ones(means.shape), where=varies)
    n = means.shape[axis]
    likeness = (scaled.sum(axis=axis) ** 2 - (scaled**2).sum(axis=axis)) / (n * (n - 1))
    merit: NDArray[np.float64] = -balance * likeness + (1 - balance) * scaled.var(axis=axis)
    return merit


def _kept(layout: Layout, support: NDArray[np.bool_]) -> Layout:
    """Return what the kept columns are; a group of which none is kept is gone."""
    groups: list[ColumnGroup] = []
    for group in layout:
        width, start = int(support[group.start : group.stop].sum()), groups[-1].stop if groups else 0
        if width:
            groups.append(replace(group, start=start, stop=start + width))
    return Layout(tuple(groups))


def _told(layers: dict[str, int]) -> str:
    return ", ".join(f"{name} ({width})" for name, width in layers.items())
