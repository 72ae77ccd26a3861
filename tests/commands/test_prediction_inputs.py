"""Scenes that `hsifeat predict` opens by file."""

import numpy as np
import pytest

import hsifeat
from classifiers.fit import fit_model
from hsifeat.commands.prediction_inputs import open_inputs
from hsifeat.runtime.events import Note


@pytest.mark.parametrize("inputs", ["spectra", "context"])
def test_notes_on_a_scene_are_sent_once(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    cube = rng.random((24, 24, 6)).astype(np.float32)
    truth = hsifeat.Labels("gt", np.where(cube[..., 0] > 0.5, 1, 2).astype(np.uint8))
    store = hsifeat.extract(
        hsifeat.Scene("train", cube).with_labels(truth), backbone="context", out=tmp_path / "train.zarr"
    )
    model = fit_model([store.location.path], "lda", inputs=inputs)
    cube[:2, :4] = -9  # no data, which nothing declares
    np.save(tmp_path / "other.npy", cube)
    events = []
    open_inputs(model, [str(tmp_path / "other.npy")], events.append)
    texts = [event.message for event in events if isinstance(event, Note)]
    assert len(set(texts)) == len(texts)
    assert sum("open or extract the scene with `nodata=-9`" in text for text in texts) == 1
