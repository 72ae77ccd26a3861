"""Block splits: whole blocks, buffers and classes on both sides, on random label maps and on Indian Pines."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from classifiers.splits import (
    BlocksSplit,
    parse_split,
)
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels
from tests.helpers.splits import check_sides


@pytest.mark.parametrize("seed", range(8))
def test_blocks_on_indian_pines(pines, seed):
    rule = BlocksSplit(12, 4, 0.1)
    draw = rule.draw(pines, seed)
    check_sides(pines, draw)
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


@settings(max_examples=30)
@given(maps, st.integers(1, 9), st.integers(0, 5), st.floats(0.05, 0.95), st.integers(0, 99))
def test_blocks_are_whole_and_keep_the_buffer_on_any_label_map(labels, block, buffer, fraction, seed):
    rule = BlocksSplit(block, buffer, fraction)
    try:
        draw = rule.draw(labels, seed)
    except SplitError as error:
        assert "classes have pixels on both sides" in str(error)
        return
    check_sides(labels, draw)
    apart = cKDTree(np.argwhere(draw.test)).query(np.argwhere(draw.train))[0]
    assert apart.min() > buffer
    again = rule.draw(labels, seed)
    assert np.array_equal(draw.train, again.train)
    assert np.array_equal(draw.test, again.test)


@pytest.mark.parametrize("seed", range(40))
def test_classes_are_on_both_sides_whenever_some_selection_of_blocks_allows_it(seed):
    random = np.random.default_rng(seed)
    classes = np.zeros((9, 9), np.uint8)
    for number in range(1, random.integers(4, 8)):
        for block in random.choice(9, random.integers(1, 4), replace=False):
            classes[block // 3 * 3 + random.integers(3), block % 3 * 3 + random.integers(3)] = number
    labels = Labels("x", classes)
    blocks = np.kron(np.arange(9).reshape(3, 3), np.ones((3, 3), int))
    members = {number: set(blocks[classes == number].tolist()) for number in labels.counts}
    several = {number: of for number, of in members.items() if len(of) > 1}
    choices = (set(c) for size in range(10) for c in combinations(range(9), size))
    possible = any(all(of & chosen and of - chosen for of in several.values()) for chosen in choices)
    if not possible or len(several) < 2:
        return
    assert BlocksSplit(3, 0, 0.3).draw(labels, 0).left_out == tuple(sorted(set(members) - set(several)))


def test_seeds_give_different_draws(pines):
    for rule in ("random:0.1", "per-class:5", "blocks:12+4:0.1"):
        assert not np.array_equal(*(parse_split(rule).draw(pines, seed).train for seed in (0, 1)))
