"""Reduce layers to principal components that all timesteps of a layer share."""

from __future__ import annotations

from collections.abc import Sized
from dataclasses import replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from classifiers.heads.base import check_width
from classifiers.heads.group_reducer import most_components
from classifiers.heads.row_checks import CONSTANT_ERRORS
from classifiers.layout import ColumnGroup, Layout
from classifiers.threads import one_library_thread
from hsifeat.errors import HeadError


def layout_or_one_plane(layout: Layout | None, width: int) -> Layout:
    """Return `layout`, or the layout of a single plane with `width` channels if `layout` is None."""
    return layout or Layout((ColumnGroup("plane", 0, width, 0, "columns"),))


def require_planes(planes: Sized, layout: Layout, head: str) -> None:
    """Raise `HeadError` if a layout contains no planes that a head can use.

    Parameters
    ----------
    planes : collection
        Column groups of planes that the head can use.
    layout : Layout
        Layout of the whole table. The error message names its column groups.
    head : str
        Name of the head that needs planes.
    """
    if not planes:
        groups = ", ".join(dict.fromkeys(map(str, layout))) or "no columns"
        raise HeadError(f"{head} needs planes, the table has {groups}; build it with planes")


def feature_maps(layout: Layout, head: str) -> list[ColumnGroup]:
    """Return the patches of planes of a layout, or its planes if it has no patches. `head` is the name of the head.

    Raises
    ------
    HeadError
        If the layout has neither, or patches of several sizes.
    """
    patches = [group for group in layout.learned if group.kind == "patch"]
    maps = patches or [group for group in layout.learned if group.kind == "plane"]
    require_planes(maps, layout, head)
    sides = sorted({group.size or 1 for group in maps})
    if len(sides) > 1:
        raise HeadError(
            f"{head} takes patches of one size; the table has sides of {' and '.join(map(str, sides))} pixels"
        )
    return maps


