"""Draws of a benchmark: which splits are matched in their numbers of training pixels."""

import numpy as np
import pytest

from classifiers.comparison.config import SPLITS
from classifiers.comparison.sampling import curve_draws, draw_all, limit_per_class, limit_seeds
from classifiers.multi_scene import join_label_maps
from classifiers.splits import limit_training_pixels, parse_split
from hsifeat.scenes import Labels
from tests.helpers.small import small_labels

MATCHED = ("random:0.3", "blocks:9+1:0.3")


@pytest.fixture(scope="module")
def labels():
    return Labels("fields", small_labels())


@pytest.mark.parametrize("other", ["per-class:2", "per-class:40", "far:9+4:0.3"])
def test_a_split_of_its_own_size_is_drawn_whole_and_does_not_thin_the_others(labels, other):
    notes = []
    draws = draw_all([parse_split(text) for text in (other, *MATCHED)], labels, 2, notes.append)
    assert list(dict.fromkeys(text for text, _ in draws)) == [other, *MATCHED]
    for seed in range(2):
        whole = {text: parse_split(text).draw(labels, seed) for text in (other, *MATCHED)}
        assert (draws[other, seed].train == whole[other].train).all()
        fewest = min(int(whole[text].train.sum()) for text in MATCHED)
        for text in MATCHED:
            thinned = limit_training_pixels(whole[text], labels, fewest, seed)
            assert draws[text, seed].train.sum() == fewest and (draws[text, seed].train == thinned.train).all()
            assert (draws[text, seed].test == whole[text].test).all()
    assert notes == []


def test_a_single_split_is_drawn_whole(labels):
    for text in SPLITS:
        draws = draw_all([parse_split(text)], labels, 1, lambda _: None)
        assert (draws[text, 0].train == parse_split(text).draw(labels, 0).train).all()


def test_curves_of_scattered_labels_are_nested_and_share_their_test_pixels(labels):
    rules = [parse_split(text) for text in ("per-class:2", *MATCHED)]
    draws = draw_all(rules, labels, 2, lambda _: None)
    disjoint, scattered = curve_draws(rules, draws, labels, [2, 9, 4])
    assert disjoint == {(MATCHED[1], seed): draws[MATCHED[1], seed] for seed in range(2)}
    assert list(scattered) == [("per-class:9", 0), ("per-class:9", 1)]
    for (_, seed), draw in scattered.items():
        two, four, nine = (limit_per_class(draw, labels, limit, seed) for limit in (2, 4, 9))
        assert (nine.train == draw.train).all() and (two.test == nine.test).all()
        assert not (two.train & ~four.train).any() and not (four.train & ~nine.train).any()
        assert (np.bincount(labels.classes[two.train])[1:] == 2).all()
    assert curve_draws(rules, draws, labels, []) == []
    assert len(curve_draws(rules[1:], draws, labels, [2])) == 1


def test_a_scene_is_left_out_once_at_most(labels):
    scenes = join_label_maps([labels] * 3, [("a",), ("b",), ("c",)])
    rules, notes = [parse_split("scenes:leave-one-out"), parse_split("per-class:2")], []
    assert [limit_seeds(rules, scenes, seeds, notes.append) for seeds in (1, 3, 5)] == [1, 3, 3]
    assert [note.message for note in notes] == [
        "3 seeds instead of 5: scenes:leave-one-out tests each of the 3 scenes once"
    ]
    tested = [rules[0].draw(scenes, seed).notes[0].partition(";")[0] for seed in range(3)]
    assert tested == ["seed 0 tests a", "seed 1 tests b", "seed 2 tests c"]
    assert limit_seeds(rules[1:], scenes, 5, notes.append) == 5
    assert limit_seeds(rules, labels, 5, notes.append) == 5
