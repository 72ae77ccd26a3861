"""Panels of planes: clusters of scikit-learn's own, colours that go on from panel to panel, memory that stays bounded."""

import itertools

import dask.array
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from classifiers.comparison import plane_clusters as panels
from classifiers.comparison.plane_clusters import cluster_planes, renumber
from hsifeat.errors import HsifeatError
from hsifeat.types import PlaneId


class Planes:
    """Stands for `Features`: planes as dask arrays, and the scene's valid mask."""

    covers_scene = True

    def __init__(self, planes, valid):
        self.given, self.valid = planes, valid

    def select(self, planes):
        return [plane for plane in self.given if planes is None or str(plane.id) in planes]

    def to_dask(self, plane):
        return plane.values


class Plane:
    def __init__(self, t, layer, stride, values):
        self.id, self.stride, self.values = PlaneId(t, layer), stride, values


def fields(rows, cols, classes, channels, seed):
    """Return a map of square fields, and a plane in which each class has a different mean."""
    rng = np.random.default_rng(seed)
    row, col = np.indices((rows, cols))
    truth = (row // 10 * 7 + col // 10 * 3) % classes
    means = np.eye(classes, channels) * 20
    return truth, (means[rng.permutation(classes)][truth] + rng.normal(size=(rows, cols, channels))).astype(np.float16)


def made(*planes, valid=None):
    found = []
    for t, layer, stride, values in planes:
        found.append(Plane(t, layer, stride, dask.array.from_array(values, chunks=(16, 16, values.shape[2]))))
    shape = [found[0].values.shape[0] * found[0].stride, found[0].values.shape[1] * found[0].stride]
    return Planes(found, np.ones(shape, bool) if valid is None else valid)


def test_clusters_find_the_fields_and_keep_their_colour_from_panel_to_panel():
    truth, first = fields(40, 60, 4, 6, seed=0)
    _, second = fields(40, 60, 4, 6, seed=1)
    _, coarse = fields(40, 60, 4, 6, seed=2)
    features = made((0, "a", 2, first), (50, "a", 2, second), (0, "b", 4, coarse[::2, ::2]))
    found = cluster_planes(features, clusters=4)
    assert [(panel.t, panel.layer, panel.clusters.shape) for panel in found] == [
        (0, "a", (40, 60)),
        (50, "a", (40, 60)),
        (0, "b", (20, 30)),
    ]
    assert adjusted_rand_score(truth.ravel(), found[0].clusters.ravel()) > 0.999
    assert set(np.unique(found[0].clusters)) == {1, 2, 3, 4}
    assert (found[1].clusters == found[0].clusters).mean() > 0.999
    assert (found[2].clusters == found[0].clusters[::2, ::2]).mean() > 0.999
    again = cluster_planes(features, clusters=4)
    assert all((a.clusters == b.clusters).all() for a, b in zip(found, again, strict=True))


def test_renumbering_is_the_best_of_all_permutations():
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, other = rng.integers(0, 5, (2, 7, 8)).astype(np.uint8)
        found = renumber(one, other)
        assert ((found == 0) == (one == 0)).all()

        def kept(panel, other=other):
            return np.sum((panel == other) & (other > 0) & (panel > 0))

        every = (np.array([0, *order], np.uint8)[one] for order in itertools.permutations(range(1, 5)))
        assert kept(found) == max(kept(panel) for panel in every)


def test_cells_that_hold_nothing_are_zero_and_move_no_cluster():
    _, values = fields(20, 30, 3, 4, seed=0)
    valid = np.ones((40, 60), bool)
    valid[:14] = False
    values[:7] = 6e4
    (panel,) = cluster_planes(made((0, "a", 2, values), valid=valid), clusters=3)
    assert (panel.clusters[:7] == 0).all()
    assert set(np.unique(panel.clusters[7:])) == {1, 2, 3}
    (empty,) = cluster_planes(made((0, "a", 2, values), valid=np.zeros((40, 60), bool)), clusters=3)
    assert not empty.clusters.any()


def test_a_plane_of_one_value_is_one_cluster():
    (panel,) = cluster_planes(made((0, "a", 1, np.ones((6, 7, 3), np.float16))), clusters=5)
    assert len(np.unique(panel.clusters)) == 1


def test_a_large_plane_is_thinned_and_its_sample_bounded(monkeypatch):
    monkeypatch.setattr(panels, "_MAX_SIDE_CELLS", 10)
    monkeypatch.setattr(panels, "_SAMPLE_BYTES", 4 * 6 * 50)
    sampled = []
    monkeypatch.setattr(
        panels, "_sample", lambda *given, real=panels._sample: sampled.append(real(*given)) or sampled[-1]
    )
    truth, values = fields(40, 60, 4, 6, seed=0)
    (panel,) = cluster_planes(made((0, "a", 1, values)), clusters=4)
    assert panel.clusters.shape == (7, 10)
    assert sampled[0].shape == (50, 6)
    assert adjusted_rand_score(truth[3::6, 3::6].ravel(), panel.clusters.ravel()) > 0.999


def test_a_real_store_is_drawn(features):
    found = cluster_planes(features, clusters=4)
    assert [(panel.t, panel.layer) for panel in found] == [(p.id.t, p.id.layer) for p in sorted_planes(features)]
    for panel, plane in zip(found, sorted_planes(features), strict=True):
        assert panel.clusters.shape == features.to_dask(plane).shape[:2]
        assert panel.clusters.max() <= 4


def sorted_planes(features):
    layers = list(dict.fromkeys(plane.id.layer for plane in features.planes))
    return sorted(features.planes, key=lambda plane: (layers.index(plane.id.layer), plane.id.t))


@pytest.mark.parametrize("clusters", [0, 256])
def test_numbers_of_clusters_that_do_not_fit_a_byte_are_refused(clusters):
    with pytest.raises(HsifeatError, match="clusters must be 1 to 255"):
        cluster_planes(made((0, "a", 1, np.ones((6, 7, 3)))), clusters=clusters)
