"""What a table's columns are made of: a layout over what a store holds, and its values at pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.types import PlaneId


def make_layout(
    features: Features,
    *,
    spectra: bool = True,
    window: int | None = None,
    spectral_patch: int | None = None,
    planes: Sequence[PlaneLike] | None = None,
    means: int | None = None,
    patch: int | None = None,
    position: bool = False,
) -> Layout:
    """Lay out columns over what a store holds.

    Parameters
    ----------
    features : Features
        The store.
    spectra : bool
        Whether the spectra come first.
    window : int, optional
        Add the spectra's means over windows of this side.
    spectral_patch : int, optional
        Add the spectra of the neighbourhood of this side, odd; see `Features.patches`.
    planes : sequence, optional
        As `Features.select` takes them; None takes all, an empty sequence none.
    means : int, optional
        Add each plane's means over windows of this side, MTMSD's global features, as a group ``mean`` behind the plane's
        own. A store that lists pixels has those of `Features.window_px`.
    patch : int, optional
        Add each plane's neighbourhood of this side, odd, as a group ``patch`` behind those: ``patch**2`` times its columns.
    position : bool
        Whether row and column of the pixel come last.
    """
    groups: list[ColumnGroup] = []

    def add(width: int, **facts: Any) -> None:
        start = groups[-1].stop if groups else 0
        groups.append(ColumnGroup(start=start, stop=start + width, **facts))

    bands = features.shape[2]
    if spectra:
        add(bands, kind="spectra")
    if window:
        add(bands, kind="mean", size=window)
    if spectral_patch:
        add(bands * spectral_patch**2, kind="patch", size=spectral_patch)
    for plane in features.select(planes):
        source = {"t": plane.id.t, "layer": plane.id.layer}
        add(plane.channels, kind="plane", **source)
        if means:
            add(plane.channels, kind="mean", size=means, **source)
        if patch:
            add(plane.channels * patch**2, kind="patch", size=patch, **source)
    if position:
        add(2, kind="position")
    if not groups:
        raise StoreError(f"{features.name} gives no columns: ask for spectra, a window or planes")
    return Layout(tuple(groups))


def read_columns(
    features: Features, layout: Layout, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool = False
) -> NDArray[np.float32]:
    """Read the columns of a layout at pixels, a group at a time.

    Parameters
    ----------
    features : Features
        The store.
    layout : Layout
        What to read.
    rows, cols : (n,) integer arrays
        Pixels of the scene.
    keep : bool
        As `Features.sample` takes it. Neighbourhoods are not kept: they are large.

    Returns
    -------
    (n, width) float32 array

    Raises
    ------
    StoreError
        A table that is larger than the machine's memory, or what the store does not have.
    """
    _check_fits(len(rows), layout)
    table = np.empty((len(rows), layout.width), np.float32)
    for group in layout:
        table[:, group.start : group.stop] = _read_group(features, group, rows, cols, keep=keep)
    return table


def size_bytes(rows: int, layout: Layout) -> int:
    """Return the size of a table in bytes."""
    return rows * layout.width * np.dtype(np.float32).itemsize


def _read_group(
    features: Features, group: ColumnGroup, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool
) -> NDArray[np.float32]:
    if group.kind == "position":
        return np.stack([rows, cols], axis=1).astype(np.float32)
    plane = None if group.layer is None or group.t is None else PlaneId(group.t, group.layer)
    if group.kind == "patch":
        side = group.size or 1
        found = (
            features.spectral_patches(rows, cols, side)
            if plane is None
            else features.patches(rows, cols, side, [plane])
        )
        return found.reshape(len(rows), group.width)
    pool = group.size if group.kind == "mean" else None
    if plane is None:
        return features.spectra(rows, cols, pool=pool)
    return features.sample(rows, cols, [plane], pool=pool, keep=keep)


def _check_fits(rows: int, layout: Layout) -> None:
    """Refuse a table that is larger than the machine's memory."""
    needed = size_bytes(rows, layout)
    if needed > _memory_bytes():
        largest = max(layout, key=lambda group: group.width)
        raise StoreError(
            f"a table of {rows} pixels and {layout.width} columns takes {needed / 1e9:.1f} GB, more than the memory of "
            f"{_memory_bytes() / 1e9:.1f} GB: take fewer planes or smaller neighbourhoods (the widest group is {largest}, "
            f"of {largest.width} columns)"
        )


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
