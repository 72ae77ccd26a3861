"""Clusters of planes: each plane of a store drawn by k-means, as a picture of what its features distinguish.

As in GeoDiffNet (arXiv 2512.03430, figure 5), each plane is clustered on its own, with as many clusters as the scene has
classes. Cluster numbers are arbitrary, so a panel takes over the numbers of its neighbour where clusters overlap: a field keeps
its colour from panel to panel as long as it stays one cluster.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.comparison import ClusterPanel
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features, PlaneLike

if TYPE_CHECKING:
    import dask.array

MAX_CLUSTERS = 255
_MAX_SIDE_CELLS = 500
_SAMPLE_BYTES = 2**26


def cluster_planes(
    features: Features, planes: Sequence[PlaneLike] | None = None, *, clusters: int, seed: int = 0
) -> tuple[ClusterPanel, ...]:
    """Cluster each plane on its own, at its own resolution.

    Parameters
    ----------
    features : Features
        A store whose planes cover the scene.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    clusters : int
        Number of clusters of a panel, 1 to 255. A plane with fewer different values gets fewer.
    seed : int
        Seed of k-means.

    Returns
    -------
    tuple of ClusterPanel
        Sorted by layer, in the order of the store, and timestep. A plane with more than 500 cells a side is subsampled. Empty
        for a store that lists pixels, which make no picture.

    Raises
    ------
    HsifeatError
        A number of clusters that is not allowed.
    """
    if not 1 <= clusters <= MAX_CLUSTERS:
        raise HsifeatError(f"a panel of {clusters} clusters: allowed are 1 to {MAX_CLUSTERS}")
    if features.window_px is not None:
        return ()
    selection = features.select(planes)
    layers = list(dict.fromkeys(plane.id.layer for plane in selection))
    panels: list[ClusterPanel] = []
    for plane in sorted(selection, key=lambda plane: (layers.index(plane.id.layer), plane.id.t)):
        clustered = _cluster(features.to_dask(plane), plane.stride, features.valid, clusters, seed)
        if panels:
            clustered = renumber(clustered, _neighbour(panels, plane.id.layer).clusters)
        panels.append(ClusterPanel(plane.id.t, plane.id.layer, clustered))
    return tuple(panels)


def renumber(clusters: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Renumber clusters so that as many cells as possible have the number of another panel; 0 stays 0.

    The assignment is optimal: the Hungarian method on the table of overlaps (Kuhn, Naval Research Logistics Quarterly 2, 1955).
    Panels of different resolutions, (rows, cols) uint8 each, are overlaid by the nearest cell.

    >>> renumber(np.array([[2, 2, 1]], np.uint8), np.array([[1, 1, 2]], np.uint8))
    array([[1, 1, 2]], dtype=uint8)
    """
    from scipy.optimize import linear_sum_assignment

    height, width = (max(sides) for sides in zip(clusters.shape, reference.shape, strict=True))
    cluster_numbers, reference_numbers = (
        _resize(panel, height, width).astype(np.intp) for panel in (clusters, reference)
    )
    count = int(max(cluster_numbers.max(), reference_numbers.max()))
    both = (cluster_numbers > 0) & (reference_numbers > 0)
    pairs = (cluster_numbers[both] - 1) * count + reference_numbers[both] - 1
    overlap = np.bincount(pairs, minlength=count * count).reshape(count, count)
    numbers = np.zeros(count + 1, np.uint8)
    old, new = linear_sum_assignment(overlap, maximize=True)
    numbers[old + 1] = new + 1
    return numbers[clusters]


def _neighbour(panels: list[ClusterPanel], layer: str) -> ClusterPanel:
    """Return the panel of the previous timestep, or of the first timestep of the previous layer."""
    last = panels[-1]
    return last if last.layer == layer else next(panel for panel in panels if panel.layer == last.layer)


def _cluster(
    plane: dask.array.Array, stride: int, valid: NDArray[np.bool_], clusters: int, seed: int
) -> NDArray[np.uint8]:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.exceptions import ConvergenceWarning

    n = -(-max(plane.shape[:2]) // _MAX_SIDE_CELLS)
    cells = plane[n // 2 :: n, n // 2 :: n].rechunk({2: -1})  # type: ignore[no-untyped-call]
    with_data = _has_data(valid, stride, plane.shape[:2])[n // 2 :: n, n // 2 :: n]
    if not with_data.any():
        return np.zeros(with_data.shape, np.uint8)
    sample = _sample(cells, with_data, seed)
    means = MiniBatchKMeans(min(clusters, len(sample)), batch_size=4096, n_init=3, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # on fewer different values than clusters
        means.fit(sample)

    def suggest_names(block: NDArray[Any]) -> NDArray[np.uint8]:
        flat = np.asarray(block, np.float32).reshape(-1, block.shape[2])
        return np.asarray(means.predict(flat) + 1, np.uint8).reshape(block.shape[:2])

    drawn = cells.map_blocks(suggest_names, drop_axis=2, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    return np.where(with_data, drawn.compute(scheduler="synchronous"), 0).astype(np.uint8)


def _sample(cells: dask.array.Array, with_data: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Draw random cells with data, at most 64 MB of them."""
    rows, cols = np.nonzero(with_data)
    most = max(1, _SAMPLE_BYTES // (4 * cells.shape[2]))
    if len(rows) > most:
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
        rows, cols = rows[drawn], cols[drawn]
    return np.asarray(cells.vindex[rows, cols].compute(scheduler="synchronous"), np.float32)


def _has_data(valid: NDArray[np.bool_], stride: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return which cells of a plane have data, (rows, cols) bool: the valid mask at their centres."""
    rows, cols = (
        np.minimum(np.arange(cells) * stride + stride // 2, pixels - 1)
        for cells, pixels in zip(shape, valid.shape, strict=True)
    )
    return valid[np.ix_(rows, cols)]


def _resize(panel: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, cols = (np.arange(new) * old // new for new, old in zip((height, width), panel.shape, strict=True))
    return panel[np.ix_(rows, cols)]
