"""Bands of stores and models, matched by wavelength: several scenes and predictions get the notes that scenes get."""

from dataclasses import replace

import numpy as np
import pytest

from classifiers.heads.registry import make_head
from classifiers.layout import Layout
from classifiers.model import Model
from classifiers.predict import predict_map, write_scene_map
from classifiers.table import PixelTable
from classifiers.tune import tune_head
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.features.scene_features import SceneFeatures
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import Note
from hsifeat.scenes import Labels, Scene

# Two detectors that overlap at 650 nm, and two near bands.
NM = (450.0, 550, 553, 650, 650, 750)


def spectra_of(name, nm):
    values = np.random.default_rng([*name.encode()]).random((3, 4, len(NM if nm is None else nm)), np.float32)
    labels = Labels("fields", np.resize([1, 2], (3, 4)), {1: "low", 2: "high"})
    nm = None if nm is None else np.array(nm)
    return SceneFeatures(Scene(name, values, wavelengths_nm=nm, labels={"fields": labels}))


@pytest.fixture(scope="module")
def model():
    X = np.random.default_rng(1).random((40, 6), np.float32)
    head = make_head("lda", Layout.from_json([{"kind": "spectra", "start": 0, "stop": 6}])).fit(X, 1 + (X[:, 0] > 0.5))
    return Model(head, {1: "low", 2: "high"}, {}, {}, 40, wavelengths_nm=NM)


@pytest.mark.parametrize(
    ("nm", "part"),
    [
        ((450.0, 550, 553, 650, 750), "other: bands with equal wavelengths (650 nm) can't be told apart"),
        ((450.0, 550, 553, 650, 650, 650, 750), "other: bands with equal wavelengths (650 nm) can't be told apart"),
        (None, "other: its bands are taken in their order, because the wavelengths of other are unknown"),
        ((450.0, 551, 650, 650, 750), "other: one band is the nearest to several bands"),
        ((451.0, 551, 554, 651, 651, 751), None),
        (NM, None),
    ],
)
def test_stores_get_the_notes_of_scenes(model, nm, part, tmp_path):
    other = spectra_of("other", nm)
    runs = {
        "from_store": lambda listen: PixelTable.from_store(SceneSet([spectra_of("x", NM), other]), listen=listen),
        "several scenes": lambda listen: SceneSet([spectra_of("x", NM), other]).with_matched_bands(listen),
        "match_store": lambda listen: model.match_store(other, listen),
        "predict_map": lambda listen: predict_map(other, model, listen=listen),
        "write_scene_map": lambda listen: write_scene_map(other, model, tmp_path / "m.npy", listen=listen),
    }
    for run, call in runs.items():
        events = []
        call(events.append)
        said = [event.message for event in events if isinstance(event, Note)]
        assert len(said) == (part is not None), (run, said)
        assert part is None or part in said[0], (run, said)


def test_joined_tables_have_the_same_bands():
    def table(name, nm, **columns):
        return PixelTable.from_store(SceneSet([spectra_of(name, nm)]), **columns)

    first, near = table("a", NM), table("c", np.array(NM) + 1)
    np.testing.assert_array_equal(PixelTable.concatenate([first, near]).X, np.concatenate([first.X, near.X]))
    for columns in ({}, {"spectra": False, "window": 3}, {"spectra": False, "spectral_patch": 3}):
        with pytest.raises(StoreError, match=r"b has its bands in another order than a: read both with `from_store\("):
            PixelTable.concatenate([table("a", NM, **columns), table("b", NM[::-1], **columns)])
    position = {"spectra": False, "position": True}
    assert len(PixelTable.concatenate([table("a", NM, **position), table("b", NM[::-1], **position)])) == 24
    with pytest.raises(SceneError, match="no band within 5 nm"):
        PixelTable.concatenate([first, table("d", np.array(NM) + 400)])
    with pytest.raises(StoreError, match="b has other columns than a"):
        PixelTable.concatenate([first, table("b", NM, window=3)])
    with pytest.raises(StoreError, match="no tables"):
        PixelTable.concatenate([])
    with pytest.raises(StoreError, match=r"two tables are of one scene \(a\), so that pixels would count twice: give"):
        PixelTable.concatenate([first[:5], near, first[5:]])
    with pytest.raises(
        StoreError, match="a table has the scenes a, c already: join the tables of all scenes in one call"
    ):
        PixelTable.concatenate([PixelTable.concatenate([first, near]), table("e", NM)])


@pytest.mark.parametrize(
    ("nm", "other_nm", "note"),
    [
        (NM, None, "b: its bands are taken in their order, because the wavelengths of b are unknown"),
        (None, NM, "b: its bands are taken in their order, because the wavelengths of a are unknown"),
        (
            (450.0,) * 3 + (650.0,) * 3,
            (451.0,) * 3 + (651.0,) * 3,
            "b: bands with equal wavelengths (451, 651 nm) can't be",
        ),
        (NM, (451.0, 551, 554, 651, 651, 751), None),
        (NM, NM, None),
        (None, None, None),
    ],
)
def test_tables_get_the_notes_of_stores(nm, other_nm, note):
    a, b = (
        PixelTable.from_store(SceneSet([spectra_of(name, values)])) for name, values in (("a", nm), ("b", other_nm))
    )
    head = make_head("lda", a.layout)
    for run in (
        lambda listen: PixelTable.concatenate([a, b], listen=listen),
        lambda listen: tune_head(head, a, {}, validation=b, listen=listen),
    ):
        events = []
        run(events.append)
        said = [event.message for event in events if isinstance(event, Note) and event.message.startswith("b: ")]
        assert len(said) == (note is not None)
        assert note is None or said[0].startswith(note)
    position = {"spectra": False, "position": True}
    without = [
        PixelTable.from_store(SceneSet([spectra_of(name, nm)]), **position) for name, nm in (("a", NM), ("b", None))
    ]
    PixelTable.concatenate(without, listen=pytest.fail)
    with pytest.raises(HsifeatError, match="listen is a function that receives events"):
        PixelTable.concatenate([a, b], listen=3)


def test_a_note_names_the_training_scene_if_its_wavelengths_were_corrected(model):
    trained = replace(model, recipe={"scene": spectra_of("first", NM).recipe["scene"]})
    for name, nm, noted in (("first", NM[::-1], True), ("first", tuple(np.array(NM) + 1), False), ("first", NM, False)):
        events = []
        matched = trained.match_store(spectra_of(name, nm), events.append)
        assert [event for event in events if "the training scene, but its wavelengths" in event.message] == events
        assert bool(events) == noted
        assert np.array_equal(matched.spectra([0], [0]), spectra_of(name, nm).spectra([0], [0])) != noted
    other = SceneFeatures(Scene("other", np.ones((3, 4, 6), np.float32), wavelengths_nm=np.array(NM[::-1])))
    events = []
    trained.match_store(other, events.append)
    assert not events
