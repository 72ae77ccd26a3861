"""The cross-validation splitter in scikit-learn, also nested, with rows identified by value or pixel."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from classifiers.splits import (
    SplitDraw,
    parse_split,
)
from classifiers.table import PixelTable
from hsifeat.errors import SplitError


def test_the_splitter_works_as_cv_of_scikit_learn(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    cv = table.cv("blocks:9+0:0.4", n_splits=3)
    assert cv.get_n_splits() == 3
    for k, (train, test) in enumerate(cv.split(table.X, table.y)):
        draw: SplitDraw = parse_split("blocks:9+0:0.4").draw(table.labels, k)
        assert draw.train[table.rows[train], table.cols[train]].all()
        assert len(train) == draw.train.sum()
        assert len(test) == draw.test.sum()
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=cv).fit(table.X, table.y)
    assert search.n_splits_ == 3
    with pytest.raises(SplitError, match=r"belongs to a table of \d+ rows and 12 columns; found 5 x 3 values"):
        next(cv.split(table.X[:5, :3]))


@pytest.mark.parametrize("rule", ["random:0.3", "blocks:6+0:0.4"])
def test_splitting_a_training_side_stays_within_it(store_path, rule):
    table = PixelTable.from_store(store_path, planes=[])
    outer = parse_split("random:0.5").draw(table.labels, 0)
    inner = table[outer.train[table.rows, table.cols]]
    for train, test in inner.cv(rule, n_splits=3).split(inner.X, inner.y):
        assert not set(train) & set(test)
        assert set(inner.y[train]) == set(inner.y[test])
        assert len(train) + len(test) == len(inner)


class Recorder(KNeighborsClassifier):
    """Records the numbers of the pixels with which it was fitted or asked to predict. The first column holds the numbers."""

    seen = []  # noqa: RUF012  # clones share it

    def fit(self, X, y):
        Recorder.seen.append(("fit", X[:, 0].astype(int)))
        return super().fit(X, y)

    def predict(self, X):
        Recorder.seen.append(("predict", X[:, 0].astype(int)))
        return super().predict(X)


@pytest.mark.parametrize("by", ["values", "groups"])
def test_a_nested_search_splits_spatially_within_the_outer_training_pixels(store_path, by):
    table = PixelTable.from_store(store_path, planes=[])
    X = table.X if by == "values" else np.zeros_like(table.X)  # without values only groups can tell the pixels
    X = np.concatenate([table.pixels[:, None], X], axis=1).astype(np.float32)
    if by == "values":
        table = replace(table, X=X)
    outer, inner = table.cv("blocks:18+2:0.5", 2), table.cv("blocks:9+2:0.5", n_splits=3, seed=7)
    Recorder.seen = []
    search = GridSearchCV(Recorder(), {"n_neighbors": [1]}, cv=inner)
    params = {"groups": table.pixels} if by == "groups" else None
    assert len(cross_val_score(search, X, table.y, cv=outer, params=params)) == 2
    at = [np.stack(np.unravel_index(rows, table.labels.classes.shape), axis=1) for _, rows in Recorder.seen]
    steps = [kind for kind, _ in Recorder.seen]
    # For each outer draw: three times fitted and scored within, then fitted on all and scored outside.
    assert steps == ["fit", "predict"] * 8
    for k in range(2):
        *within, (whole, outside) = zip(at[8 * k : 8 * k + 8 : 2], at[8 * k + 1 : 8 * k + 8 : 2], strict=True)
        assert cKDTree(outside).query(whole)[0].min() > 2
        mine = set(map(tuple, whole.tolist()))
        for train, test in within:
            assert cKDTree(test).query(train)[0].min() > 2
            assert {tuple(p) for p in train.tolist()} | {tuple(p) for p in test.tolist()} <= mine
            blocks = [set(map(tuple, (side // 9).tolist())) for side in (train, test)]
            assert not blocks[0] & blocks[1]


def test_rows_in_another_order_are_identified(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    table = replace(table, X=table.X + np.arange(len(table), dtype=np.float32)[:, None])
    order = np.random.default_rng(0).permutation(len(table))
    cv = table.cv("blocks:9+1:0.4", 1)
    ((train, test),), ((shuffled, tested),) = cv.split(table.X), cv.split(table.X[order])
    assert set(order[shuffled]) == set(train) and set(order[tested]) == set(test)
    # Scaled columns, or some, say nothing of their pixels: the labels tell whether they are in the table's order.
    names = np.array(["", "corn", "wheat", "woods", "grass"])[table.y]
    for other in (table.X * 2 - 1e6, table.X[:, :5]):
        for y in (table.y, names):
            ((scaled, _),) = cv.split(other, y)
            assert np.array_equal(scaled, train)
        with pytest.raises(
            SplitError, match="rows have other columns than this splitter's table and labels in another"
        ):
            next(cv.split(other[order], table.y[order]))
        with pytest.raises(SplitError, match=r"and no labels.*groups=table\.pixels"):
            next(cv.split(other))
        ((scaled, _),) = cv.split(other[order], groups=table.pixels[order])
        assert set(order[scaled]) == set(train)


def test_rows_of_unknown_pixels_are_refused(store_path):
    table = PixelTable.from_store(store_path, planes=[])
    alike = replace(table, X=np.repeat(table.X[:1], len(table), axis=0))
    with pytest.raises(SplitError, match=r"9 of 9 rows equal rows of other pixels.*groups=table\.pixels"):
        next(alike.cv("random:0.5").split(alike.X[:9]))
    with pytest.raises(SplitError, match=r"9 of 9 rows are not in this table of \d+ rows"):
        next(table.cv("random:0.5").split(table.X[:9] * 3 + 1))
    with pytest.raises(SplitError, match="2 are not in this table"):
        next(table.cv("random:0.5").split(table.X[:3], groups=[table.pixels[0], -1, 10**9]))
    for number in ("3", 2.5, None):
        with pytest.raises(SplitError, match=f"at least one split; found n_splits={number!r}"):
            table.cv("random:0.5", number)
    with pytest.raises(SplitError, match="at least one split; found n_splits=0"):
        table.cv("random:0.5", 0)
    with pytest.raises(SplitError, match="the seed of a split is an integer from 0; found None"):
        table.cv("random:0.5", seed=None)
