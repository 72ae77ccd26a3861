"""The table that heads learn from: one row a pixel, columns named by a layout, read from a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import StoreError
from hsifeat.features import Features, PlaneLike, open_features
from hsifeat.scenes import Labels
from hsifeat.types import PlaneId

if TYPE_CHECKING:
    from classifiers.splits import BoundSplit

WINDOW_PX = 5


def make_layout(
    features: Features,
    *,
    spectra: bool = True,
    window: int | None = None,
    planes: Sequence[PlaneLike] | None = None,
    means: int | None = None,
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
    planes : sequence, optional
        As `Features.select` takes them; None takes all, an empty sequence none.
    means : int, optional
        Add each plane's means over windows of this side, MTMSD's global features, as a group ``mean`` behind the plane's
        own. A store that lists pixels has those of `Features.window_px`.
    """
    groups: list[ColumnGroup] = []

    def add(width: int, **facts: Any) -> None:
        start = groups[-1].stop if groups else 0
        groups.append(ColumnGroup(start=start, stop=start + width, **facts))

    if spectra:
        add(features.shape[2], kind="spectra")
    if window:
        add(features.shape[2], kind="mean", size=window)
    for plane in features.select(planes):
        add(plane.channels, kind="plane", t=plane.id.t, layer=plane.id.layer)
        if means:
            add(plane.channels, kind="mean", t=plane.id.t, layer=plane.id.layer, size=means)
    if not groups:
        raise StoreError(f"{features.name} gives no columns: ask for spectra, a window or planes")
    return Layout(tuple(groups))


def pick_labels(features: Features, name: str | None = None) -> Labels:
    """Return a label map of a store by name; None takes the only one, or ``train`` and ``test`` as one where they are all."""
    from classifiers.splits import both_sides

    together = both_sides(features.scene.labels) if name is None else None
    return features.labels(name) if together is None else together


def read_columns(
    features: Features, layout: Layout, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool = False
) -> NDArray[np.float32]:
    """Read the columns of a layout at pixels: (n, width) float32; `keep` as `Features.sample` takes it."""
    table = np.empty((len(rows), layout.width), np.float32)
    for group in layout:
        table[:, group.start : group.stop] = _read_group(features, group, rows, cols, keep=keep)
    return table


def _read_group(
    features: Features, group: ColumnGroup, rows: NDArray[np.intp], cols: NDArray[np.intp], *, keep: bool
) -> NDArray[np.float32]:
    pool = group.size if group.kind == "mean" else None
    if group.layer is None or group.t is None:
        return features.spectra(rows, cols, pool=pool)
    return features.sample(rows, cols, [PlaneId(group.t, group.layer)], pool=pool, keep=keep)


@dataclass(frozen=True, eq=False)
class PixelTable:
    """Labelled pixels as rows.

    Attributes
    ----------
    X : (n, width) float32 array
        Columns as `layout` names them.
    y : (n,) integer array
        Class of each pixel, never 0.
    rows, cols : (n,) integer arrays
        Where each pixel lies.
    layout : Layout
        What the columns are.
    labels : Labels
        The label map that the pixels come from.
    maps : mapping of str to Labels
        All label maps of the scene, for the split ``official``.
    """

    X: NDArray[np.float32]
    y: NDArray[np.integer]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    layout: Layout
    labels: Labels
    maps: Mapping[str, Labels] = field(default_factory=dict)

    @classmethod
    def from_store(
        cls,
        store: str | Path | Features | None = None,
        *,
        labels: str | Labels | None = None,
        planes: Sequence[PlaneLike] | None = None,
        spectra: bool = True,
        window: int | None = None,
        means: int | None = None,
    ) -> PixelTable:
        """Read the labelled pixels of a store.

        Parameters
        ----------
        store : str, Path or Features, optional
            As `open_features` takes it.
        labels : str or Labels, optional
            Name of a label map in the store, or a label map; by default as `pick_labels` takes it.
        planes, spectra, window, means
            As `make_layout` takes them.

        Raises
        ------
        StoreError
            No such store, plane or labels, labels of another shape, or labelled pixels that the store does not list.
        """
        features = store if isinstance(store, Features) else open_features(store)
        chosen = features.usable(labels if isinstance(labels, Labels) else pick_labels(features, labels))
        layout = make_layout(features, spectra=spectra, window=window, planes=planes, means=means)
        rows, cols = np.nonzero(chosen.classes)
        if not len(rows):
            raise StoreError(f"the labels {chosen.name!r} have no labelled pixel")
        columns = read_columns(features, layout, rows, cols, keep=True)
        return cls(columns, chosen.classes[rows, cols], rows, cols, layout, chosen, features.scene.labels)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> PixelTable:
        """Take rows by mask, indices or slice."""
        return replace(self, X=self.X[rows], y=self.y[rows], rows=self.rows[rows], cols=self.cols[rows])

    def take(self, keep: Callable[[ColumnGroup], bool]) -> PixelTable:
        """Take the column groups that `keep` says yes to; a copy with a layout of its own."""
        columns = self.layout.columns(*filter(keep, self.layout))
        return replace(self, X=np.ascontiguousarray(self.X[:, columns]), layout=self.layout.take(keep))

    @property
    def pixels(self) -> NDArray[np.intp]:
        """Number of each row's pixel, counted along the scene's rows: (n,) integer array."""
        return np.asarray(self.rows * self.labels.classes.shape[1] + self.cols, np.intp)

    def cv(self, split: str, n_splits: int = 5, *, seed: int = 0) -> BoundSplit:
        """Return a scikit-learn splitter over this table's rows, or over some of them where it is nested.

        Parameters
        ----------
        split : str
            Such as ``blocks:12+4:0.1``; see `classifiers.splits.parse_split`.
        n_splits : int
            How many draws.
        seed : int
            Seed of the first; the following ones count up.
        """
        from classifiers.splits import BoundSplit, parse_split

        rule = parse_split(split, self.maps)
        return BoundSplit(rule, self.labels, self.rows, self.cols, self.X, n_splits, seed)
