"""Maps of a scene, or of the visible part of a scene, that are computed while people label the scene."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.defaults import DEFAULT_HEAD, DEFAULT_SMOOTHING
from classifiers.heads.registry import as_head_params, make_head
from classifiers.heads.row_checks import check_unmasked
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.labelling.column_prediction import predict_columns
from classifiers.labelling.guided_filter import GuidedFilter
from classifiers.labelling.map_checks import checked_labels
from classifiers.labelling.pixel_order import STEPS, GridView
from classifiers.labelling.scene_columns import SceneColumns, quick_heads
from classifiers.smoothing import ProbabilityTile, SmoothingRule, parse_smoothing
from classifiers.smoothing.guided import GuidedSmoothing
from classifiers.threads import one_library_thread
from hsifeat.errors import HeadError
from hsifeat.formatting import format_value
from hsifeat.runtime.events import Event, Listener, Note, silent
from hsifeat.types import Window, as_int, check_window


@dataclass(frozen=True, eq=False)
class QuickMap:
    """Map of a scene or of a part of it.

    Attributes
    ----------
    window : Window
        Mapped part of the scene.
    step : int
        Distance in scene pixels between neighbouring pixels of the map; 1 for full resolution. The map has the rows and columns of
        the scene that are multiples of `step` and lie in `window`.
    classes : (rows, cols) uint16 array
        Class numbers; 0 at pixels without features.
    confidence : (rows, cols) float32 array
        Probability of the class in `classes`; 0 at pixels without features.
    notes : tuple of str
        Notes on the smoothing.
    """

    window: Window
    step: int
    classes: NDArray[np.uint16]
    confidence: NDArray[np.float32]
    notes: tuple[str, ...] = ()


class QuickMapper:
    """Fits a head on labelled pixels and maps the scene. Both together take a fraction of a second.

    The mapped classes equal those from `classifiers.fit_model` and `classifiers.predict_map` with the same labels,
    inputs, head and smoothing. The methods are thread-safe.

    Parameters
    ----------
    columns : SceneColumns
        Columns of the scene, from `open_scene_columns` with the same `head`.
    head : str
        Name of the head, one of `quick_heads`.
    params : mapping, optional
        Parameters of the head, by name. Parameters of the reduction have no effect, because `columns` are reduced
        already. [default: the defaults of the head]
    smooth : str
        Rule that smooths the class probabilities, see `classifiers.parse_smoothing`.

    Raises
    ------
    HsifeatError
        If a name or a parameter is unknown. If `columns` are reduced for another head.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> features = hsifeat.open_features("fields.zarr")
    >>> mapper = QuickMapper(open_scene_columns(features))
    >>> labels = np.where(np.random.default_rng(0).random((75, 53)) < 0.02, features.labels().classes, 0)
    >>> head = mapper.fit(labels)
    >>> mapper.predict(head, step=2).classes.shape, mapper.predict(head).classes.shape
    ((38, 27), (75, 53))
    """

    def __init__(
        self,
        columns: SceneColumns,
        head: str = DEFAULT_HEAD,
        *,
        params: Mapping[str, Any] | None = None,
        smooth: str = DEFAULT_SMOOTHING,
    ) -> None:
        if not isinstance(head, str) or head not in quick_heads():
            raise HeadError(
                f"maps while labelling need one of the heads {', '.join(quick_heads())}; found {format_value(head)}"
            )
        self.columns = columns
        self.rule = parse_smoothing(smooth)
        self._head_options = head, as_head_params(params)
        self._lock = threading.Lock()
        self._fitted: tuple[bytes, SklearnHead] | None = None
        self._filters: dict[int, GuidedFilter] = {}
        self._prepared: set[int] = set()
        make_head(head, columns.layout, **self._head_options[1])
        default_head = make_head(head, columns.layout)
        assert isinstance(default_head, SklearnHead)  # noqa: S101  # one of quick_heads
        if default_head.unfitted_reducer().get_params() != columns.reducer.get_params():
            raise HeadError(
                f"the columns are reduced for another head than {head}: open them with open_scene_columns(features, {head!r})"
            )

    def fit(self, classes: NDArray[np.integer]) -> SklearnHead:
        """Fit the head on the labelled pixels of a scene. Calls in a row with the same labels return the same head.

        Parameters
        ----------
        classes : (rows, cols) integer array
            Class of each pixel; 0 is unlabelled.

        Returns
        -------
        SklearnHead
            The fitted head. It can also predict from columns that are not reduced.

        Raises
        ------
        HeadError
            If fewer than two classes are labelled. If no class has two or more labelled pixels. If the shape of
            `classes` is not the shape of the scene. If a label is masked, or is not a whole number from 0 to 65535.
        """
        classes = checked_labels(classes, self.columns.shape)
        pixels = np.flatnonzero(classes)
        rows = self.columns.row_of_pixel[pixels]
        labels = classes.ravel()[pixels][rows >= 0]
        rows = rows[rows >= 0]
        key = rows.tobytes() + labels.tobytes()
        with self._lock:
            if self._fitted is not None and self._fitted[0] == key:
                return self._fitted[1]
        head = self.fit_rows(rows, labels)
        with self._lock:
            self._fitted = key, head
        return head

    def fit_rows(self, rows: NDArray[np.integer], labels: NDArray[np.integer]) -> SklearnHead:
        """Fit the head on some rows of `SceneColumns.values`; see `fit`.

        `rows` is an (n,) integer array of row numbers, and `labels` is an (n,) integer array of the classes of these
        rows.

        Raises
        ------
        HeadError
            If there are fewer than two classes. If there are not more rows than classes. If a value is masked or no integer.
            If a row number is out of range.
        """
        check_unmasked(labels=labels)
        rows, labels = _row_numbers(rows, len(self.columns.values)), np.asarray(labels)
        if labels.shape != rows.shape or labels.dtype.kind not in "iu":
            raise HeadError(f"labels are a whole number for each of the {len(rows)} rows; found {format_value(labels)}")
        name, params = self._head_options
        classes = len(set(labels.tolist()))
        if classes < 2:
            raise HeadError("a map needs labels of two classes at least: label a pixel of another class")
        if len(labels) <= classes:
            raise HeadError(
                f"a map needs more labels than classes; found one pixel for each of {classes}: label a second one of any class"
            )
        head = make_head(name, self.columns.layout, **params)
        assert isinstance(head, SklearnHead)  # noqa: S101  # one of quick_heads
        # For so few rows, several threads of BLAS wait for each other longer than one thread computes.
        with one_library_thread("blas"):
            return head.fit_reduced(self.columns.values[rows], labels, self.columns.reducer)

    def prepare(self, window: Window, step: int = 1) -> None:
        """Compute what all maps of `window` share, so that the first map is as fast as later maps.

        The method has an effect only if the window, with the margin that the smoothing needs, covers the whole scene.
        See `predict` for `step`.
        """
        columns = self.columns
        rule, grid = self._grid(window, step)
        if not grid.is_whole or step in self._prepared:
            return
        self._prepared.add(step)
        if isinstance(rule, GuidedSmoothing):
            self._filter(grid, step, columns.mask[grid.slices], rule)
        columns.values[: columns.row_counts[step]].max(initial=0)

    def predict(
        self,
        head: SklearnHead,
        *,
        window: Window | None = None,
        step: int = 1,
        check: Callable[[], None] = lambda: None,
    ) -> QuickMap:
        """Map a part of the scene.

        Parameters
        ----------
        head : SklearnHead
            A head from `fit` of this mapper, or of another mapper with the same columns.
        window : Window, optional
            Part of the scene. [default: the whole scene]
        step : int
            One of `pixel_order.STEPS`. The rows and columns of the scene that are multiples of `step` are mapped. With a step above 1, only the
            smoothing rule ``guided`` has an effect. Its radius is divided by the step and rounded, but is at least one
            pixel of the map.
        check : callable
            Function that is called repeatedly during the work. It can raise an exception to stop the work.

        Raises
        ------
        HeadError
            If the head was fitted on columns of another scene or of other stores, or on columns that are reduced for another
            head. If `step` is not one of `pixel_order.STEPS`.
        StoreError
            If the window reaches beyond the scene.
        """
        window = window or Window(0, 0, *self.columns.shape)
        notes: list[str] = []

        def listen(event: Event) -> None:
            notes.extend([event.message] if isinstance(event, Note) else [])

        grid, mask, p = self._smoothed(head, window, step, check, listen)
        p, mask = p[:, grid.inner[0], grid.inner[1]], mask[grid.inner]
        classes = np.where(mask, head.classes_.astype(np.uint16)[p.argmax(axis=0)], np.uint16(0))
        return QuickMap(window, step, classes, np.asarray(p.max(axis=0) * mask, np.float32), tuple(notes))

    def scene_probabilities(self, head: SklearnHead, step: int = 1) -> NDArray[np.float32]:
        """Return the smoothed class probabilities of the scene, as a (C, rows, cols) float32 array.

        The probabilities are 0 at pixels without features. See `predict` for `head` and `step`.
        """
        return self._smoothed(head, Window(0, 0, *self.columns.shape), step, lambda: None)[2]

    def probabilities(
        self, head: SklearnHead, rows: NDArray[np.integer], *, check: Callable[[], None] = lambda: None
    ) -> NDArray[np.float32]:
        """Return the smoothed class probabilities of some rows of `SceneColumns.values`, as an (n, C) float32 array.

        `head` is a result of `fit` or `fit_rows`. `rows` is an (n,) integer array of row numbers. See `predict` for
        `check`.
        """
        rows = _row_numbers(rows, len(self.columns.values))
        row, col = np.divmod(self.columns.pixels[rows], self.columns.shape[1])
        if isinstance(self.rule, GuidedSmoothing):
            side = 2 * self.rule.reach_px + 1
            if len(rows) * side**2 < len(self.columns.pixels):
                return self._probabilities_around(head, row, col, self.rule, check)
        p = self._smoothed(head, Window(0, 0, *self.columns.shape), 1, check)[2]
        return np.ascontiguousarray(p[:, row, col].T)

    def _predict(
        self, head: SklearnHead, rows: slice | NDArray[np.integer], check: Callable[[], None]
    ) -> NDArray[np.float32]:
        """Predict class probabilities of rows of `columns`; raise `HeadError` if the head was fitted on other columns."""
        if head.reducer_ is not self.columns.reducer and not head.reducer_.equals(self.columns.reducer):
            raise HeadError(
                "the head was fitted on columns of another scene or of other stores, or on columns that are reduced for another head: "
                "fit it with this mapper, or map with predict_map"
            )
        return predict_columns(head, self.columns.values[rows], check)

    def _probabilities_around(
        self,
        head: SklearnHead,
        row: NDArray[np.int64],
        col: NDArray[np.int64],
        rule: GuidedSmoothing,
        check: Callable[[], None],
    ) -> NDArray[np.float32]:
        """Return the smoothed probabilities of a few pixels, (n, C) float32, from the surroundings of each pixel only.

        Surroundings extend to the reach of `rule`. The surroundings of all pixels are stacked vertically in one image.
        """
        columns, reach = self.columns, rule.reach_px
        offsets = np.arange(-reach, reach + 1)
        near_row = (row[:, None, None] + offsets[:, None] + 0 * offsets).reshape(-1, len(offsets))
        near_col = (col[:, None, None] + 0 * offsets[:, None] + offsets).reshape(-1, len(offsets))
        mask = (near_row >= 0) & (near_row < columns.shape[0]) & (near_col >= 0) & (near_col < columns.shape[1])
        mask[mask] = columns.mask[near_row[mask], near_col[mask]]
        pixels = near_row[mask] * columns.shape[1] + near_col[mask]
        unique, place = np.unique(columns.row_of_pixel[pixels], return_inverse=True)
        p = np.zeros((len(head.classes_), *mask.shape), np.float32)
        p[:, mask] = self._predict(head, unique, check)[place].T
        guide = np.zeros((*mask.shape, columns.guide.shape[2]), np.float32)
        guide[mask] = columns.guide.reshape(-1, guide.shape[2])[pixels]
        smoothed = GuidedFilter(guide, mask, rule.radius, rule.epsilon).smooth(p, check)
        return np.ascontiguousarray(smoothed[:, reach :: len(offsets), reach].T)

    def _smoothed(
        self,
        head: SklearnHead,
        window: Window,
        step: int,
        check: Callable[[], None],
        listen: Listener = silent,
    ) -> tuple[GridView, NDArray[np.bool_], NDArray[np.float32]]:
        """Return a grid, the (rows, cols) mask of grid pixels with features, and the class probabilities (C, rows, cols)."""
        columns = self.columns
        rule, grid = self._grid(window, step)
        mask = columns.mask[grid.slices]
        if grid.is_whole:  # the pixels of the grid are the first rows of `columns`
            rows: slice | NDArray[np.int32] = slice(0, columns.row_counts[step])
            row, col = (at // step for at in np.divmod(columns.pixels[rows], columns.shape[1]))
        else:
            row, col = np.nonzero(mask)
            rows = columns.row_of_pixel.reshape(columns.shape)[grid.slices][row, col]
        p = np.zeros((len(head.classes_), *mask.shape), np.float32)
        p[:, row, col] = self._predict(head, rows, check).T
        if isinstance(rule, GuidedSmoothing):
            p = self._filter(grid, step, mask, rule).smooth(p, check)
        elif rule is not None:
            guide = (columns.guide[grid.slices] * mask[..., None]).astype(np.float64)
            values = np.moveaxis(p, 0, 2).astype(np.float64)
            tile = ProbabilityTile(values, mask, guide, grid.slices[0].start, grid.slices[1].start, listen)
            p = np.moveaxis(rule.smooth(tile), 2, 0).astype(np.float32) * mask
        return grid, mask, p

    def _grid(self, window: Window, step: int) -> tuple[SmoothingRule | None, GridView]:
        """Return the smoothing rule in pixels of a grid, and the grid with the margin that this rule needs."""
        check_window(window, *self.columns.shape)
        if as_int(step) not in STEPS:
            raise HeadError(f"the step of a map is one of {', '.join(map(str, STEPS))}; found {format_value(step)}")
        rule = self.rule
        if isinstance(rule, GuidedSmoothing):
            rule = replace(rule, radius=max(round(rule.radius / step), 1))
        elif step > 1:
            rule = None
        reach = 0 if rule is None else rule.reach_px
        return rule, GridView.of_window(window, self.columns.shape, step, None if reach is None else reach * step)

    def _filter(self, grid: GridView, step: int, mask: NDArray[np.bool_], rule: GuidedSmoothing) -> GuidedFilter:
        """Return the guided filter of a grid. Filters for the whole scene are kept for later calls."""
        if grid.is_whole and step in self._filters:
            return self._filters[step]
        guide = self.columns.guide[grid.slices] * mask[..., None]
        made = GuidedFilter(guide, mask, rule.radius, rule.epsilon)
        if grid.is_whole:
            self._filters[step] = made
        return made


def _row_numbers(rows: object, count: int) -> NDArray[np.intp]:
    """Return numbers of `count` table rows as an (n,) intp array; raise `HeadError` if they are something else or masked."""
    check_unmasked(rows=rows)
    numbers = np.asarray(rows)
    if numbers.ndim != 1 or (numbers.size and numbers.dtype.kind not in "iu"):
        raise HeadError(f"row numbers are a list of integers; found {format_value(rows)}")
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) >= count:
        raise HeadError(f"rows have numbers from 0 to {count - 1}; found {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.intp)
