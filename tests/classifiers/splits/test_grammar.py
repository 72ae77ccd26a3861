"""The grammar of splits: round trips, lists and refusals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.splits import (
    BlocksSplit,
    FarSplit,
    RandomSplit,
    parse_split,
    separate_splits,
)
from hsifeat.errors import SplitError


@pytest.mark.parametrize(
    "text",
    [
        "random",
        "random:0",
        "random:1",
        "blocks:12:0.1",
        "blocks:0+4:0.1",
        "per-class:0",
        "odd:1",
        "far:12:0.1",
        "far:0+4:0.1",
        "far:12+4:2",
        "per-class:9999999999",
        "blocks:9999999999+4:0.1",
        "far:12+9999999999:0.1",
    ],
)
def test_text_outside_the_grammar_is_refused(text):
    with pytest.raises(
        SplitError, match="allowed: random:F|between 0 and 1|does not have the form (per-class|blocks|far):"
    ):
        parse_split(text)


@pytest.mark.parametrize(
    "text", ["random:0.1", "per-class:20", "blocks:12+4:0.1", "far:12+16:0.1", "mask:a.npy", "mask:a.npy,b.npy"]
)
def test_the_text_of_a_split_round_trips(text):
    assert parse_split(text).text == text


@given(st.floats(1e-6, 1 - 1e-6), st.integers(1, 99), st.integers(0, 99))
def test_any_rule_round_trips_through_its_text(fraction, block, buffer):
    for rule in (RandomSplit(fraction), BlocksSplit(block, buffer, fraction), FarSplit(block, buffer, fraction)):
        assert parse_split(rule.text) == rule


def test_a_list_of_splits_is_separated():
    text = "mask:a.npy,official,mask:b.mat:TR,b.mat:TE, blocks:9+0:0.3,random:0.1"
    assert separate_splits(text) == ["mask:a.npy", "official", "mask:b.mat:TR,b.mat:TE", "blocks:9+0:0.3", "random:0.1"]
