"""Columns as layers seen at several timesteps: standardised channel by channel, reduced alike at every timestep."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from classifiers.heads.base import check_width
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError


def layout_or_one_plane(layout: Layout | None, width: int) -> Layout:
    """Return the layout, or that of a single plane of `width` channels where nothing is known of the columns."""
    return layout or Layout((ColumnGroup("plane", 0, width, 0, "columns"),))


def require_planes(found: Sized, layout: Layout, head: str) -> None:
    """Raise `HeadError`, with what the layout has, if nothing was found in it."""
    if not found:
        has = ", ".join(dict.fromkeys(map(str, layout))) or "no columns"
        raise HeadError(f"{head} needs planes, the table has {has}; build it with planes")


def source(group: ColumnGroup) -> str:
    """Name what a group shows, without its timestep: ``up_blocks.1``, ``up_blocks.1 mean 5x5``, ``spectra``."""
    name = group.layer or "spectra"
    return name if group.size is None else f"{name} {group.kind} {group.size}x{group.size}"


def pixels(group: ColumnGroup) -> int:
    """Return how many pixels a group shows of each channel."""
    return group.size**2 if group.kind == "patch" and group.size else 1


class LayerReducer(TransformerMixin, BaseEstimator):
    """Standardise each channel of each group, and reduce each layer to axes that its timesteps share.

    The axes are the principal ones of all timesteps (and pixels of a patch) together, so that a component means the same
    at each of them. Components of a layer have a variance of 1 on average. Positions are left out.

    Parameters
    ----------
    layout : Layout or None
        Which columns are what; None takes them for a single plane.
    components : int or None
        Components kept of a layer, fewer where the fitted rows have no more; None keeps the standardised channels.
    spectral_components : int or None
        The same for spectra, their window means and their patches.

    Attributes
    ----------
    layout_ : Layout
        What the columns are that come out. Patches keep their order: row of the window, column of the window, component.
    mean_, gain_ : (D,) array
        What is taken from a column, and what it is then multiplied by: 0 for a constant column.
    axes_ : dict of str to (k, C) array or None
        For each `source`: axes, scaled; None where it is not reduced.
    """

    def __init__(
        self, layout: Layout | None = None, *, components: int | None = 64, spectral_components: int | None = None
    ) -> None:
        self.layout = layout
        self.components = components
        self.spectral_components = spectral_components

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn passes y to every step
        """Fit to training rows `X` ``(n, D)``; labels are not looked at.

        Raises
        ------
        HeadError
            If the width does not fit the layout or a number of components is not positive.
        """
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32])
        check_width(self.layout, rows.shape[1])
        self.mean_, self.gain_ = np.zeros(rows.shape[1], rows.dtype), np.zeros(rows.shape[1], rows.dtype)
        self.axes_: dict[str, NDArray[np.floating] | None] = {}
        for name, groups in self._sources().items():
            kept = self.spectral_components if groups[0].layer is None else self.components
            for group in groups:
                part = slice(group.start, group.stop)
                self.mean_[part], self.gain_[part] = _standards(rows[:, part], pixels(group))
            if kept is None:
                self.axes_[name] = None
            else:
                moments = [_second_moment(self._standard(rows, group), pixels(group)) for group in groups]
                self.axes_[name] = _scaled_axes(np.mean(moments, axis=0), kept).astype(rows.dtype)
        self.layout_ = self._layout_out()
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return rows `X` ``(n, D)`` as the columns that `layout_` names, in the dtype of `X`."""
        check_is_fitted(self)
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        parts = []
        for group in self._groups():
            part, axes = self._standard(rows, group), self.axes_[source(group)]
            if axes is not None:
                channels = part.reshape(len(rows), pixels(group), axes.shape[1])
                part = (channels @ axes.T.astype(rows.dtype, copy=False)).reshape(len(rows), -1)
            parts.append(part)
        return np.hstack(parts)

    def _groups(self) -> list[ColumnGroup]:
        return [g for g in layout_or_one_plane(self.layout, self.n_features_in_) if g.kind != "position"]

    def _sources(self) -> dict[str, list[ColumnGroup]]:
        found: dict[str, list[ColumnGroup]] = {}
        for group in self._groups():
            same = found.setdefault(source(group), [])
            same.append(group)
            if group.width != same[0].width:
                raise HeadError(
                    f"{group} has {group.width} columns and {same[0]} has {same[0].width}; "
                    "a layer must have the same channels at all timesteps"
                )
        return found

    def _standard(self, rows: NDArray[np.floating], group: ColumnGroup) -> NDArray[np.floating]:
        part = slice(group.start, group.stop)
        mean, gain = (of[part].astype(rows.dtype, copy=False) for of in (self.mean_, self.gain_))
        standard: NDArray[np.floating] = (rows[:, part] - mean) * gain
        return standard

    def _layout_out(self) -> Layout:
        groups: list[ColumnGroup] = []
        for group in self._groups():
            axes, start = self.axes_[source(group)], groups[-1].stop if groups else 0
            width = group.width if axes is None else pixels(group) * len(axes)
            groups.append(replace(group, start=start, stop=start + width))
        return Layout(tuple(groups))


def _standards(columns: NDArray[np.floating], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and gain of each column of a group whose channels have `count` pixels, the same for a channel's pixels."""
    channels = columns.reshape(-1, columns.shape[1] // count)
    mean, spread = (np.tile(of(channels, axis=0, dtype=np.float64), count) for of in (np.mean, np.std))
    # A constant column has a spread of a few roundings of its value, not of zero.
    varies = columns.std(axis=0, dtype=np.float64) > 10 * np.finfo(columns.dtype).eps * np.abs(columns[0])
    return mean, np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)


def _second_moment(columns: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Return the mean product ``(C, C)`` of each two of a group's channels, which have `count` pixels each."""
    channels = columns.reshape(-1, columns.shape[1] // count).astype(np.float64)
    with threadpool_limits(1, user_api="blas"):  # the bits would depend on the number of threads
        return channels.T @ channels / len(channels)


def _scaled_axes(moment: NDArray[np.float64], components: int) -> NDArray[np.float64]:
    """Return principal axes ``(k, C)`` of a second moment ``(C, C)``, scaled to components of a variance of 1 on average.

    Axes along which the fitted rows do not vary are left out: other rows may.
    """
    if components < 1:
        raise HeadError(f"a layer can't be reduced to {components} components; give 1 or more, or None to keep all")
    with threadpool_limits(1, user_api="blas"):
        powers, vectors = np.linalg.eigh(moment)
    powers, axes = powers[::-1], vectors.T[::-1]
    kept = max(1, min(components, int((powers > len(powers) * np.finfo(np.float32).eps * powers[0]).sum())))
    powers, axes = powers[:kept], axes[:kept]
    axes *= np.sign(axes[np.arange(kept), np.abs(axes).argmax(axis=1)])[:, None]
    return axes / np.sqrt(powers.mean()) if powers[0] > 0 else axes
