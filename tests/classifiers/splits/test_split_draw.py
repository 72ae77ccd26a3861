"""Draws: what holds for every split, fewer training pixels that keep the classes, and a single class is refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from classifiers.splits import (
    BlocksSplit,
    RandomSplit,
    SplitCV,
    limit_training_pixels,
    make_split_map,
    parse_split,
    parse_split_question,
)
from classifiers.splits.split_plot import TEST, TRAIN
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels


@pytest.mark.parametrize("text", ["random:0.1", "per-class:5", "blocks:9+0:0.3", "far:9+2:0.3", "scenes:leave-one-out"])
def test_a_seed_that_is_no_whole_number_from_0_is_refused(text, pines):
    for seed in (None, 1.0, -1, True, "1", [1]):
        with pytest.raises(SplitError, match="the seed of a split is an integer from 0; found"):
            parse_split(text).draw(pines, seed)
    if text != "scenes:leave-one-out":
        one, two = (parse_split(text).draw(pines, seed) for seed in (3, np.int64(3)))
        assert np.array_equal(one.train, two.train) and np.array_equal(one.test, two.test)


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("random:0.1", "fill in"),
        ("per-class:5", "fill in"),
        ("official", "fill in"),
        ("blocks:12+4:0.1", "carry over"),
        ("far:12+8:0.1", "carry over"),
        ("mask:train.npy", None),
    ],
)
def test_what_holds_for_every_split(text, question, pines, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    half = np.indices(pines.classes.shape)[1] % 2 == 0
    np.save("train.npy", half.astype(np.uint8))
    maps = {
        name: replace(pines, name=name, classes=pines.classes * side)
        for name, side in (("train", half), ("test", ~half))
    }
    rule = parse_split(text, maps)
    assert rule.text == text and rule.question == parse_split_question(text) == question
    draw, again = rule.draw(pines, 3), rule.draw(pines, 3)
    np.testing.assert_array_equal([draw.train, draw.test], [again.train, again.test])
    assert not (draw.train & draw.test).any()
    assert (pines.classes[draw.train | draw.test] != 0).all()
    trained, tested = (set(np.unique(pines.classes[side]).tolist()) for side in (draw.train, draw.test))
    assert trained >= tested and set(draw.left_out) == set(pines.counts) - tested
    roles = make_split_map(draw, pines)
    np.testing.assert_array_equal(roles > 0, pines.classes > 0)
    np.testing.assert_array_equal([roles == TRAIN, roles == TEST], [draw.train, draw.test])
    rows, cols = np.nonzero(pines.classes)
    cv = SplitCV(rule, pines, rows, cols, np.arange(len(rows), dtype=np.float32)[:, None], 1, 3)
    for side, found in zip((draw.train, draw.test), next(cv.split()), strict=True):
        np.testing.assert_array_equal(found, np.flatnonzero(side[rows, cols]))


@given(st.integers(1, 400), st.integers(0, 99))
@settings(max_examples=25)
def test_limiting_training_pixels_keeps_the_classes_and_the_test_pixels(pines, count, seed):
    draw = RandomSplit(0.1).draw(pines, 0)
    thinned = limit_training_pixels(draw, pines, count, seed)
    assert not (thinned.train & ~draw.train).any()
    assert np.array_equal(thinned.test, draw.test)
    numbers, kept = np.unique(pines.classes[thinned.train], return_counts=True)
    assert len(numbers) == 16
    assert kept.sum() == max(count, 16)
    assume(count >= 200)
    whole = np.array([(pines.classes[draw.train] == n).sum() for n in numbers])
    np.testing.assert_allclose(kept / kept.sum(), whole / whole.sum(), atol=0.02)


def test_a_draw_with_one_class_is_refused():
    labels = Labels("x", np.repeat([[1, 2]], 9, axis=0).repeat(5, axis=1))
    with pytest.raises(SplitError, match="only 0 of 2 classes"):
        BlocksSplit(5, 9, 0.5).draw(labels, 0)
