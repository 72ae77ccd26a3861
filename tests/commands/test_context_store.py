"""Commands extract a context store where an input needs one."""

import numpy as np
import pytest

import hsifeat
from hsifeat.commands.context_store import note_further_planes, open_with_context
from hsifeat.errors import HeadError, StoreError
from hsifeat.extraction import extract as extraction
from tests.helpers.context_stores import write_context_store


@pytest.fixture
def extractions(features, tmp_path, monkeypatch):
    """Replace the extraction by a store made by hand, and list the calls."""
    calls = []

    def extract(scene, *, backbone, listen):
        calls.append((scene.name, scene.digest, backbone))
        return write_context_store(tmp_path / "ctx.zarr", features).store

    monkeypatch.setattr(extraction, "extract", extract)
    return calls


def test_context_is_extracted_once_from_the_scene_in_the_store(store_path, features, tmp_path, extractions):
    notes = []
    opened = open_with_context([str(store_path)], ["spectra", "spectra+context"], notes.append)
    assert [store.is_context for store in opened] == [False, True]
    assert extractions == [("small", features.recipe["scene"], "context")]
    assert "extracting the context of small" in notes[0].message
    again = open_with_context([str(store_path), str(tmp_path / "ctx.zarr")], ["context"], notes.append)
    assert len(again) == 2 and len(extractions) == 1


@pytest.mark.parametrize("inputs", [[], ["suited"], ["spectra+planes"]])
def test_other_inputs_extract_nothing(store_path, inputs, extractions):
    assert len(open_with_context([str(store_path)], inputs, print)) == 1 and not extractions


def test_unknown_inputs_are_refused_before_anything_is_extracted(store_path, extractions):
    with pytest.raises(HeadError, match="unknown input"):
        open_with_context([str(store_path)], ["context", "contxt"], print)
    assert not extractions


def test_scenes_with_other_stores_are_refused_before_anything_is_extracted(store_path, tmp_path, monkeypatch):
    other = hsifeat.extract(
        hsifeat.Scene("other", np.random.default_rng(0).random((20, 20, 12))),
        backbone="context", layers=["mean-3"], out=tmp_path / "c.zarr",
    )  # fmt: skip
    extractions = []
    monkeypatch.setattr(extraction, "extract", extractions.append)
    with pytest.raises(StoreError, match="other has 0 stores of diffusion models, and small has 1"):
        open_with_context([str(store_path), str(other.location)], ["context"], print)
    assert not extractions


def test_planes_that_others_added_to_the_context_store_are_named(features, scene, tmp_path):
    small = write_context_store(tmp_path / "small.zarr", features)
    more = write_context_store(tmp_path / "more.zarr", features, **{"mean-25": small.scene.cube[:, :, :3]})
    notes = []
    note_further_planes(small, small, notes.append)
    assert not notes
    note_further_planes(more, small, notes.append)
    assert notes[0].message.startswith("more has 1 plane more than this command computes (mean-25), and all")


def test_the_planes_of_the_command_are_no_further_planes(scene, tmp_path):
    notes, out = [], tmp_path / "c.zarr"
    for layers, count in ((None, 0), (["mean-3", "mean-77"], 2)):
        more = {} if layers is None else {"layers": layers}
        hsifeat.extract(scene, backbone="context", **more, out=out)
        note_further_planes(hsifeat.open_features(out), None, notes.append)
        assert len(notes) == (count > 0)
    assert "2 planes more" in notes[0].message and "mean-3, mean-77" in notes[0].message
