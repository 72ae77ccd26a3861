"""Folds of labels: whole regions or blocks, with a buffer, and no pixel whose class has no training pixels."""

import numpy as np
import pytest
from scipy.ndimage import label
from scipy.spatial.distance import cdist

from classifiers.labelling.label_folds import parse_folds
from hsifeat.errors import SplitError


@pytest.fixture(scope="module")
def labelled():
    """Rows, columns and classes of two hundred pixels in small regions."""
    rng = np.random.default_rng(0)
    classes = np.zeros((40, 50), int)
    for number in range(60):
        row, col = rng.integers(0, 38), rng.integers(0, 48)
        classes[row : row + 2, col : col + 2] = number % 4 + 1
    classes[30, 45:] = 5
    rows, cols = np.nonzero(classes)
    return classes, rows, cols


def test_regions_are_held_out_as_a_whole_and_once(labelled):
    classes, rows, cols = labelled
    y = classes[rows, cols]
    held_out = []
    for train, test in parse_folds("regions").draw(y, rows, cols):
        assert not set(train) & set(test)
        held_out += test.tolist()
        for number in np.unique(y):
            regions = label(classes == number, np.ones((3, 3)))[0][rows, cols]
            assert not set(regions[train]) & set(regions[test]) - {0}
    assert len(held_out) == len(set(held_out))
    several = [c for c in np.unique(y) if label(classes == c, np.ones((3, 3)))[1] > 1]
    assert sorted(held_out) == np.flatnonzero(np.isin(y, several)).tolist()


def test_blocks_are_held_out_as_a_whole_with_a_buffer(labelled):
    classes, rows, cols = labelled
    y, at = classes[rows, cols], np.stack([rows, cols], axis=1)
    block = rows // 12 * 100 + cols // 12
    held_out = []
    for train, test in parse_folds("blocks:12+4:5fold").draw(y, rows, cols, seed=3):
        assert cdist(at[train], at[test]).min() > 4
        assert not set(block[train]) & set(block[test])
        assert set(y[test]) <= set(y[train])
        held_out += test.tolist()
    assert len(held_out) == len(set(held_out)) > 0.8 * len(y)
    assert 5 not in y[held_out] or len(set(block[y == 5])) > 1


@pytest.mark.parametrize(
    "text", ["blocks:12+4:0.1", "blocks:0+4:5fold", "blocks:12+4:1fold", "random:0.1", "regions:5", ""]
)
def test_other_rules_are_refused(text):
    with pytest.raises(SplitError, match="regions or blocks:PX"):
        parse_folds(text)
