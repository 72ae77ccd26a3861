"""Reduced columns of every pixel of a scene: computed once, then mapped into memory.

A head makes the same map from the reduced columns as from the features in the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.block_prediction import block_side_px
from classifiers.columns import make_layout, read_columns
from classifiers.defaults import DEFAULT_HEAD
from classifiers.heads.group_reducer import GroupReducer
from classifiers.heads.registry import head_class, head_names, make_head
from classifiers.heads.sklearn_head import SklearnHead
from classifiers.input_sets import InputSet, check_input, layout_options, suited_input
from classifiers.labelling.kept_arrays import Arrays, KeptArrays
from classifiers.labelling.pixel_order import STEPS, order_pixels, pixel_levels
from classifiers.layout import Layout
from classifiers.reduction import SAMPLE_PIXELS
from classifiers.scene_sample import SceneSample, readable_pixels
from classifiers.smoothing import SceneGuide
from hsifeat.errors import HeadError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.features.scene_set import single_stores
from hsifeat.formatting import format_value
from hsifeat.mapped_arrays import create_array
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, check_listener, silent
from hsifeat.types import windows

# Increase this number when a change of the code changes the values. It is part of the digest.
_VERSION = 1
_TASK = "columns"


@dataclass(frozen=True, eq=False)
class SceneColumns:
    """Reduced columns of all pixels of a scene that have features.

    The arrays can't be changed, since the cache keeps what is computed from them.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the scene.
    inputs : str
        Input set that the columns belong to, see `InputSet`.
    layout : Layout
        Description of the columns before the reduction.
    reducer : GroupReducer
        Fitted reducer of the columns.
    values : (n, k) float32 array
        Output of the reducer for each pixel, mapped into memory.
    pixels : (n,) int64 array
        Flat index ``row * cols + col`` of the pixel in each row of `values`. The pixels are in the order of
        `order_pixels`.
    guide : (rows, cols, channels) float32 array
        Image of the scene for smoothing and superpixels, see `SceneGuide`; 0 at invalid pixels.
    kept : KeptArrays
        Folder in the cache that keeps the arrays.
    keys : tuple of str
        Keys of the stores from which the columns were computed.
    """

    shape: tuple[int, int]
    inputs: str
    layout: Layout
    reducer: GroupReducer
    values: NDArray[np.float32]
    pixels: NDArray[np.int64]
    guide: NDArray[np.float32]
    kept: KeptArrays
    keys: tuple[str, ...]

    def __post_init__(self) -> None:
        for array in (self.values, self.pixels, self.guide):
            array.flags.writeable = False

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """Mask of the pixels that have features, a (rows, cols) bool array."""
        mask = np.zeros(self.shape, np.bool_)
        mask.ravel()[self.pixels] = True
        mask.flags.writeable = False
        return mask

    @cached_property
    def row_of_pixel(self) -> NDArray[np.int32]:
        """For each pixel, the number of its row in `values`; -1 if the pixel has no features.

        A (rows * cols,) int32 array in row-major order.
        """
        rows = np.full(self.shape[0] * self.shape[1], -1, np.int32)
        rows[self.pixels] = np.arange(len(self.pixels), dtype=np.int32)
        rows.flags.writeable = False
        return rows

    @cached_property
    def row_counts(self) -> dict[int, int]:
        """Maps each step s in `STEPS` to the number of pixels whose row and column are multiples of s.

        If there are n such pixels, their values are the first n rows of `values`.
        """
        levels = pixel_levels(self.pixels, self.shape[1])
        return {step: int(np.searchsorted(levels, level, side="right")) for level, step in enumerate(STEPS)}


def quick_heads() -> list[str]:
    """Return the sorted names of the heads that learn from reduced columns in a fraction of a second.

    >>> quick_heads()
    ['lda', 'logistic', 'random-forest']
    """
    return [name for name in head_names() if issubclass(head_class(name), SklearnHead)]


def open_scene_columns(
    features: Features,
    head: str = DEFAULT_HEAD,
    *,
    inputs: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    listen: Listener = silent,
) -> SceneColumns:
    """Return the reduced columns of a scene, and compute them if the cache lacks them.

    The columns are kept in the cache folder, and are deleted together with the first store. If several processes need the
    columns at the same time, only one process computes them.

    Parameters
    ----------
    features : Features
        Features of one or several stores of a scene, see `hsifeat.features.stack.open_stack`. With a context store,
        maps are more accurate.
    head : str
        Head that will learn from the columns, one of `quick_heads`. The reduction has the default parameters of this
        head.
    inputs : str, optional
        Input set, see `InputSet`. [default: `suited_input`]
    planes : sequence, optional
        Planes to use from all stores except context stores, see `Features.select`. [default: all]
    listen : callable
        Callback for progress events, which count pixels.

    Returns
    -------
    SceneColumns
        Reduced columns of all pixels that have features.

    Raises
    ------
    HsifeatError
        If the head is not one of `quick_heads`. If the stores lack planes of the input set. If the disk is full.

    Examples
    --------
    >>> import hsifeat
    >>> columns = open_scene_columns(hsifeat.open_features("fields.zarr"))
    >>> columns.values.shape == (75 * 53, columns.reducer.n_features_out)
    True
    """
    check_listener(listen)
    if not isinstance(head, str) or head not in quick_heads():
        raise HeadError(
            f"maps while labelling need a head that fits at once: {', '.join(quick_heads())}; found {format_value(head)}: for other heads, "
            "export the labels and run hsifeat fit"
        )
    input_set = suited_input(head, features) if inputs is None else InputSet.parse(str(inputs))
    check_input(input_set, head, features)
    layout = make_layout(
        features,
        planes=planes if input_set.uses_planes else [],
        **layout_options([input_set], features),
    ).select_groups(input_set.includes)
    reducer = make_head(head, layout).unfitted_reducer()  # type: ignore[attr-defined]  # a SklearnHead
    used = [f"t{group.t}/{group.layer}" for group in layout.stored]
    options = {name: value for name, value in reducer.get_params().items() if name != "layout"}
    facts = (_VERSION, SAMPLE_PIXELS, features.fingerprint(used), layout.to_json(), sorted(options.items()))
    kept = KeptArrays(features.kept_folder / f"columns-{sha256(repr(facts).encode()).hexdigest()[:32]}")
    arrays = kept.get(lambda folder: _write_columns(features, layout, reducer, folder, listen))
    rows, cols, _ = features.shape
    return SceneColumns(
        shape=(rows, cols),
        inputs=str(input_set),
        layout=layout,
        reducer=_restore_reducer(reducer, arrays),
        values=np.asarray(arrays["values"], np.float32),
        pixels=np.array(arrays["pixels"], np.int64),
        guide=np.array(arrays["guide"], np.float32),
        kept=kept,
        keys=tuple(store.key for store in single_stores(features)),
    )


def _write_columns(features: Features, layout: Layout, reducer: GroupReducer, folder: Path, listen: Listener) -> None:
    """Write the arrays of `SceneColumns` into a folder. `reducer` is fitted first, as `hsifeat fit` does."""
    rows, cols, _ = features.shape
    listen(Started(_TASK, rows * cols, "pixels"))
    reducer.fit(SceneSample.draw(features, layout).X)
    for name, array in _reducer_arrays(reducer).items():
        np.save(folder / f"{name}.npy", array)
    guide = SceneGuide.from_features(features)
    for note in guide.notes:
        listen(Note(f"smoothing: {note}"))
    mask = readable_pixels(features, layout)
    pixels = order_pixels(mask)
    row_of_pixel = np.full(rows * cols, -1, np.int64)
    row_of_pixel[pixels] = np.arange(len(pixels))
    np.save(folder / "pixels.npy", pixels)
    values = create_array(folder / "values.npy", (len(pixels), reducer.n_features_out), "float32")
    image, done = [], 0
    for window in windows(rows, cols, block_side_px(layout)):
        at = np.argwhere(mask[window.slices]) + np.array([window.row, window.col])
        if len(at):
            columns = read_columns(features, layout, at[:, 0], at[:, 1])
            values[row_of_pixel[at[:, 0] * cols + at[:, 1]]] = reducer.transform(columns)
        image.append((window, guide.read(window).astype(np.float32)))
        done += window.rows * window.cols
        listen(Advanced(_TASK, done))
    whole = np.zeros((rows, cols, image[0][1].shape[2]), np.float32)
    for window, part in image:
        whole[window.slices] = part
    np.save(folder / "guide.npy", whole)
    listen(Finished(_TASK))


def _reducer_arrays(reducer: GroupReducer) -> dict[str, NDArray[np.generic]]:
    """Return the fitted attributes of a reducer as arrays by name. A group of columns that is not reduced has no array of basis vectors."""
    arrays: dict[str, NDArray[np.generic]] = {"mean": reducer.mean_, "gain": reducer.gain_}
    for group, (columns, basis) in enumerate(zip(reducer.columns_, reducer.bases_, strict=True)):
        arrays[f"group{group}"] = columns
        if basis is not None:
            arrays[f"basis{group}"] = basis
    return arrays


def _restore_reducer(unfitted: GroupReducer, arrays: Arrays) -> GroupReducer:
    reducer = GroupReducer(**unfitted.get_params())
    groups = sum(name.startswith("group") for name in arrays)
    reducer.mean_, reducer.gain_ = np.array(arrays["mean"]), np.array(arrays["gain"])
    reducer.columns_ = [np.array(arrays[f"group{group}"]) for group in range(groups)]
    bases = [arrays.get(f"basis{group}") for group in range(groups)]
    reducer.bases_ = [None if basis is None else np.array(basis) for basis in bases]
    reducer.n_features_in_ = len(reducer.mean_)
    return reducer
