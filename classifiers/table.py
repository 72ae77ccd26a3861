"""The table that heads learn from: one row a pixel, columns named by a layout, read from a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import make_layout, read_columns
from classifiers.layout import ColumnGroup, Layout
from classifiers.multi_scene import check_alike, under_each_other
from hsifeat.errors import StoreError
from hsifeat.features.features import Features, PlaneLike, open_features
from hsifeat.features.stack import StoreLike, open_together
from hsifeat.scenes import Labels

if TYPE_CHECKING:
    from classifiers.splits import BoundSplit


def pick_labels(features: Features, name: str | None = None) -> Labels:
    """Return a label map of a store by name; None takes the only one, or ``train`` and ``test`` as one where they are all."""
    from classifiers.splits import both_sides

    together = both_sides(features.scene.labels) if name is None else None
    return features.labels(name) if together is None else together


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
        Where each pixel lies in its scene.
    scene : (n,) integer array
        Which scene each pixel lies in, from 0: the groups of scikit-learn's `LeaveOneGroupOut`.
    layout : Layout
        What the columns are.
    labels : Labels
        The label map that the pixels come from. Those of several scenes lie under each other, far apart.
    scene_names : tuple of str
        Name of each scene.
    tops : tuple of int
        Row of `labels` in which each scene begins.
    maps : mapping of str to Labels
        All label maps of the scene, for the split ``official``.
    """

    X: NDArray[np.float32]
    y: NDArray[np.integer]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    scene: NDArray[np.intp]
    layout: Layout
    labels: Labels
    scene_names: tuple[str, ...]
    tops: tuple[int, ...] = (0,)
    maps: Mapping[str, Labels] = field(default_factory=dict)

    @classmethod
    def from_store(
        cls,
        store: StoreLike | Sequence[StoreLike] | None = None,
        *,
        labels: str | Labels | None = None,
        planes: Sequence[PlaneLike] | None = None,
        spectra: bool = True,
        window: int | None = None,
        spectral_patch: int | None = None,
        means: int | None = None,
        patch: int | None = None,
        position: bool = False,
    ) -> PixelTable:
        """Read the labelled pixels of stores.

        Stores of one scene stand side by side, see `hsifeat.features.stack.Stack`. Scenes stand under each other: classes of one
        name are one class, numbered as in the first scene. Each scene's stores are given in the same order.

        Parameters
        ----------
        store : str, Path, Features or a sequence of them, optional
            Each as `open_features` takes it; left out, the store completed last.
        labels : str or Labels, optional
            Name of a label map in the store, or a label map of a single scene; by default as `pick_labels` takes it.
        planes, spectra, window, spectral_patch, means, patch, position
            As `make_layout` takes them.

        Raises
        ------
        StoreError
            No such store, plane or labels, labels of another shape, labelled pixels that the store does not list, scenes
            that do not go together, or a table larger than the machine's memory.
        """
        found = _by_scene(store)
        check_alike(found, planes=any(features.select(planes) for features in found), spectra=spectra or bool(window))
        if len(found) > 1 and isinstance(labels, Labels):
            raise StoreError(f"{len(found)} scenes can't have one label map: name a map that each store has")
        tables: list[PixelTable] = []
        for features in found:
            chosen = features.usable(labels if isinstance(labels, Labels) else pick_labels(features, labels))
            layout = make_layout(
                features,
                spectra=spectra,
                window=window,
                spectral_patch=spectral_patch,
                planes=planes,
                means=means,
                patch=patch,
                position=position,
            )
            if tables and layout != tables[0].layout:
                raise StoreError(
                    f"{features.name} has other columns than {found[0].name}: "
                    f"{_first_difference(layout, tables[0].layout)}; name planes that each has"
                )
            rows, cols = np.nonzero(chosen.classes)
            if not len(rows):
                raise StoreError(f"the labels {chosen.name!r} have no labelled pixel")
            tables.append(
                cls(
                    X=read_columns(features, layout, rows, cols, keep=True),
                    y=chosen.classes[rows, cols],
                    rows=rows,
                    cols=cols,
                    scene=np.zeros(len(rows), np.intp),
                    layout=layout,
                    labels=chosen,
                    scene_names=(features.scene.name,),
                    maps=features.scene.labels,
                )
            )
        return tables[0] if len(tables) == 1 else under_each_other(tables)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> PixelTable:
        """Take rows by mask, indices or slice."""
        return replace(
            self,
            X=self.X[rows],
            y=self.y[rows],
            rows=self.rows[rows],
            cols=self.cols[rows],
            scene=self.scene[rows],
        )

    def take(self, keep: Callable[[ColumnGroup], bool]) -> PixelTable:
        """Take the column groups that `keep` says yes to; a copy with a layout of its own."""
        columns = self.layout.columns(*filter(keep, self.layout))
        return replace(self, X=np.ascontiguousarray(self.X[:, columns]), layout=self.layout.take(keep))

    @property
    def at(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of each pixel on the grid of `labels`: (n,) integer arrays."""
        return self.rows + np.array(self.tops, np.intp)[self.scene], self.cols

    @property
    def pixels(self) -> NDArray[np.intp]:
        """Number of each row's pixel, counted along the rows of `labels`: (n,) integer array."""
        rows, cols = self.at
        return np.asarray(rows * self.labels.classes.shape[1] + cols, np.intp)

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
        return BoundSplit(rule, self.labels, *self.at, self.X, n_splits, seed)


def _by_scene(store: StoreLike | Sequence[StoreLike] | None) -> list[Features]:
    """Open stores, those of one scene side by side, in the order in which scenes come first."""
    given = [store] if store is None or isinstance(store, StoreLike) else list(store)
    scenes: dict[str, list[Features]] = {}
    for one in given or [None]:
        features = one if isinstance(one, Features) else open_features(one)
        scenes.setdefault(str(features.recipe["scene"]), []).append(features)
    return [open_together(stores) for stores in scenes.values()]


def _first_difference(layout: Layout, other: Layout) -> str:
    """Tell the first group that two layouts do not share."""
    for mine, theirs in zip_longest(layout, other):
        if mine != theirs:
            return " where the other has ".join("nothing" if g is None else f"{g} ({g.width})" for g in (mine, theirs))
    return "nothing"
