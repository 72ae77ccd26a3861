"""K-means clusters of planes (one timestep and layer each). They show which areas the features of a plane separate.

As in GeoDiffNet (arXiv 2512.03430, figure 5), each plane is clustered separately, with as many clusters as the scene
has classes. A panel is the cluster map of one plane. K-means numbers clusters arbitrarily, so the clusters of a panel
are renumbered: an area should have the same colour in neighbouring panels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from classifiers.comparison.results.comparison import ClusterPanel
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.quiet_warnings import ignored_warnings

if TYPE_CHECKING:
    import dask.array

MAX_CLUSTERS = 255
_MAX_SIDE_CELLS = 500
_SAMPLE_BYTES = 2**26


def cluster_planes(
    features: Features, planes: Sequence[PlaneLike] | None = None, *, clusters: int, seed: int = 0
) -> tuple[ClusterPanel, ...]:
    """Cluster the cells of each plane by k-means.

    Parameters
    ----------
    features : Features
        Features of an open store.
    planes : sequence, optional
        Planes in any form that `Features.select` accepts. [default: all]
    clusters : int
        Number of clusters of each plane, 1 to 255. A plane with fewer distinct values has fewer clusters.
    seed : int
        Seed of k-means.

    Returns
    -------
    tuple of ClusterPanel
        Panels sorted by layer and then by timestep. Layers are in the order of `planes`, or of the store if `planes` is
        None. A panel has the resolution of its plane. A plane with more than 500 rows or columns is subsampled first.
        The tuple is empty for a store of listed pixels (``--pixels``), whose planes are not images.

    Raises
    ------
    HsifeatError
        If the number of clusters is out of range.
    """
    if not 1 <= clusters <= MAX_CLUSTERS:
        raise HsifeatError(f"clusters must be 1 to {MAX_CLUSTERS}; found {clusters}")
    if not features.covers_scene:
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
    """Renumber the clusters of a plane, so that as many cells as possible have the same number as in a reference plane.

    The Hungarian method (Kuhn, Naval Research Logistics Quarterly 2, 1955) finds the optimal assignment of numbers. If the two
    planes differ in resolution, their clusters are compared after nearest-neighbour resampling.

    Parameters
    ----------
    clusters : (rows, cols) uint8 array
        Cluster of each cell, from 1; 0 = no data.
    reference : (rows, cols) uint8 array
        Clusters of the reference plane. The shape may differ from the shape of `clusters`.

    Returns
    -------
    (rows, cols) uint8 array
        Renumbered clusters. Cells without data remain 0.

    Examples
    --------
    >>> renumber(np.array([[2, 2, 1]], np.uint8), np.array([[1, 1, 2]], np.uint8))
    array([[1, 1, 2]], dtype=uint8)
    """
    from scipy.optimize import linear_sum_assignment

    height, width = (max(sides) for sides in zip(clusters.shape, reference.shape, strict=True))
    cluster_numbers, reference_numbers = (
        _resize(panel, height, width).astype(np.intp) for panel in (clusters, reference)
    )
    count = int(max(cluster_numbers.max(), reference_numbers.max()))
    with_data = (cluster_numbers > 0) & (reference_numbers > 0)
    pairs = (cluster_numbers[with_data] - 1) * count + reference_numbers[with_data] - 1
    overlap = np.bincount(pairs, minlength=count * count).reshape(count, count)
    numbers = np.zeros(count + 1, np.uint8)
    old, new = linear_sum_assignment(overlap, maximize=True)
    numbers[old + 1] = new + 1
    return numbers[clusters]


def _neighbour(panels: list[ClusterPanel], layer: str) -> ClusterPanel:
    """Return the reference for renumbering the clusters of the next panel of `layer`.

    The reference is the panel of the previous timestep. For the first timestep of a layer, the reference is the panel
    of the previous layer at the first timestep.
    """
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
    with ignored_warnings(ConvergenceWarning):  # fewer distinct values than clusters
        means.fit(sample)

    def predict_clusters(block: NDArray[Any]) -> NDArray[np.uint8]:
        flat = np.asarray(block, np.float32).reshape(-1, block.shape[2])
        return np.asarray(means.predict(flat) + 1, np.uint8).reshape(block.shape[:2])

    panel = cells.map_blocks(predict_clusters, drop_axis=2, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    return np.where(with_data, panel.compute(scheduler="synchronous"), 0).astype(np.uint8)


def _sample(cells: dask.array.Array, with_data: NDArray[np.bool_], seed: int) -> NDArray[np.float32]:
    """Draw random cells with data, as an (n, channels) float32 array of at most 64 MiB."""
    rows, cols = np.nonzero(with_data)
    max_cells = max(1, _SAMPLE_BYTES // (4 * cells.shape[2]))
    if len(rows) > max_cells:
        drawn = np.sort(np.random.default_rng(seed).choice(len(rows), max_cells, replace=False))
        rows, cols = rows[drawn], cols[drawn]
    return np.asarray(cells.vindex[rows, cols].compute(scheduler="synchronous"), np.float32)


def _has_data(valid: NDArray[np.bool_], stride: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a (rows, cols) bool mask of the cells of a plane whose centre pixel is valid."""
    rows, cols = (
        np.minimum(np.arange(cells) * stride + stride // 2, pixels - 1)
        for cells, pixels in zip(shape, valid.shape, strict=True)
    )
    return valid[np.ix_(rows, cols)]


def _resize(panel: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    rows, cols = (np.arange(new) * old // new for new, old in zip((height, width), panel.shape, strict=True))
    return panel[np.ix_(rows, cols)]
