"""Choose the columns of a pixel table and read their values from a store of cached features."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.formatting import format_bytes, format_count
from hsifeat.runtime.resources import total_bytes
from hsifeat.types import PlaneId, as_int, check_switches


def make_layout(
    features: Features,
    *,
    spectra: bool = True,
    window: int | None = None,
    spectral_patch: int | Sequence[int] | None = None,
    context: Sequence[PlaneLike] | None = None,
    planes: Sequence[PlaneLike] | None = None,
    means: int | None = None,
    patch: int | Sequence[int] | None = None,
    position: bool = False,
) -> Layout:
    """Choose the columns of a pixel table and return their layout.

    A plane is the feature map of one timestep and one layer of the diffusion model. A context plane is the feature map of one
    layer of a context store, such as the means over a window or a morphological profile.

    Parameters
    ----------
    features : Features
        Cached features of one store or several stores.
    spectra : bool
        Include the spectrum of the pixel, as the first columns.
    window : int, optional
        Include the mean spectrum over a window with this side in pixels.
    spectral_patch : int or sequence of int, optional
        Include the spectra of all pixels in a square neighbourhood. The value is its side in pixels, an odd number. For
        several sides, include one neighbourhood of each side.
    context, planes : sequence, optional
        Planes to include: `context` selects from context stores, and `planes` from all other stores; see `Features.select`.
        An empty sequence includes none. [default: all]
    means : int, optional
        Include the mean of each plane over a window with this side in pixels, as in the global features of MTMSD.
        Context planes get no means. The means follow the columns of their plane, as a group of kind ``mean``. For a store
        of listed pixels (``--pixels``), the only possible side is the one that `Features.window_px` returns.
    patch : int or sequence of int, optional
        Include the values of each plane in a square neighbourhood. The value is its side in pixels, an odd number. For
        several sides, include one neighbourhood of each side. Context planes get no neighbourhoods. The
        ``side**2 * channels`` columns of a neighbourhood form a group of kind ``patch``, which follows the plane and
        its mean.
    position : bool
        Include row and column of the pixel, as the last two columns.

    Returns
    -------
    Layout
        The chosen columns, in groups.

    Raises
    ------
    StoreError
        If the options select no column. If `means` or `patch` is set, but no plane is selected except context planes. If an
        option has a wrong type. If a side is not a positive number of pixels. If a plane does not exist.
    """
    check_switches(spectra=spectra, position=position)
    groups: list[ColumnGroup] = []

    def add(width: int, **attributes: Any) -> None:
        start = groups[-1].stop if groups else 0
        groups.append(ColumnGroup(start=start, stop=start + width, **attributes))

    def add_source(
        channels: int, kind: str, means: tuple[int, ...] = (), patches: tuple[int, ...] = (), **source: Any
    ) -> None:
        if kind:
            add(channels, kind=kind, **source)
        for side in means:
            add(channels, kind="mean", size=side, **source)
        for side in patches:
            add(channels * side**2, kind="patch", size=side, **source)

    stored = features.select(planes, context=False)
    plane_sides = _sides("means", means), _sides("patch", patch)
    _check_planes(features.name, stored, plane_sides)
    add_source(
        features.shape[2],
        "spectra" if spectra else "",
        _sides("window", window),
        _sides("spectral_patch", spectral_patch),
    )
    for plane in features.select(context, context=True):
        add_source(plane.channels, "context", t=plane.id.t, layer=plane.id.layer)
    for plane in stored:
        add_source(plane.channels, "plane", *plane_sides, t=plane.id.t, layer=plane.id.layer)
    if position:
        add(2, kind="position")
    if not groups:
        raise StoreError(f"{features.name} gives no columns: include spectra, a window, context or planes")
    return Layout(tuple(groups))


def _check_planes(name: str, planes: Sequence[Any], sides: Iterable[tuple[int, ...]]) -> None:
    """Raise `StoreError` if windows or neighbourhoods of planes are wanted, but no plane is selected."""
    if any(sides) and not planes:
        raise StoreError(
            f"{name}: means and patch add no column, because no plane is selected except those of context stores: leave them out, or select planes with `planes`"
        )


def _sides(name: str, value: Any) -> tuple[int, ...]:
    """Return the sides in an option of `make_layout` as a tuple, which is empty for None.

    Options for neighbourhoods, whose names end in ``patch``, may have several sides, all odd.

    Raises
    ------
    StoreError
        If the value is something else. The message starts with `name`.
    """
    is_patch = name.endswith("patch")
    several = is_patch and isinstance(value, Sequence) and not isinstance(value, str)
    sides = tuple(map(as_int, value if several else [value]))
    if value is None:
        return ()
    if any(side is None or side < 1 or (is_patch and side % 2 == 0) for side in sides):
        allowed = "odd numbers of pixels" if is_patch else "a whole number of pixels, 1 or more"
        raise StoreError(f"{name} is {allowed}, or None for no such columns; found {value!r}")
    return cast(tuple[int, ...], sides)


def read_columns(
    features: Features, layout: Layout, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool = False
) -> NDArray[np.float32]:
    """Read the values of all columns of a layout at some pixels.

    Parameters
    ----------
    features : Features
        Cached features of one store or several stores.
    layout : Layout
        The columns to read.
    rows, cols : (n,) intp arrays
        Rows and columns of the pixels in the scene.
    keep : bool
        Whether to keep the values of planes and their window means in the sample cache, so that a repeated call is
        faster. Neighbourhoods are large and are never cached.

    Returns
    -------
    (n, width) float32 array
        Values of the columns of `layout`, one row per pixel.

    Raises
    ------
    StoreError
        If the table does not fit in memory. If the store lacks a column, or has another number of bands or channels than `layout`.
    """
    _check_memory(len(rows), layout)
    table = np.empty((len(rows), layout.width), np.float32)
    for group in layout:
        values = _read_group(features, group, rows, cols, keep=keep)
        if values.shape[1] != group.width:  # NumPy would repeat a single column
            raise StoreError(
                f"{features.name} has {format_count(values.shape[1], 'column')} of {group}, and {group.width} are expected: use the bands and "
                "planes of the store that the head was fitted on, or fit it anew"
            )
        table[:, group.start : group.stop] = values
    return table


def table_bytes(rows: int, layout: Layout) -> int:
    """Return the size in bytes of a float32 table with `rows` rows and the columns of `layout`."""
    return rows * layout.width * np.dtype(np.float32).itemsize


def _read_group(
    features: Features, group: ColumnGroup, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool
) -> NDArray[np.float32]:
    if group.kind == "position":
        return np.stack([rows, cols], axis=1).astype(np.float32)
    plane = None if group.layer is None or group.t is None else PlaneId(group.t, group.layer)
    if group.kind == "patch":
        side = group.size or 1
        patches = (
            features.spectral_patches(rows, cols, side)
            if plane is None
            else features.patches(rows, cols, side, [plane])
        )
        return patches.reshape(len(rows), math.prod(patches.shape[1:]))
    pool = group.size if group.kind == "mean" else None
    if plane is None:
        return features.spectra(rows, cols, pool=pool)
    return features.sample(rows, cols, [plane], pool=pool, keep=keep)


def _check_memory(rows: int, layout: Layout) -> None:
    needed, memory = table_bytes(rows, layout), total_bytes()
    if needed > memory:
        widest = max(layout, key=lambda group: group.width)
        raise StoreError(
            f"a table of {rows} pixels and {layout.width} columns takes {format_bytes(needed)}, more than the memory of "
            f"{format_bytes(memory)}: use fewer planes or smaller neighbourhoods (the widest group is {widest}, of "
            f"{widest.width} columns)"
        )
