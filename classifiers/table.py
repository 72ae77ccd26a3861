"""The pixel table that heads are trained on: one row per labelled pixel, with columns described by a layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.columns import make_layout, read_columns
from classifiers.layout import ColumnGroup, Layout, first_difference
from classifiers.multi_scene import (
    check_same_recipes,
    common_class_numbers,
    merge_label_maps,
    note_plane_facts,
    scene_row_offsets,
    select_scene_labels,
)
from classifiers.scene_sample import SceneSample
from classifiers.splits import SplitCV, parse_split
from classifiers.table_matching import check_distinct_scenes, check_same_columns, check_selection
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.scene_set import SceneSet, open_scenes
from hsifeat.features.selection import plane_names
from hsifeat.features.stack import StoreLike
from hsifeat.formatting import format_count, list_some
from hsifeat.objects_with_arrays import ReadOnlyArrays
from hsifeat.runtime.events import Listener, check_listener, silent
from hsifeat.scenes import Labels
from hsifeat.scenes.band_matching import names_of_bands
from hsifeat.types import check_switches


@dataclass(frozen=True, eq=False)
class PixelTable(ReadOnlyArrays):
    """Labelled pixels of one or several scenes as rows of a table.

    Attributes
    ----------
    X : (n, width) float32 array
        Input values; `layout` describes the columns.
    y : (n,) integer array
        Class number of each pixel in `labels`, never 0. Read-only. To train on other classes, such as merged ones, read the
        table with a changed label map, see the argument `labels` of `from_store`.
    rows, cols : (n,) intp arrays
        Position of each pixel in its scene. Read-only.
    scene : (n,) intp array
        Index of the scene of each pixel, from 0. Read-only. The array can be the argument `groups` of scikit-learn's
        `LeaveOneGroupOut`.
    layout : Layout
        Description of the columns.
    labels : Labels
        Label map of the pixels. The maps of several scenes are stacked vertically on one grid, with gaps between them.
    scene_aliases : tuple of tuple of str
        Names that select each scene in a split, such as those of its stores. The first one is its name in reports.
    scene_row_offsets : tuple of int
        First row of each scene in `labels`.
    label_maps : mapping of str to Labels
        Label maps that all scenes have, by name, without those that differ between the stores of a scene.
    sample : SceneSample or None
        Random pixels of the scenes; None if they were not read.
    wavelengths_nm : (bands,) float64 array or None
        Centre wavelengths of the spectra of the first scene in nm; None if unknown.
    options : mapping of str to object
        Options of the extraction of the planes, see `Features.options`.
    scene_digests : tuple of str
        Digest of each scene, as in the recipes of its stores; empty if unknown.
    band_names : tuple of str
        Names of the bands of the first scene, see `hsifeat.scenes.band_matching.names_of_bands`; empty if unknown.

    Raises
    ------
    StoreError
        If the arrays have different lengths. If `y` differs from the classes of the pixels in `labels`.

    Examples
    --------
    >>> table = PixelTable.from_store("fields.zarr", planes=["t300/up_blocks.2"])
    >>> table.X.shape, table.y.shape
    ((2478, 20), (2478,))
    """

    X: NDArray[np.float32]
    y: NDArray[np.integer]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    scene: NDArray[np.intp]
    layout: Layout
    labels: Labels
    scene_aliases: tuple[tuple[str, ...], ...]
    scene_row_offsets: tuple[int, ...] = (0,)
    label_maps: Mapping[str, Labels] = field(default_factory=dict)
    sample: SceneSample | None = None
    wavelengths_nm: NDArray[np.float64] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    scene_digests: tuple[str, ...] = ()
    band_names: tuple[str, ...] = ()
    _read_only = ("y", "rows", "cols", "scene")

    def __post_init__(self) -> None:
        if len(lengths := {len(one) for one in (self.X, self.y, self.rows, self.cols, self.scene)}) > 1:
            raise StoreError(f"the arrays of a table have one row per pixel; found the lengths {sorted(lengths)}")
        if differing := np.count_nonzero(self.labels.classes[self.coordinates] != self.y):
            raise StoreError(
                f"{differing} of {format_count(len(self.y), 'row')} of the table have another class than their pixels in the labels "
                f"{self.labels.name!r}, from which splits are drawn: read the table with `labels=Labels(name, classes)` of the changed map"
            )
        self._set_read_only()

    @classmethod
    def from_store(
        cls,
        store: SceneSet | StoreLike | Sequence[StoreLike] | None = None,
        *,
        labels: str | Labels | None = None,
        background_class: int | None = None,
        context: Sequence[PlaneLike] | None = None,
        planes: Sequence[PlaneLike] | None = None,
        spectra: bool = True,
        window: int | None = None,
        spectral_patch: int | Sequence[int] | None = None,
        means: int | None = None,
        patch: int | Sequence[int] | None = None,
        position: bool = False,
        sample: bool = False,
        listen: Listener = silent,
    ) -> PixelTable:
        """Read the labelled pixels of one or several stores into a table.

        Stores of the same scene add columns. Stores of different scenes add rows. The classes of different scenes are
        matched by name, and numbered as in the first scene. Bands are matched by wavelength, see
        `hsifeat.scenes.band_matching.match_bands`.

        Parameters
        ----------
        store : SceneSet, str, Path, Features or a sequence of them, optional
            Stores in any form that `hsifeat.open_features` accepts. [default: the store that was completed last]
        labels : str or Labels, optional
            Name of a label map in the stores, or a label map. If a label map has several scenes, they must be stacked
            vertically, see `PixelTable.labels`. [default: see `classifiers.multi_scene.select_labels`]
        background_class : int, optional
            Class number to give to the pixels that are 0 in the label map. [default: 0 means unlabelled]
        context : sequence, optional
            Planes to include from context stores, in any form that `planes` accepts. [default: all]
        planes : sequence, optional
            Planes (timestep and layer) to include from all other stores, see `Features.select`; an empty sequence
            includes none. [default: all]
        spectra : bool
            Include the spectrum of each pixel.
        window : int, optional
            Include the mean spectrum over a window with this side in pixels.
        spectral_patch : int or sequence of int, optional
            Side of a square neighbourhood in pixels, an odd number. The spectra of the neighbourhood are included. For
            several sides, one neighbourhood per side is included.
        means : int, optional
            Include the mean of each plane over a window with this side in pixels. Context planes get no means.
        patch : int or sequence of int, optional
            Side of a square neighbourhood in pixels, an odd number. The values of each plane in the neighbourhood are
            included. For several sides, one neighbourhood per side is included. Context planes get no neighbourhoods.
        position : bool
            Include row and column of each pixel.
        sample : bool
            Also read the features of up to 5,000 random valid pixels of each scene without labels, see `unlabelled`.
        listen : callable
            Receives notes on bands and channels that may be paired wrongly between scenes.

        Returns
        -------
        PixelTable
            The table, with one row per labelled pixel.

        Raises
        ------
        StoreError
            If a store, plane or label map does not exist. If no valid pixel is labelled. If a side is out of range. If
            `means` or `patch` is set, but no plane is selected except context planes. If the stores of two scenes differ in
            kind, recipe or columns. If a scene shares a class number, but no class name, with the scenes before it. If the
            table does not fit in memory.
        SceneError
            If a label map has another shape than its scene. If `background_class` is already a class of the map. If a
            scene lacks a band of the first scene.

        Examples
        --------
        >>> table = PixelTable.from_store("fields.zarr", planes=[], window=5)
        >>> [str(group) for group in table.layout]
        ['spectra', 'spectra mean 5x5']
        """
        check_switches(sample=sample, spectra=spectra)
        check_listener(listen)
        context, planes = plane_names(context), plane_names(planes)
        scenes = open_scenes(store)
        uses_planes = any(
            features.select(selection, context=kind)
            for features in scenes.scenes
            for selection, kind in ((context, True), (planes, False))
        )
        if uses_planes:
            check_same_recipes(scenes.scenes)
        if reads_bands := spectra or window is not None or spectral_patch is not None:
            scenes = scenes.with_matched_bands(listen)
        tables: list[PixelTable] = []
        label_maps = select_scene_labels(scenes, labels, background_class, listen=listen)
        for features, label_map, names in zip(scenes.scenes, label_maps, scenes.aliases, strict=True):
            layout = make_layout(
                features,
                spectra=spectra,
                window=window,
                spectral_patch=spectral_patch,
                context=context,
                planes=planes,
                means=means,
                patch=patch,
                position=position,
            )
            if tables and layout != tables[0].layout:
                raise StoreError(
                    f"{features.name} has other columns than {scenes.first.name}: "
                    f"{first_difference(layout, tables[0].layout)}; name planes that each store has with `planes`, or extract "
                    "the missing ones with `like` the store that has them"
                )
            table = cls._from_scene(features, label_map, layout, names)
            tables.append(replace(table, sample=SceneSample.draw(features, layout)) if sample else table)
        note_plane_facts(scenes.scenes, tables[0].layout.plane_names, listen, scales=not reads_bands)
        return cls._join(tables)

    @classmethod
    def concatenate(cls, tables: Sequence[PixelTable], *, listen: Listener = silent) -> PixelTable:
        """Join tables of different scenes into one table.

        The tables must have the same layout, the same bands in the same order, and planes of the same recipe. Their
        classes are matched by name. To match bands by wavelength, read all scenes together with `from_store`, which also
        detects two copies of one scene if the tables have no spectra.

        Parameters
        ----------
        tables : sequence of PixelTable
            The tables, one per scene.
        listen : callable
            Receives notes on bands that may be paired wrongly between scenes.

        Returns
        -------
        PixelTable
            The table of all scenes. Its scenes and rows have the order of `tables`.

        Raises
        ------
        StoreError
            If there are no tables. If two tables have other columns, bands or recipes. If a table shares a class number,
            but no class name, with the tables before it. If two classes of a table have the same name. If two tables are of
            one scene, because splits would treat them as two scenes. If a table already has several scenes.
        """
        check_listener(listen)
        if not tables:
            raise StoreError("no tables: give one or more")
        for other in tables[1:]:
            check_same_columns(tables[0], other, listen)
        if len(tables) > 1 and (joined := next((one for one in tables if len(one.scene_aliases) > 1), None)):
            raise StoreError(
                f"a table has the scenes {', '.join(joined.scene_names)} already: join the tables of all scenes in one call, or read "
                "them with `from_store([...])`"
            )
        check_distinct_scenes(tables)
        return cls._join(tables)

    @classmethod
    def _join(cls, tables: Sequence[PixelTable]) -> PixelTable:
        if len(tables) == 1:
            return tables[0]
        maps = [table.labels for table in tables]
        offsets, numbers = scene_row_offsets(maps), common_class_numbers(maps)
        aliases = [table.scene_aliases[0] for table in tables]
        labels = merge_label_maps(maps, offsets, numbers, aliases)
        merged = {}
        for name in sorted(set.intersection(*(set(table.label_maps) for table in tables))):
            with suppress(StoreError):  # The stores of a scene have different maps of this name.
                same_name = [table.label_maps[name] for table in tables]
                merged[name] = merge_label_maps(same_name, offsets, numbers, aliases)
        samples = [table.sample for table in tables if table.sample is not None]
        return cls(
            X=np.concatenate([table.X for table in tables]),
            y=np.concatenate(
                [labels.classes[table.rows + row, table.cols] for table, row in zip(tables, offsets, strict=True)]
            ),
            rows=np.concatenate([table.rows for table in tables]),
            cols=np.concatenate([table.cols for table in tables]),
            scene=np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
            layout=tables[0].layout,
            labels=labels,
            scene_aliases=tuple(aliases),
            scene_row_offsets=tuple(offsets),
            label_maps=merged,
            sample=SceneSample.concatenate(samples) if len(samples) == len(tables) else None,
            wavelengths_nm=tables[0].wavelengths_nm,
            band_names=tables[0].band_names,
            options=tables[0].options,
            scene_digests=tuple(digest for table in tables for digest in table.scene_digests),
        )

    @classmethod
    def _from_scene(cls, features: Features, labels: Labels, layout: Layout, names: tuple[str, ...]) -> PixelTable:
        rows, cols = np.nonzero(labels.classes)
        return cls(
            X=read_columns(features, layout, rows, cols, keep=True),
            y=labels.classes[rows, cols],
            rows=rows,
            cols=cols,
            scene=np.zeros(len(rows), np.intp),
            layout=layout,
            labels=labels,
            scene_aliases=(names,),
            label_maps=features.label_maps,
            wavelengths_nm=features.scene.wavelengths_nm,
            band_names=names_of_bands(features.scene),
            options=features.options,
            scene_digests=(str(features.recipe["scene"]),),
        )

    def __len__(self) -> int:
        return len(self.y)

    def __repr__(self) -> str:
        size = f"{format_count(len(self), 'pixel')}, {format_count(self.layout.width, 'column')}"
        return f"<PixelTable {list_some(self.scene_names)}: {size}>"

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> PixelTable:
        """Return a table with some rows only. `rows` is a mask, an array of indices or a slice."""
        check_selection(rows)
        try:
            return replace(self, **{name: getattr(self, name)[rows] for name in ("X", "y", "rows", "cols", "scene")})
        except IndexError as error:
            raise HsifeatError(f"a mask or indices do not fit a table of {len(self)} rows: {error}") from error

    @property
    def scene_names(self) -> tuple[str, ...]:
        """Name of each scene."""
        return tuple(names[0] for names in self.scene_aliases)

    def select_groups(self, keep: Callable[[ColumnGroup], bool]) -> PixelTable:
        """Return a table with only the column groups for which `keep` returns True."""
        layout = self.layout.select_groups(keep)
        columns = self.layout.columns(*filter(keep, self.layout))
        sample = None if self.sample is None else self.sample.select_columns(columns)
        X = np.ascontiguousarray(self.X[:, columns])
        return replace(self, X=X, layout=layout, sample=sample)

    @property
    def unlabelled(self) -> NDArray[np.float32] | None:
        """Values of the pixels in `sample`, for `Head.fit`: (m, width) float32 array; None if `sample` is None.

        The sampled pixels of a scene that has no row in the table are left out.
        """
        return None if self.sample is None else self.sample.of_scenes(np.unique(self.scene))

    @property
    def coordinates(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column in `labels`, for each pixel of the table: two (n,) intp arrays."""
        return self.rows + np.array(self.scene_row_offsets, np.intp)[self.scene], self.cols

    @property
    def positions(self) -> NDArray[np.intp]:
        """Row and column in `labels`, for each pixel of the table: (n, 2) intp array, an argument of `Head.fit`."""
        return np.stack(self.coordinates, axis=1)

    @property
    def pixels(self) -> NDArray[np.intp]:
        """Flat index in `labels`, for each pixel of the table: (n,) intp array."""
        rows, cols = self.coordinates
        return np.asarray(rows * self.labels.classes.shape[1] + cols, np.intp)

    def cv(self, split: str, n_splits: int = 5, *, seed: int = 0) -> SplitCV:
        """Return a scikit-learn cross-validation splitter for the rows of this table.

        The splitter also works on a subset of the rows, as in nested cross-validation.

        Parameters
        ----------
        split : str
            A split such as ``blocks:12+4:0.1``; see `parse_split`.
        n_splits : int
            Number of draws of training and test rows.
        seed : int
            Seed of the first draw; each further draw has the next seed.

        Examples
        --------
        >>> from sklearn.model_selection import cross_val_score
        >>> from classifiers import make_head
        >>> table = PixelTable.from_store("fields.zarr", planes=[])
        >>> head = make_head("lda", table.layout)
        >>> len(cross_val_score(head, table.X, table.y, cv=table.cv("blocks:12+4:0.1")))
        5
        """
        return SplitCV(parse_split(split, self.label_maps), self.labels, *self.coordinates, self.X, n_splits, seed)
