"""What joins two scenes compares all that gives their columns a meaning: a table of differences and ways.

A difference that is not part of the recipe gives a note in each way: a table, a fit, a benchmark and a prediction.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import rasterio
import xarray
from rasterio.enums import ColorInterp

import hsifeat
from classifiers import compare, fit_model, load_model, predict_map
from classifiers.table import PixelTable
from hsifeat.commands.prediction_inputs import open_inputs
from hsifeat.features.plane_facts import PlaneFacts, facts_notes
from hsifeat.features.stack import open_stack
from hsifeat.pretraining.data import fit_scenes, match_scenes
from hsifeat.projection import Projection
from hsifeat.runtime.events import Note, silent
from tests.helpers.tiny_training import TINY

ROWS, COLS = 24, 30
RGB = ("red", "green", "blue")
IDENTITY = Projection("all", np.eye(4, dtype=np.float32), np.zeros(4, np.float32), clip=False)


def labelled(name, seed, bands=4, **attributes):
    rng = np.random.default_rng(seed)
    truth = np.kron(rng.integers(1, 4, (4, 5)), np.ones((6, 6), int)).astype(np.uint8)
    cube = truth[..., None] * np.arange(1.0, bands + 1) + rng.normal(0, 0.1, (ROWS, COLS, bands))
    return hsifeat.Scene(name, cube.astype(np.float32), **attributes).with_labels(hsifeat.Labels("gt", truth))


def imported(folder, name, seed, **options):
    scene = labelled(name, seed)
    features = scene.labels["gt"].classes[..., None] * np.array([20, 30, 40])
    features = (features + np.random.default_rng(seed).integers(-2, 3, features.shape)).astype(np.int8)
    return hsifeat.import_planes(scene, {"e": features}, window=1, out=folder / f"{name}.zarr", **options)


def photograph_file(path):
    grid = {"height": 2 * ROWS, "width": 2 * COLS, "transform": rasterio.Affine(5, 0, 0, 0, -5, 0)}
    return rasterio.open(path, "w", driver="GTiff", count=3, dtype="uint8", **grid)


def with_photograph(folder, name, seed, colours, **options):
    """Extract a scene from its photograph, whose channels have the given colours."""
    scene = labelled(name, seed)
    photograph = np.kron(scene.labels["gt"].classes[..., None] * np.array([60, 40, 20]), np.ones((2, 2, 1), int))
    with photograph_file(folder / f"{name}.tif") as file:
        file.write(photograph[..., [RGB.index(colour) for colour in colours]].astype(np.uint8).transpose(2, 0, 1))
        file.colorinterp = [ColorInterp[colour] for colour in colours]
    np.save(folder / f"{name}.npy", scene.cube)
    opened = hsifeat.open_scene(folder / f"{name}.npy", companion=folder / f"{name}.tif")
    return hsifeat.extract(
        opened.with_labels(scene.labels["gt"]), backbone="untrained:natural32", companion=True, projection="rgb", timesteps=[0],
        layers=["conv_in"], tile=16, halo=4, noise="none", out=folder / f"{name}.zarr", **options,
    )  # fmt: skip


def with_context(folder, name, seed, **attributes):
    scene = labelled(name, seed, **attributes)
    return hsifeat.extract(
        scene, backbone="context", layers=["mean-3"], projection=IDENTITY, out=folder / f"{name}.zarr"
    )


def without_band(folder, name, seed, dropped, **attributes):
    """Import features of a scene without wavelengths and names, from which a band was left out."""
    whole = labelled(name, seed, bands=5, **attributes)
    scene = replace(whole.without_bands([dropped]), notes=())
    return hsifeat.import_planes(
        scene, {"e": np.ones((ROWS, COLS, 1), np.float32)}, window=1, out=folder / f"{name}.zarr"
    )


QUANTISED = "the values of t0/e are integers as stored in "
DIFFERENCES = {
    "dequantised": (
        "planes",
        partial(imported, name="a", seed=0),
        partial(imported, name="b", seed=1, dequantise="alphaearth", dtype="float16"),
        partial(imported, name="c", seed=1),
        QUANTISED,
    ),
    "reflectance scales": (
        "spectra",
        partial(without_band, name="a", seed=0, dropped=1, scale=10000.0),
        partial(without_band, name="b", seed=1, dropped=1),
        partial(without_band, name="c", seed=1, dropped=1, scale=10000.0),
        "its reflectance scale is 1, and that of",
    ),
    "reflectance scales of planes": (
        "context",
        partial(with_context, name="a", seed=0, scale=10000.0),
        partial(with_context, name="b", seed=1),
        partial(with_context, name="c", seed=1, scale=10000.0),
        "its planes were extracted from values with the reflectance scale 1, and those of",
    ),
    "colours of photographs": (
        "planes",
        partial(with_photograph, name="a", seed=0, colours=RGB),
        partial(with_photograph, name="b", seed=1, colours=("blue", "green", "red")),
        partial(with_photograph, name="c", seed=1, colours=RGB),
        "the channels of its companion image are taken in their order, although their names differ: 'blue' is taken for 'red' of",
    ),
    "bands that were left out": (
        "spectra",
        partial(without_band, name="a", seed=0, dropped=1),
        partial(without_band, name="b", seed=1, dropped=3),
        partial(without_band, name="c", seed=1, dropped=1),
        "other bands of their files were left out or reordered: 'band 1 of the file' is taken for 'band 2 of the file' of",
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=DIFFERENCES)
def stores(request, tmp_path_factory):
    inputs, a, b, c, expected = DIFFERENCES[request.param]
    folder = tmp_path_factory.mktemp("stores")
    return inputs, expected, *(store(folder).location.path for store in (a, b, c))


WAYS = ("table", "fit", "bench", "predict")


def join(way, inputs, a, other, folder, listen):
    if way == "table":
        PixelTable.from_store(
            [a, other], spectra=inputs == "spectra", planes=[] if inputs == "spectra" else None, listen=listen
        )
    elif way == "fit":
        fit_model([a, other], "lda", inputs=inputs, listen=listen)
    elif way == "bench":
        compare(
            [a, other], heads=["lda"], inputs=[inputs], splits=["blocks:6+2:0.3"], seeds=1, sweep=False, jobs=1, out=folder / "report",
            listen=listen,
        )  # fmt: skip
    else:
        fit_model([a], "lda", inputs=inputs).save(folder / "model")
        predict_map(hsifeat.open_features(other), load_model(folder / "model"), listen=listen)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_says_what_differs(stores, way, tmp_path):
    inputs, expected, a, differing, alike = stores
    for other, count in ((differing, 1), (alike, 0)):
        events = []
        join(way, inputs, a, other, tmp_path, events.append)
        said = [event.message for event in events if isinstance(event, Note) and expected in event.message]
        assert len(said) == count, said


def test_a_photograph_of_another_scene_is_no_other_option(tmp_path):
    a, b = (with_photograph(tmp_path, name, seed, RGB) for name, seed in (("a", 0), ("b", 1)))
    model = fit_model([a], "lda", inputs="planes")
    found = predict_map(hsifeat.open_features(b), model)
    truth = hsifeat.open_features(b).labels().classes
    assert (found == truth).mean() > 0.9
    assert hsifeat.open_features(a).options == hsifeat.open_features(b).options


@pytest.mark.parametrize(
    ("colours", "expected"), [("red green blue", False), ("blue green red", True), ("green red blue", True)]
)
def test_a_note_says_if_a_photograph_is_not_read_as_red_green_blue(colours, expected, tmp_path):
    events = []
    with_photograph(tmp_path, "a", 0, colours.split(), listen=events.append)
    said = [
        event.message
        for event in events
        if isinstance(event, Note) and "takes them as red, green and blue" in event.message
    ]
    assert len(said) == expected
    assert all(", ".join(colours.split()) in text for text in said)


def test_bands_keep_their_numbers_in_the_file(tmp_path):
    scene = labelled("a", 0, bands=6)
    assert scene.band_numbers == ()
    kept = scene.without_bands([1]).with_bands([4, 0, 2])
    assert kept.band_numbers == (5, 0, 3)
    store = hsifeat.import_planes(kept, {"e": np.ones((ROWS, COLS, 1), np.float32)}, window=1, out=tmp_path / "a.zarr")
    assert hsifeat.open_features(store.location.path).scene.band_numbers == (5, 0, 3)
    assert hsifeat.open_scene(tmp_path / "a.zarr/scene").band_numbers == (5, 0, 3)
    np.save(tmp_path / "b.npy", scene.cube)
    assert hsifeat.open_scene(tmp_path / "b.npy", bad_bands=[0, 3]).band_numbers == (1, 2, 4, 5)


@pytest.mark.parametrize("wrong", [(0, 1, 2, -1), "0123", (0.5, 1, 2, 3)])
def test_wrong_numbers_of_bands_are_refused(wrong):
    with pytest.raises(hsifeat.SceneError, match="band_numbers"):
        labelled("a", 0, band_numbers=wrong)


def test_names_and_numbers_of_a_replaced_array_are_dropped():
    photograph = xarray.DataArray(
        np.ones((ROWS, COLS, 3)), dims=("y", "x", "band"), coords={"band": ["red", "green", "blue"]}
    )
    scene = labelled("a", 0, bands=6, companion=photograph).without_bands([1])
    assert scene.companion_names == ("red", "green", "blue")
    fewer = replace(scene, cube=np.asarray(scene.cube)[..., :2], companion=np.ones((ROWS, COLS, 1)))
    assert fewer.band_numbers == fewer.companion_names == ()


def test_bands_that_the_user_selects_are_no_changed_wavelengths(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))
    nm = np.linspace(450, 900, 6)
    a, b = (labelled(name, seed, bands=6, wavelengths_nm=nm) for name, seed in (("a", 0), ("b", 1)))
    store = hsifeat.extract(a, backbone="context", layers=["mean-3"])
    like = hsifeat.open_features(hsifeat.extract(b, like=store, out=tmp_path / "b.zarr"))
    cube = xarray.DataArray(
        b.cube, dims=("y", "x", "wavelength"), coords={"wavelength": ("wavelength", nm, {"units": "nm"})}
    )
    cube.to_dataset(name="r").to_netcdf(tmp_path / "b.nc")
    features = hsifeat.open_features(store)
    for bands in ([5, 4, 3, 2, 1, 0], [0, 2, 4]):
        for inputs in ("context", "spectra+context"):
            events = []
            model = fit_model(features.with_bands(bands), "lda", inputs=inputs)
            (opened,) = open_inputs(model, [str(tmp_path / "b.nc")], events.append).values()
            np.testing.assert_array_equal(opened.sample([3, 9], [4, 20]), like.sample([3, 9], [4, 20]))
            np.testing.assert_array_equal(predict_map(opened, model, listen=events.append), predict_map(like, model))
            fit_model([features.with_bands(bands), like], "lda", inputs=inputs, listen=events.append)
            assert not [
                event.message
                for event in events
                if isinstance(event, Note) and "wavelengths" in event.message and "chang" in event.message
            ]


def test_a_note_says_that_only_their_order_pairs_two_photographs(tmp_path):
    for season in ("summer", "winter"):
        (tmp_path / season).mkdir()
    a, b = (
        [
            with_photograph(tmp_path / season, name, seed, colours)
            for season, colours in (("summer", RGB), ("winter", RGB[::-1]))
        ]
        for name, seed in (("a", 0), ("b", 1))
    )
    model = fit_model(a, "lda", inputs="planes")
    model.save(tmp_path / "model")
    for stores, expected in ((a, 0), (b, 1)):
        events = []
        predict_map(open_stack(stores), load_model(tmp_path / "model"), listen=events.append)
        assert sum("in the given order" in event.message for event in events if isinstance(event, Note)) == expected
    context = [
        hsifeat.extract(
            hsifeat.open_features(one[0]).scene,
            backbone="context",
            layers=["mean-3"],
            projection=IDENTITY,
            out=tmp_path / str(n),
        )
        for n, one in enumerate((a, b))
    ]
    for call, expected in (
        (partial(fit_model, [*a, *b], "lda", inputs="planes"), 1),
        (partial(fit_model, [*a, *b, *context], "lda", inputs="context"), 0),
        (
            partial(
                compare,
                [*a, *b],
                heads=["lda"],
                inputs=["planes"],
                splits=["blocks:6+2:0.3"],
                seeds=1,
                sweep=False,
                jobs=1,
                out=tmp_path / "r",
            ),
            1,
        ),
    ):
        events = []
        call(listen=events.append)
        assert sum("in the given order" in event.message for event in events if isinstance(event, Note)) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [(("NIR", "Red", "Green"), ("NIR", "Red", "Green")), (("Band 1", "Band 2", "Band 3"), RGB), (None, RGB)],
)
def test_descriptions_of_a_photograph_count_more_than_its_colours(names, expected, tmp_path):
    with photograph_file(tmp_path / "p.tif") as file:
        file.write(np.ones((3, 2 * ROWS, 2 * COLS), np.uint8))
        if names:
            file.descriptions = names
    np.save(tmp_path / "s.npy", labelled("a", 0).cube)
    assert hsifeat.open_scene(tmp_path / "s.npy", companion=tmp_path / "p.tif").companion_names == expected


@pytest.mark.parametrize("names", [("Band 1", "Band 2"), ("1", "2"), ()])
def test_names_that_only_count_are_not_compared_with_others(names):
    a, b = {"t0/e": PlaneFacts(channels=names)}, {"t0/e": PlaneFacts(channels=("A", "B"))}
    assert facts_notes(a, b, "a", "b") == facts_notes(b, a, "b", "a") == []
    assert len(facts_notes(a, {"t0/e": PlaneFacts(channels=names[::-1])}, "a", "b")) == bool(names)
    assert not facts_notes(a, {"t0/e": PlaneFacts(channels=("band_0", "band_1"))}, "a", "b")
    assert not facts_notes(
        {"x": PlaneFacts(channels=("R", "g"))}, {"x": PlaneFacts(channels=("red", "green"))}, "a", "b"
    )


def test_a_note_says_that_a_scene_has_another_reflectance_scale_than_a_projection_or_a_network(tmp_path):
    a, b, c = (labelled(name, 0, scale=scale) for name, scale in (("a", 10000.0), ("b", 1.0), ("c", 10000.0)))
    store = hsifeat.extract(a, backbone="context", out=tmp_path / "a.zarr")
    hsifeat.fit_projection("pca:3", a).save(tmp_path / "p.safetensors")
    assert Projection.load(tmp_path / "p.safetensors").scale == 10000
    assert fit_scenes([a], TINY, 3, silent).scale == 10000
    for other, expected in ((b, True), (c, False)):
        for options in ({"like": store}, {"shared_projection": True, "backbone": "context"}):
            events = []
            hsifeat.extract_scenes(
                [a, other] if "backbone" in options else [other],
                **options,
                out=tmp_path / str(len(options)),
                listen=events.append,
            )
            said = [
                event.message
                for event in events
                if isinstance(event, Note) and "its reflectance scale is 1, and" in event.message
            ]
            assert len(said) == expected, said
        assert any("reflectance scale" in note for note in match_scenes([a, other])[1].notes) == expected


def test_scales_are_noted_once_and_not_for_scenes_of_the_training(tmp_path):
    a, b = (with_context(tmp_path, name, seed, scale=scale) for name, seed, scale in (("a", 0, 10000.0), ("b", 1, 1.0)))
    c = with_context(tmp_path, "c", 2)
    for inputs in ("spectra", "context", "spectra+context"):
        both, one = (fit_model(stores, "lda", inputs=inputs) for stores in ([a, b], [a]))
        for model, store, expected in ((one, a, 0), (one, c, 1), (both, a, 0), (both, b, 0), (both, c, 0)):
            events = []
            model.save(tmp_path / "model")
            predict_map(hsifeat.open_features(store), load_model(tmp_path / "model"), listen=events.append)
            assert sum("reflectance scale" in event.message for event in events if isinstance(event, Note)) == expected
        events = []
        fit_model([a, b], "lda", inputs=inputs, listen=events.append)
        assert sum("reflectance scale" in event.message for event in events if isinstance(event, Note)) == 1


def test_a_stack_takes_scale_and_numbers_of_the_store_that_has_them(tmp_path):
    scene = labelled("a", 0, bands=5).without_bands([1])
    plain = replace(scene, band_numbers=())
    stores = [
        hsifeat.import_planes(
            one, {name: np.ones((ROWS, COLS, 1), np.float32)}, window=1, out=tmp_path / f"{name}.zarr"
        )
        for name, one in (("x", plain), ("y", replace(scene, scale=10000.0)))
    ]
    stacked = open_stack(stores).scene
    assert (stacked.scale, stacked.band_numbers) == (10000, (0, 2, 3, 4))
