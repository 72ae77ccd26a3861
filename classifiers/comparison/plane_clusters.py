"""Panels of planes: what a backbone sees of a scene at each layer and timestep, as k-means paints it.

GeoDiffNet (arXiv 2512.03430, figure 5) shows its features so: each plane is clustered alone, with as many clusters as
the scene has classes. Clusters have no names, so a panel takes the numbers of its neighbour where they cover the same
ground: a field keeps its colour from panel to panel as long as it stays one cluster.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.model import Panel
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features, PlaneLike

if TYPE_CHECKING:
    import dask.array

MAX_CLUSTERS = 255
_SIDE_CELLS = 500
_SAMPLE_BYTES = 2**26


def draw_panels(
    features: Features, planes: Sequence[PlaneLike] | None = None, *, clusters: int, seed: int = 0
) -> list[Panel]:
    """Cluster each plane alone at its own resolution.

    Parameters
    ----------
    features : Features
        A store whose planes cover the scene.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    clusters : int
        Clusters of a panel, 1 to 255: as many as there are classes. A plane of fewer different values gets fewer.
    seed : int
        Seed of k-means.

    Returns
    -------
    list of Panel
        Sorted by layer, in the order of the store, and timestep. ``classes`` is ``(rows, cols)`` uint8: clusters from 1,
        0 where the scene holds nothing. Of a plane of more than 500 cells a side every n-th is taken. None where the
        store lists pixels: they make no picture.

    Raises
    ------
    HsifeatError
        A number of clusters that is not allowed.
    """
    if not 1 <= clusters <= MAX_CLUSTERS:
        raise HsifeatError(f"a panel of {clusters} clusters: allowed are 1 to {MAX_CLUSTERS}")
    if features.window_px is not None:
        return []
    chosen = features.select(planes)
    layers = list(dict.fromkeys(plane.id.layer for plane in chosen))
    panels: list[Panel] = []
    for plane in sorted(chosen, key=lambda plane: (layers.index(plane.id.layer), plane.id.t)):
        found = _clustered(features.to_dask(plane), plane.stride, features.valid, clusters, seed)
        if panels:
            found = renumber(found, _neighbour(panels, plane.id.layer).classes)
        panels.append(Panel(plane.id.t, plane.id.layer, found))
    return panels


def renumber(clusters: NDArray[np.uint8], like: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give clusters the numbers of another panel so that as many cells as possible keep theirs; 0 stays 0.

    The assignment is optimal (the Hungarian method on the table of overlaps). Panels of different resolutions are laid
    over each other by the nearest cell.

    >>> renumber(np.array([[2, 2, 1]], np.uint8), np.array([[1, 1, 2]], np.uint8))
    array([[1, 1, 2]], dtype=uint8)
    """
    from scipy.optimize import linear_sum_assignment

    height, width = (max(sides) for sides in zip(clusters.shape, like.shape, strict=True))
    ours, theirs = (_stretched(panel, height, width).astype(np.intp) for panel in (clusters, like))
    count = int(max(ours.max(), theirs.max()))
    both = (ours > 0) & (theirs > 0)
    pairs = (ours[both] - 1) * count + theirs[both] - 1
    overlap = np.bincount(pairs, minlength=count * count).reshape(count, count)
    numbers = np.zeros(count + 1, np.uint8)
    old, new = linear_sum_assignment(overlap, maximize=True)
    numbers[old + 1] = new + 1
    return numbers[clusters]


def _neighbour(panels: list[Panel], layer: str) -> Panel:
    """Return the panel of the timestep before, or of the first timestep of the layer before."""
    last = panels[-1]
    return last if last.layer == layer else next(panel for panel in panels if panel.layer == last.layer)


def _clustered(
    plane: dask.array.Array, stride: int, valid: NDArray[np.bool_], clusters: int, seed: int
) -> NDArray[np.uint8]:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    n = -(-max(plane.shape[:2]) // _SIDE_CELLS)
    cells = plane[n // 2 :: n, n // 2 :: n].rechunk({2: -1})  # type: ignore[no-untyped-call]
    held = _held(valid, stride, plane.shape[:2])[n // 2 :: n, n // 2 :: n]
    if not held.any():
        return np.zeros(held.shape, np.uint8)
    sample = _sample(cells, held, seed)
    means = MiniBatchKMeans(min(clusters, len(sample)), batch_size=4096, n_init=3, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different values than clusters
        means.fit(sample)

    def nearest(block: NDArray[Any]) -> NDArray[np.uint8]:
        flat = np.asarray(block, np.float32).reshape(-1, block.shape[2])
        return np.asarray(means.predict(flat) + 1, np.uint8).reshape(block.shape[:2])

    drawn = cells.map_blocks(nearest, drop_axis=2, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    return np.where(held, drawn.compute(scheduler="synchronous"), 0).astype(np.uint8)


def _sample(cells: dask.array.Array, held: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Draw as many cells that hold something as fit 64 MB, whatever the plane."""
    rows, cols = np.nonzero(held)
    most = max(1, _SAMPLE_BYTES // (4 * cells.shape[2]))
    if len(rows) > most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
        rows, cols = rows[drawn], cols[drawn]
    return np.asarray(cells.vindex[rows, cols].compute(scheduler="synchronous"), np.float32)


def _held(valid: NDArray[np.bool_], stride: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Say which cells of a plane hold something: the valid mask at their middles."""
    rows, cols = (
        np.minimum(np.arange(cells) * stride + stride // 2, pixels - 1)
        for cells, pixels in zip(shape, valid.shape, strict=True)
    )
    return valid[np.ix_(rows, cols)]


def _stretched(panel: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, cols = (np.arange(new) * old // new for new, old in zip((height, width), panel.shape, strict=True))
    return panel[np.ix_(rows, cols)]