class LayerReducer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore[call-arg]
    """Standardise channels, and reduce each layer to principal components that all timesteps share.

    The principal axes are fitted to all timesteps and all pixels of patches together. A component therefore has the same
    meaning at each timestep and pixel. Column groups of kind ``position`` are left out of the output.

    Parameters
    ----------
    layout : Layout or None
        Description of the columns. [default: a single plane]
    components : int or None
        Number of components of each layer, limited to the rank of the rows. None keeps the standardised channels.
    spectral_components : int or None
        Number of components of each spectral column group: the spectra, their window means or their patches. None
        keeps the standardised bands.
    whiten : bool
        If true, each component is scaled to unit variance, and the number of components is limited to half the number
        of distinct rows. If false, all components of a layer are divided by the same number, so that the mean of their
        variances is 1.

    Attributes
    ----------
    layout_ : Layout
        Description of the output columns. The columns of a patch are ordered by row, then column, then component.
    mean_, gain_ : (D,) arrays
        Offset and factor of each column. A column is standardised to ``(column - mean_) * gain_``. The factor of a
        constant column is 0.
    axes_ : dict of str to (k, C) array or None
        Maps the `ColumnGroup.layer_key` of each layer to the k principal axes of the layer. The axes include the
        scaling of the components, see `whiten`. C is the number of channels of the layer. None stands for a layer that
        is not reduced.
    """

    def __init__(
        self,
        layout: Layout | None = None,
        *,
        components: int | None = 64,
        spectral_components: int | None = None,
        whiten: bool = False,
    ) -> None:
        self.layout = layout
        self.components = components
        self.spectral_components = spectral_components
        self.whiten = whiten

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn passes y to every step
        """Fit the reducer to an (n, D) table `X` of training rows. `y` is ignored.

        Raises
        ------
        HeadError
            If `X` has more or fewer columns than the layout. If a number of components is not positive.
        """
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32])
        check_width(self.layout, rows.shape[1])
        self.mean_, self.gain_ = np.zeros(rows.shape[1], rows.dtype), np.zeros(rows.shape[1], rows.dtype)
        self.axes_: dict[str, NDArray[np.floating] | None] = {}
        for name, groups in self._layers().items():
            components = self.spectral_components if groups[0].layer is None else self.components
            for group in groups:
                part = slice(group.start, group.stop)
                self.mean_[part], self.gain_[part] = _standards(rows[:, part], group.patch_pixels)
            if components is None:
                self.axes_[name] = None
            else:
                count = most_components(rows, components) if self.whiten else components
                moments = [_second_moment(self._standard(rows, group), group.patch_pixels) for group in groups]
                self.axes_[name] = _scaled_axes(np.mean(moments, axis=0), count, self.whiten).astype(rows.dtype)
        self.layout_ = self._layout_out()
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Reduce the (n, D) table `X` to the columns that `layout_` describes, in the dtype of `X`."""
        check_is_fitted(self)
        rows: NDArray[np.floating] = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        parts = []
        for group in self._groups():
            part, axes = self._standard(rows, group), self.axes_[group.layer_key]
            if axes is not None:
                channels = part.reshape(len(rows), group.patch_pixels, axes.shape[1])
                part = (channels @ axes.T.astype(rows.dtype, copy=False)).reshape(len(rows), -1)
            parts.append(part)
        return np.hstack(parts)

    def _groups(self) -> list[ColumnGroup]:
        return [g for g in layout_or_one_plane(self.layout, self.n_features_in_) if g.kind != "position"]

    def _layers(self) -> dict[str, list[ColumnGroup]]:
        layers: dict[str, list[ColumnGroup]] = {}
        for group in self._groups():
            layer = layers.setdefault(group.layer_key, [])
            layer.append(group)
            if group.width != layer[0].width:
                raise HeadError(
                    f"{group} has {group.width} columns and {layer[0]} has {layer[0].width}; "
                    "a layer must have the same channels at all timesteps"
                )
        return layers

    def _standard(self, rows: NDArray[np.floating], group: ColumnGroup) -> NDArray[np.floating]:
        part = slice(group.start, group.stop)
        mean, gain = (values[part].astype(rows.dtype, copy=False) for values in (self.mean_, self.gain_))
        standard: NDArray[np.floating] = (rows[:, part] - mean) * gain
        return standard

    def _layout_out(self) -> Layout:
        groups: list[ColumnGroup] = []
        for group in self._groups():
            axes, start = self.axes_[group.layer_key], groups[-1].stop if groups else 0
            width = group.width if axes is None else group.patch_pixels * len(axes)
            groups.append(replace(group, start=start, stop=start + width))
        return Layout(tuple(groups))


def _standards(columns: NDArray[np.floating], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean and the scale factor of each column of a column group, both (D,) float64.

    The column group has `count` pixels per channel. All pixels of a channel share the mean and the scale factor.
    """
    channels = columns.reshape(-1, columns.shape[1] // count)
    mean, spread = (np.tile(statistic(channels, axis=0, dtype=np.float64), count) for statistic in (np.mean, np.std))
    # The deviation of a constant column is a few rounding errors of its value, not zero.
    varies = columns.std(axis=0, dtype=np.float64) > CONSTANT_ERRORS * np.finfo(columns.dtype).eps * np.abs(columns[0])
    return mean, np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)


def _second_moment(columns: NDArray[np.floating], count: int) -> NDArray[np.float64]:
    """Return the mean product of each pair of channels of a column group, (C, C).

    The column group has `count` pixels per channel.
    """
    channels = columns.reshape(-1, columns.shape[1] // count).astype(np.float64)
    with one_library_thread("blas"):  # otherwise the last bits depend on the number of threads
        return channels.T @ channels / len(channels)


def _scaled_axes(moment: NDArray[np.float64], components: int, whiten: bool) -> NDArray[np.float64]:
    """Return scaled principal axes (k, C) of a second moment (C, C).

    With `whiten`, each axis is scaled to unit variance. Otherwise all axes are scaled by one factor, to a mean variance of 1. Axes
    along which the training rows do not vary are dropped, because other rows could vary along them.
    """
    if components < 1:
        raise HeadError(f"a layer can't be reduced to {components} components; give 1 or more, or None to keep all")
    with one_library_thread("blas"):
        powers, vectors = np.linalg.eigh(moment)
    powers, axes = powers[::-1], vectors.T[::-1]
    count = max(1, min(components, int((powers > len(powers) * np.finfo(np.float32).eps * powers[0]).sum())))
    powers, axes = powers[:count], axes[:count]
    axes *= np.sign(axes[np.arange(count), np.abs(axes).argmax(axis=1)])[:, None]
    if powers[0] <= 0:
        return axes
    scaled: NDArray[np.float64] = axes / np.sqrt(powers[:, None] if whiten else powers.mean())
    return scaled
