"""Entries of a benchmark: heads, inputs and stores."""

import pytest

from classifiers.comparison.config import DEFAULT_INPUTS
from classifiers.comparison.entries import fitting_heads, make_entries
from classifiers.heads.registry import head_names
from classifiers.input_sets import INPUTS, group_filter, suited_input
from classifiers.table import PixelTable
from hsifeat.errors import HsifeatError
from tests.helpers.comparisons import entry


def test_inputs_select_column_groups(store_path):
    table = PixelTable.from_store(store_path, window=5, means=7, patch=3)
    widths = {name: table.select_groups(group_filter(name)).layout.width for name in INPUTS}
    assert widths == {
        "spectra": 12, "spectra+window": 24, "planes": 112, "spectra+planes": 124, "spectra+planes+window": 136,
        "planes+means": 224, "spectra+planes+means": 236, "planes+patches": 1120, "spectra+planes+patches": 1132,
    }  # fmt: skip


def test_entries_without_planes_do_not_repeat_per_store(features):
    entries = make_entries({"a": features, "b": features}, ["svm"], DEFAULT_INPUTS)
    assert [str(e) for e in entries] == [
        "svm on spectra", "svm on spectra+window", "svm on planes of a", "svm on planes of b",
        "svm on spectra+planes of a", "svm on spectra+planes of b",
    ]  # fmt: skip


def test_suited_selects_one_input_per_head(features):
    entries = make_entries({"a": features}, head_names(), DEFAULT_INPUTS)
    assert len(entries) == len(set(entries))
    for head in head_names():
        assert entry("a", suited_input(head, features), head) in entries
    assert [str(e) for e in make_entries({"a": features}, ["mtmsd", "film"], ["suited"])] == [
        "mtmsd on spectra+planes+means of a", "film on spectra+planes of a",
    ]  # fmt: skip
    assert fitting_heads(["suited"]) == list(head_names()) and "film" not in fitting_heads(["spectra"])
    with pytest.raises(HsifeatError, match="unknown input 'suite'.*suited"):
        make_entries({"a": features}, ["film"], ["suite"])
