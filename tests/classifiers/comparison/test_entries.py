"""Entries of a benchmark: heads, inputs and stores."""

import pytest

from classifiers.comparison.config import DEFAULT_INPUTS
from classifiers.comparison.entries import fitting_heads, make_entries, possible_inputs
from classifiers.comparison.stores import open_alternatives
from classifiers.heads.registry import head_names
from classifiers.input_sets import suited_input
from hsifeat.errors import HsifeatError, StoreError
from tests.helpers.comparisons import entry
from tests.helpers.context_stores import write_context_store


def test_entries_without_planes_do_not_repeat_per_store(features):
    stores = {"a": features, "b": features}
    entries = make_entries(stores, ["svm"], possible_inputs(stores, DEFAULT_INPUTS))
    assert [str(e) for e in entries] == [
        "svm on spectra", "svm on spectra+window", "svm on planes of a", "svm on planes of b",
        "svm on spectra+planes of a", "svm on spectra+planes of b",
    ]  # fmt: skip


def test_a_context_store_joins_every_other_store(features, opened, tmp_path):
    context = write_context_store(tmp_path / "ctx.zarr", features)
    stores = {name: one.first for name, one in open_alternatives([context, features, opened["tiles"]]).items()}
    assert list(stores) == ["small", "tiles"]
    entries = make_entries(stores, ["svm"], possible_inputs(stores, DEFAULT_INPUTS))
    assert [str(e) for e in entries] == [
        "svm on spectra", "svm on spectra+window", "svm on spectra+context", "svm on spectra+window+context",
        "svm on planes of small", "svm on planes of tiles", "svm on spectra+planes of small", "svm on spectra+planes of tiles",
        "svm on spectra+window+context+planes of small", "svm on spectra+window+context+planes of tiles",
    ]  # fmt: skip
    alone = {name: one.first for name, one in open_alternatives([context, context]).items()}
    assert list(alone) == ["ctx", "ctx'"]
    entries = make_entries(alone, ["svm"], possible_inputs(alone, DEFAULT_INPUTS))
    assert [str(e) for e in entries] == [
        "svm on spectra", "svm on spectra+window", "svm on spectra+context of ctx", "svm on spectra+context of ctx'",
        "svm on spectra+window+context of ctx",
        "svm on spectra+window+context of ctx'",
    ]  # fmt: skip


def test_suited_selects_one_input_per_head(features, tmp_path):
    entries = make_entries({"a": features}, head_names(), ["spectra", "suited"])
    assert len(entries) == len(set(entries))
    for head in head_names():
        assert entry("a", str(suited_input(head, features)), head) in entries
    assert [str(e) for e in make_entries({"a": features}, ["mtmsd", "film"], ["suited"])] == [
        "mtmsd on spectra+planes+means of a", "film on spectra+planes of a",
    ]  # fmt: skip
    large = {"spectraldiff", "supertoken"}  # their neighbourhoods must be named
    stores = {"a": features}
    assert fitting_heads(stores, ["suited"]) == [name for name in head_names() if name not in large]
    assert set(fitting_heads(stores, ["suited", "patches:5"])) & large == {"spectraldiff"}
    assert "film" not in fitting_heads(stores, ["spectra"])
    assert "film" in fitting_heads(stores, ["spectra+context"])
    assert "mtmsd" not in fitting_heads(stores, ["spectra+context+planes+means"])
    context = write_context_store(tmp_path / "ctx.zarr", features)
    alone = fitting_heads({"context": context}, ["suited"])
    assert {"lda", "svm", "film"} <= set(alone) and not {"mtmsd", "hyperfeatures", "diffcrn"} & set(alone)
    assert make_entries({"context": context}, alone, ["suited"])
    with pytest.raises(HsifeatError, match="unknown input 'suite'"):
        make_entries({"a": features}, ["film"], ["suite"])
    with pytest.raises(StoreError, match="needs the planes of a context store"):
        make_entries({"a": features}, ["lda"], ["spectra+context"])


def test_stores_of_one_recipe_are_one_alternative_and_each_scene_needs_all_of_them(features, opened, other_scene):
    (scenes,) = open_alternatives([features, other_scene]).values()
    assert scenes.scene_names == ("small", "second")
    with pytest.raises(
        StoreError, match="second has 1 store of a diffusion model, and small has 2: give the same stores"
    ):
        open_alternatives([features, opened["tiles"], other_scene])
    with pytest.raises(StoreError, match=r"planes of second have another recipe .*tiling.*`shared_projection=True`"):
        open_alternatives([opened["tiles"], other_scene])
