"""Channel purification of MTMSD: select the channels that discriminate classes and timesteps."""

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
from classifiers.heads.layer_reducer import layout_or_one_plane
from classifiers.layout import ColumnGroup, ColumnKind, Layout
from hsifeat.errors import HeadError

PURIFIED_KINDS: tuple[ColumnKind, ...] = ("plane", "mean")


class Purifier(SelectorMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Select the plane channels that best discriminate classes and timesteps.

    The same channels are selected at every timestep. This is the class- and timestep-oriented purification of MTMSD
    (Zhou et al., TGRS 2024, arXiv 2306.08964, sec. III). The function `criterion` gives each channel a value. The
    channels of all layers are compared with each other, and those with the highest values are selected. Channels of
    planes and of their window means are selected separately. All columns of other kinds are kept. Columns must not be
    scaled before purification, because the criterion compares values across timesteps.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single plane]
    channels : int
        Number of channels to select from the planes, and from the window means. If one of the two has fewer channels,
        all its channels are selected. The paper uses 768.
    balance : float
        Lambda of the function `criterion`, from 0 to 1.

    Attributes
    ----------
    criterion_ : dict of str to (I,) float64 array
        Maps the kinds ``plane`` and ``mean`` to the criterion J of the I channels of the kind. Layers have the order
        that they have at the first timestep.
    support_ : (D,) bool array
        Whether each column is selected.
    layout_ : Layout
        Description of the selected columns.

    Examples
    --------
    >>> y = np.arange(40) % 2
    >>> X = np.ones((40, 6))
    >>> X[:, 2] += y
    >>> Purifier(channels=1).fit(X, y).get_support().nonzero()[0].tolist()
    [2]
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
        """Fit the selection to training rows `X` (n, D) and their labels `y` (n,).

        Raises
        ------
        HeadError
            If `X` has more or fewer columns than the layout. If the timesteps have different layers. If `y` has only
            one class. If a parameter is out of range.
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
        for kind in PURIFIED_KINDS:
            columns = timestep_columns(layout, kind)  # (T, I)
            if columns.size:
                self.criterion_[kind] = criterion(means[:, columns], self.balance)
                worst = np.argsort(-self.criterion_[kind], kind="stable")[self.channels :]
                self.support_[columns[:, worst]] = False
        self.layout_ = _selected_layout(layout, self.support_)
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


def criterion(means: NDArray[np.floating], balance: float = 0.8) -> NDArray[np.float64]:
    """Return the purification criterion J of each channel, from class means at each timestep.

    ``J(i) = sum_t [-lambda simC + (1 - lambda) varC]_{t,i} + 1/2 sum_c [-lambda simT + (1 - lambda) varT]_{c,i}``
    (MTMSD, arXiv 2306.08964, sec. III). ``simC`` and ``varC`` are computed over classes, and ``simT`` and ``varT`` over
    timesteps. For this, the means are scaled to the range 0 to 1 over classes or over timesteps. ``sim`` is the product
    of two scaled means, averaged over all pairs. ``var`` is the variance of the scaled means.

    The paper leaves two cases open. Means that do not vary can't be scaled. They count as 1, which gives the worst
    value (sim 1, var 0). With a single timestep, the second sum is left out.

    Parameters
    ----------
    means : (K, T, I) float array
        Unscaled means of K classes, T timesteps and I channels.
    balance : float
        Lambda, from 0 to 1.

    Returns
    -------
    (I,) float64 array
        Criterion of each channel. Channels with higher values are better.
    """
    total: NDArray[np.float64] = _merit(means, 0, balance).sum(axis=0)  # over t
    if means.shape[1] > 1:
        total += 0.5 * _merit(means, 1, balance).sum(axis=0)  # over c
    return total


def timestep_columns(layout: Layout, kind: ColumnKind) -> NDArray[np.intp]:
    """Return the column indices of planes, or of their window means, at each timestep.

    Parameters
    ----------
    layout : Layout
        Description of the columns.
    kind : {"plane", "mean"}
        Kind of the column groups.

    Returns
    -------
    (T, I) intp array
        Indices of the I channels at each of the T timesteps, with the layers in the same order at every timestep. If
        the layout has no groups of this kind, the shape is (0, 0).

    Raises
    ------
    HeadError
        If the layers, or their numbers of channels, differ between timesteps.
    """
    by_time: dict[int, dict[str, ColumnGroup]] = {}
    for group in layout.learned:
        if group.kind == kind and group.t is not None:
            by_time.setdefault(group.t, {})[group.layer_key] = group
    if not by_time:
        return np.empty((0, 0), np.intp)
    times = sorted(by_time)
    layers = {name: group.width for name, group in by_time[times[0]].items()}
    for t in times[1:]:
        others = {name: group.width for name, group in by_time[t].items()}
        if others != layers:
            raise HeadError(
                f"the layers must be the same at each timestep: t{times[0]} has {_format_layers(layers)}; "
                f"t{t} has {_format_layers(others)}"
            )
    return np.stack([layout.columns(*(by_time[t][name] for name in layers)) for t in times])


def _merit(means: NDArray[np.floating], axis: int, balance: float) -> NDArray[np.float64]:
    low, high = means.min(axis=axis, keepdims=True), means.max(axis=axis, keepdims=True)
    # Means of equal values can differ by rounding errors of float32, the widest dtype of cached features.
    varies = high - low > 10 * np.finfo(np.float32).eps * np.maximum(np.abs(low), np.abs(high))
    scaled = np.divide(means - low, high - low, out=np.ones(means.shape), where=varies)
    n = means.shape[axis]
    similarity = (scaled.sum(axis=axis) ** 2 - (scaled**2).sum(axis=axis)) / (n * (n - 1))
    merit: NDArray[np.float64] = -balance * similarity + (1 - balance) * scaled.var(axis=axis)
    return merit


def _selected_layout(layout: Layout, support: NDArray[np.bool_]) -> Layout:
    groups: list[ColumnGroup] = []
    for group in layout:
        width, start = int(support[group.start : group.stop].sum()), groups[-1].stop if groups else 0
        if width:
            groups.append(replace(group, start=start, stop=start + width))
    return Layout(tuple(groups))


def _format_layers(layers: dict[str, int]) -> str:
    return ", ".join(f"{name} ({width})" for name, width in layers.items())
