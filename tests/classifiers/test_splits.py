"""Splits: what the grammar promises, on random label maps and on Indian Pines; distances by SciPy."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from classifiers.splits import BlocksSplit, Draw, PerClassSplit, RandomSplit, parse_split, thin
from classifiers.table import PixelTable
from hsifeat import open_scene
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from tests.small import small_labels


@pytest.fixture(scope="module")
def pines():
    return open_scene("indian-pines").labels["ground-truth"]


def sides_agree(labels, draw):
    """What holds for every draw: sides apart, labelled, with the same classes; what is left out is on neither."""
    assert not (draw.train & draw.test).any()
    assert (labels.classes[draw.train | draw.test] != 0).all()
    trained, tested = (set(np.unique(labels.classes[side]).tolist()) for side in (draw.train, draw.test))
    assert trained == tested
    assert set(draw.left_out) == set(labels.counts) - trained


@given(st.integers(0, 10**6), st.floats(0.02, 0.9))
@settings(max_examples=20)
def test_random_takes_the_fraction_of_each_class(pines, seed, fraction):
    draw = RandomSplit(fraction).draw(pines, seed)
    sides_agree(pines, draw)
    for number, count in pines.counts.items():
        if number not in draw.left_out:
            taken = (pines.classes[draw.train] == number).sum()
            assert taken == max(3, round(fraction * count))


def test_per_class_takes_that_many(pines):
    draw = PerClassSplit(20).draw(pines, 0)
    assert draw.left_out == (9,), "Oats has 20 pixels: none would be left to test"
    _, counts = np.unique(pines.classes[draw.train], return_counts=True)
    assert (counts == 20).all() and len(counts) == 15


@pytest.mark.parametrize("seed", range(8))
def test_blocks_on_indian_pines(pines, seed):
    rule = BlocksSplit(12, 4, 0.1)
    draw = rule.draw(pines, seed)
    sides_agree(pines, draw)
    assert draw.left_out == (7, 9), "the two classes that lie in a single block"
    apart = cKDTree(np.argwhere(draw.test)).query(np.argwhere(draw.train))[0]
    assert apart.min() > 4
    whole = BlocksSplit(12, 0, 0.1).draw(pines, seed)
    blocks = np.arange(145) // 12
    number = blocks[:, None] * 13 + blocks
    assert not set(number[whole.train]) & set(number[whole.test]), "a block is on one side"
    labelled = sum(n for c, n in pines.counts.items() if c not in (7, 9))
    assert 0.1 * labelled <= whole.train.sum() <= 0.1 * labelled + 144


maps = st.builds(
    lambda seed, size: Labels("x", np.random.default_rng(seed).integers(0, 4, (size, size)).astype(np.uint8)),
    st.integers(0, 999),
    st.integers(8, 40),
)


@settings(max_examples=60)
@given(maps, st.integers(1, 9), st.integers(0, 5), st.floats(0.05, 0.95), st.integers(0, 99))
def test_blocks_never_break_their_promises(labels, block, buffer, fraction, seed):
    rule = BlocksSplit(block, buffer, fraction)
    try:
        draw = rule.draw(labels, seed)
    except SplitError as error:
        assert "classes have pixels on both sides" in str(error)
        return
    sides_agree(labels, draw)
    apart = cKDTree(np.argwhere(draw.test)).query(np.argwhere(draw.train))[0]
    assert apart.min() > buffer
    again = rule.draw(labels, seed)
    assert np.array_equal(draw.train, again.train)
    assert np.array_equal(draw.test, again.test)


def test_seeds_give_different_draws(pines):
    for rule in ("random:0.1", "per-class:5", "blocks:12+4:0.1"):
        assert not np.array_equal(*(parse_split(rule).draw(pines, seed).train for seed in (0, 1)))


@given(st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=25)
def test_thinning_keeps_number_classes_and_test(pines, count, seed):
    draw = RandomSplit(0.1).draw(pines, 0)
    thinned = thin(draw, pines, count, seed)
    assert not (thinned.train & ~draw.train).any()
    assert np.array_equal(thinned.test, draw.test)
    numbers, kept = np.unique(pines.classes[thinned.train], return_counts=True)
    assert len(numbers) == 16
    assert kept.sum() == max(count, 16)
    assume(count >= 200)
    whole = np.array([(pines.classes[draw.train] == n).sum() for n in numbers])
    np.testing.assert_allclose(kept / kept.sum(), whole / whole.sum(), atol=0.02)


@pytest.fixture
def fields():
    return Labels("fields", small_labels())


def test_masks_from_files(fields, tmp_path):
    train = np.zeros((75, 53), bool)
    train[:30] = True
    np.save(tmp_path / "train.npy", train)
    np.save(tmp_path / "test.npy", np.where(np.arange(75)[:, None] > 50, fields.classes, 0))
    draw = parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/test.npy").draw(fields, 0)
    sides_agree(fields, draw)
    assert np.array_equal(draw.train, train & (fields.classes != 0))
    assert not draw.test[:51].any()
    rest = parse_split(f"mask:{tmp_path}/train.npy").draw(fields, 0)
    assert np.array_equal(rest.test, ~train & (fields.classes != 0))
    with pytest.raises(SplitError, match="pixels both train and test"):
        parse_split(f"mask:{tmp_path}/train.npy,{tmp_path}/train.npy").draw(fields, 0)
    np.save(tmp_path / "other.npy", (fields.classes + 1) % 5)
    with pytest.raises(SplitError, match="disagree with the labels 'fields'"):
        parse_split(f"mask:{tmp_path}/other.npy").draw(fields, 0)
    np.save(tmp_path / "small.npy", train[:9])
    with pytest.raises(SplitError, match=r"\(9, 53\) pixels, but the labels are \(75, 53\)"):
        parse_split(f"mask:{tmp_path}/small.npy").draw(fields, 0)


@pytest.mark.parametrize(
    "text", ["random", "random:0", "random:1", "blocks:12:0.1", "blocks:0+4:0.1", "per-class:0", "odd:1"]
)
def test_what_is_not_in_the_grammar(text):
    with pytest.raises(SplitError, match="allowed: random:F|between 0 and 1"):
        parse_split(text)


@pytest.mark.parametrize("text", ["random:0.1", "per-class:20", "blocks:12+4:0.1", "mask:a.npy", "mask:a.npy,b.npy"])
def test_text_survives(text):
    assert parse_split(text).text == text


def test_a_draw_with_one_class_is_refused():
    labels = Labels("x", np.repeat([[1, 2]], 9, axis=0).repeat(5, axis=1))
    with pytest.raises(SplitError, match="only 0 of 2 classes"):
        BlocksSplit(5, 9, 0.5).draw(labels, 0)


def test_a_bound_split_is_a_scikit_learn_cv(store_path):
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier

    table = PixelTable.from_store(store_path, planes=[])
    cv = table.cv("blocks:9+0:0.4", n_splits=3)
    assert cv.get_n_splits() == 3
    for k, (train, test) in enumerate(cv.split(table.X, table.y)):
        draw: Draw = parse_split("blocks:9+0:0.4").draw(table.labels, k)
        assert draw.train[table.rows[train], table.cols[train]].all()
        assert len(train) == draw.train.sum()
        assert len(test) == draw.test.sum()
    search = GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=cv).fit(table.X, table.y)
    assert search.n_splits_ == 3
    with pytest.raises(SplitError, match=r"belongs to a table of \d+ rows and 12 columns; found 5 x 3 values"):
        next(cv.split(table.X[:5, :3]))


@pytest.mark.parametrize("rule", ["random:0.3", "blocks:6+0:0.4"])
def test_a_split_of_a_training_side_stays_within_it(store_path, rule):
    table = PixelTable.from_store(store_path, planes=[])
    outer = parse_split("random:0.5").draw(table.labels, 0)
    inner = table[outer.train[table.rows, table.cols]]
    for train, test in inner.cv(rule, n_splits=3).split(inner.X, inner.y):
        assert not set(train) & set(test)
        assert set(inner.y[train]) == set(inner.y[test])
        assert len(train) + len(test) == len(inner)
