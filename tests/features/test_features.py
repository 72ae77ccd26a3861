"""Reading against torch's own interpolation, and against brute force for window means."""

import json
import pickle
import shutil
import socket

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from classifiers import PixelTable
from hsifeat import open_features
from hsifeat.errors import HsifeatError, SceneError, StoreError
from hsifeat.features.features import Features
from hsifeat.features.stack import StackedFeatures
from hsifeat.scenes.colours import false_colour
from hsifeat.store.store import Store
from hsifeat.types import PlaneId, Window
from tests.helpers.fuzz_subjects import reseal_store

ROWS, COLS = 75, 53


@pytest.fixture(scope="module")
def whole(store_path):
    """The oracle: each plane at full size by torch."""
    features = open_features(store_path)
    maps = {}
    for plane in features.planes:
        cells = torch.from_numpy(np.asarray(features.store.plane(plane.id)[:], np.float32)).permute(2, 0, 1)[None]
        large = F.interpolate(cells, scale_factor=plane.stride, mode="bilinear", align_corners=False)[0]
        maps[str(plane.id)] = large.permute(1, 2, 0).numpy()[:ROWS, :COLS]
    return lambda name: maps[name]


@pytest.fixture(scope="module")
def opened(store_path):
    return open_features(store_path)


def test_a_store_is_opened_by_object_path_or_location(opened, store_path):
    store = Store.open(store_path)
    for source in (store, store_path, str(store_path), store.location):
        assert open_features(source).planes == opened.planes


def test_what_there_is(opened):
    assert [str(p.id) for p in opened.planes] == [
        "t0/mid_block", "t0/up_blocks.0", "t0/up_blocks.1", "t0/up_blocks.2",
        "t300/mid_block", "t300/up_blocks.0", "t300/up_blocks.1", "t300/up_blocks.2",
    ]  # fmt: skip
    assert [(p.stride, p.channels) for p in opened.planes[:4]] == [(4, 16), (2, 16), (1, 16), (1, 8)]
    assert not opened.unfinished


@pytest.mark.parametrize("bands", [None, [2, 0]], ids=["all bands", "two bands"])
def test_what_a_store_returns_can_not_change_what_it_returns_later(bands, store_path):
    """The oracle is a store that is opened anew."""
    features = open_features(store_path)
    features = features if bands is None else features.with_bands(bands)
    for array in (
        features.valid,
        features.readable,
        features.labels().classes,
        features.scene.valid,
        features.scene.wavelengths_nm,
        features.scene.labels["fields"].classes,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0
    features.recipe["backbone"].clear()
    features.label_maps.clear()
    fresh = open_features(store_path)
    assert features.recipe == fresh.recipe and list(features.label_maps) == list(fresh.label_maps) == ["fields"]
    copy = features.labels().classes.copy()
    copy[:20] = 0
    assert features.labels().counts == fresh.labels().counts


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(0, COLS - 1)), min_size=1, max_size=60))
def test_samples_are_torchs_interpolation(opened, whole, pixels):
    rows, cols = np.array(pixels).T
    names = ["t0/mid_block", "t300/up_blocks.0", "t0/up_blocks.2"]
    found = opened.sample(rows, cols, names)
    wanted = np.concatenate([whole(name)[rows, cols] for name in names], axis=1)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    assert found.dtype == np.float32


@settings(max_examples=25)
@given(st.integers(0, ROWS - 1), st.integers(0, COLS - 1), st.integers(1, 60), st.integers(1, 60))
def test_blocks_are_torchs_interpolation(opened, whole, row, col, height, width):
    window = Window(row, col, min(height, ROWS - row), min(width, COLS - col))
    found = opened.read(window, ["t300/*"])
    wanted = np.concatenate([whole(str(p.id))[window.slices] for p in opened.planes if p.id.t == 300], axis=2)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("side", [1, 4, 5, 24])
def test_window_means_are_those_of_brute_force(opened, whole, scene, side):
    rows, cols = np.array([0, 0, 40, ROWS - 1, 30]), np.array([0, COLS - 1, 20, 3, 52])
    planes = opened.sample(rows, cols, ["t0/mid_block", "t0/up_blocks.2"], pool=side)
    spectra = opened.spectra(rows, cols, pool=side)
    for i, (r, c) in enumerate(zip(rows, cols, strict=True)):
        top, left = r - side // 2, c - side // 2
        inside = slice(max(top, 0), top + side), slice(max(left, 0), left + side)
        wanted = np.concatenate([whole(n)[inside].mean(axis=(0, 1)) for n in ("t0/mid_block", "t0/up_blocks.2")])
        np.testing.assert_allclose(planes[i], wanted, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(spectra[i], scene.cube[inside].mean(axis=(0, 1)), rtol=1e-5)


def test_spectra_are_the_scenes(opened, scene):
    rows, cols = np.nonzero(scene.labels["fields"].classes)
    np.testing.assert_array_equal(opened.spectra(rows, cols), scene.cube[rows, cols].astype(np.float32))


def test_dask_is_lazy_and_aligned_with_shards(opened):
    lazy = opened.to_dask("t0/mid_block")
    array = opened.store.plane(PlaneId(0, "mid_block"))
    assert lazy.chunks[2] == (16,) and lazy.chunksize[0] == min(array.shards[0], array.shape[0])
    np.testing.assert_array_equal(lazy.mean(axis=2).compute(), lazy.compute().mean(axis=2))
    np.testing.assert_array_equal(lazy.compute(), np.asarray(array[:]))


BEYOND = [Window(-3, 0, 2, 2), Window(74, 0, 5, 5), Window(80, 0, 2, 2), Window(0, 0, -2, 50), Window(0, -1, 1, 1)]
"""Windows that a slice of NumPy wraps around or cuts."""


def test_empty_requests(opened):
    assert opened.read(Window(0, 0, 0, 0)).shape == (0, 0, opened.read(Window(0, 0, 1, 1)).shape[2])
    assert opened.sample([], [], ["t0/mid_block"]).shape == (0, 16)
    assert opened.sample([1], [1], []).shape == (1, 0)
    assert opened.spectra([], []).shape == (0, 12)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda f: f.sample([0], [0], ["t1/mid_block"]), "no plane 't1/mid_block'; nearest: t0/mid_block"),
        (lambda f: f.sample([0, 75], [0, 1]), r"pixel \(75, 1\) lies outside the scene of 75 x 53"),
        (lambda f: f.sample([0], [-1]), r"pixel \(0, -1\) lies outside"),
        (lambda f: f.sample([0], [0, 1]), "must be of one length; found 1 and 2"),
        (lambda f: f.spectra(np.array([[1], [2]]), [3, 4]), r"not a mesh; found the shapes \(2, 1\) and \(2,\)"),
        (lambda f: f.spectra(*np.ix_([1, 2], [3, 4])), r"not a mesh; found the shapes \(2, 1\) and \(1, 2\)"),
        (lambda f: f.sample([0.5], [0]), r"must be whole numbers; found \[0.5\] of dtype float64"),
        (lambda f: f.sample([np.nan], [0]), "must be whole numbers"),
        (lambda f: f.sample(["1"], [0]), "must be whole numbers"),
        (lambda f: f.sample([True], [0]), "must be whole numbers"),
        (lambda f: f.read(Window(70, 0, 6, 1)), "reaches beyond the scene"),
        (
            lambda f: f.read((0, 0, 2, 2)),
            r"a window is Window\(row, col, rows, cols\) with four integers; found \(0, 0",
        ),
        (lambda f: f.read(Window(0.0, 0, 2, 2)), "with four integers; found Window"),
        *((lambda f, at=at: f.read_scene(at), "reaches beyond the scene of 75 x 53") for at in BEYOND),
        *((lambda f, at=at: f.store.read_scene(at), "reaches beyond the scene of 75 x 53") for at in BEYOND),
        *(
            (lambda f, at=at: f.store.read(f.planes[0].id, at), r"reaches beyond the plane t\S+ of \d+ x \d+")
            for at in BEYOND
        ),
        (lambda f: f.spectra([0], [0], pool=0), "at least 1 pixel"),
        *(
            (lambda f, pool=pool: f.sample([0], [0], pool=pool), f"whole number, at least 1 pixel; found {pool!r}$")
            for pool in (2.0, "3", np.nan, True)
        ),
        *(
            (lambda f, size=size: f.patches([0], [0], size), f"must be odd, .*; found {size!r}$")
            for size in (3.0, True, None, "3")
        ),
        (lambda f: f.select(5), r"planes are named by a list of texts such as \['t50/\*'\]; found 5"),
        (lambda f: f.labels(["fields"]), r"a label map in a store is named by a text; found \['fields'\]"),
        (lambda f: PixelTable.from_store(f, labels=f.labels().classes), "is named by a text; found array"),
        (lambda f: PixelTable.from_store(f, spectra="no"), "spectra is True or False; found 'no'"),
        (lambda f: f.labels("soil"), "no labels 'soil'; it holds: fields"),
        (lambda _: PlaneId.parse("50/up"), "a plane name such as t50/up_blocks.2"),
        (lambda _: open_features("nowhere.zarr"), "no store at or named 'nowhere.zarr'"),
    ],
)
def test_wrong_requests(opened, ask, message):
    with pytest.raises(StoreError, match=message):
        ask(opened)


def test_a_single_plane_is_selected_without_a_list(opened):
    (plane,) = opened.select(["t0/mid_block"])
    assert opened.select(plane.id) == opened.select(plane) == opened.select("t0/mid_block") == [plane]


def test_planes_of_one_name_are_told_when_stores_are_stacked(opened):
    class OfContext(Features):
        is_context = True

    with pytest.raises(StoreError, match=r"both have a plane t0/\S+: stack one of them at a time"):
        StackedFeatures([opened, OfContext(opened.store)])


def test_a_flipped_byte_is_caught_on_reading(store_path, tmp_path):
    import shutil

    shutil.copytree(store_path, tmp_path / "s.zarr")
    shard = next((tmp_path / "s.zarr" / "planes" / "t0000" / "mid_block" / "c").rglob("0"), None)
    shard = next(
        p for p in (tmp_path / "s.zarr" / "planes" / "t0000" / "mid_block").rglob("*") if p.is_file() and p.name == "0"
    )
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    rows, cols = np.indices((ROWS, COLS)).reshape(2, -1)
    with pytest.raises(HsifeatError, match="damaged"):
        open_features(tmp_path / "s.zarr").sample(rows, cols, ["t0/mid_block"])


def test_a_lost_shard_is_told_and_not_read_as_zeros(store_path, tmp_path):
    import shutil

    shutil.copytree(store_path, tmp_path / "s.zarr")
    folder = tmp_path / "s.zarr" / "planes" / "t0000" / "up_blocks.0"
    next(p for p in folder.rglob("0") if p.is_file()).unlink()
    with pytest.raises(HsifeatError, match="planes/t0000/up_blocks.0/c/0/0/0 is missing"):
        open_features(tmp_path / "s.zarr").sample([3], [3], ["t0/up_blocks.0"])


@pytest.mark.parametrize("gone", ["planes", "all"])
def test_a_store_that_is_deleted_under_a_reader_gives_no_empty_values(store_path, tmp_path, gone):
    import shutil

    path = tmp_path / "s.zarr"
    shutil.copytree(store_path, path)
    features = open_features(path)
    lazy = features.to_dask("t300/mid_block")
    for folder in [path] if gone == "all" else [path / "planes", path / "progress"]:
        shutil.rmtree(folder)
    message = r"planes/t0\d00/mid_block/c/\d/\d/0 is missing"
    if gone == "all":
        message = "zarr.json is missing or unfinished: the store was deleted since it was opened"
        with pytest.raises(HsifeatError, match=message):
            features.spectra([3], [3])
    for read in (lazy.compute, lambda: features.sample([3], [3], ["t0/mid_block"])):
        with pytest.raises(HsifeatError, match=message):
            read()


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("crs", "http://127.0.0.1:{port}/crs", "is not WKT; found 'http"),
        ("crs", "{prj}", "is not WKT; found"),
        ("crs", "nonsense", "is not WKT; found 'nonsense'"),
        ("transform", [0, 0, 0, 0, 0, 0], "no position of the pixels"),
        ("transform", [1, 0, 0, 0, 1, 0], ""),
    ],
)
def test_the_crs_of_a_stranger_is_neither_fetched_nor_opened(store_path, tmp_path, field, text, message):
    """GDAL would open an address or a path in place of a CRS."""
    (tmp_path / "utm.prj").write_text(CRS.from_epsg(32632).to_wkt())
    store = shutil.copytree(store_path, tmp_path / "x.zarr")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        if isinstance(text, str):
            text = text.format(port=server.getsockname()[1], prj=tmp_path / "utm.prj")
        root = json.loads((store / "zarr.json").read_text())
        root["attributes"]["hsifeat"]["scene"] |= {"crs": None, "transform": [1, 0, 0, 0, -1, 0], field: text}
        (store / "zarr.json").write_text(json.dumps(root))
        reseal_store(store)
        if not message:
            assert open_features(store).georeference.transform == tuple(text)
            return
        with pytest.raises(StoreError, match=message):
            print(open_features(store).georeference)
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_store_with_metadata_nested_too_deeply_is_damaged(store_path, tmp_path):
    store = shutil.copytree(store_path, tmp_path / "x.zarr")
    for name in ("zarr.json", "zarr.copy.json", "timings.json"):
        (store / name).write_bytes(b"[" * 100_000)
    with pytest.raises(StoreError, match=r"zarr\.json was changed"):
        open_features(store)


@pytest.mark.parametrize(
    "read",
    [
        lambda features: features.spectra(*np.indices((ROWS, COLS)).reshape(2, -1)),
        lambda features: features.scene.cube[:, :, ::2],
        lambda features: pickle.loads(pickle.dumps(features.scene)).digest,  # noqa: S301  # of this test
        lambda features: false_colour(features.scene.cube, features.scene.wavelengths_nm, features.valid),
        lambda features: features.to_xarray()["spectra"].values,
    ],
    ids=["spectra", "cube", "digest", "false_colour", "to_xarray"],
)
def test_a_damaged_scene_is_told(store_path, tmp_path, read):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    shard = next(p for p in (tmp_path / "s.zarr" / "scene" / "cube").rglob("0") if p.is_file())
    content = bytearray(shard.read_bytes())
    content[len(content) // 3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        StoreError, match=r"s\.zarr: scene/cube(/c/0/0/0)? is damaged \(.*\): hsifeat cache verify .* --repair shows"
    ):
        read(open_features(tmp_path / "s.zarr"))


@pytest.mark.parametrize("wrong", [-1, 10**6])
def test_bands_that_the_store_lacks_are_refused(features, wrong):
    with pytest.raises(SceneError, match=f" has the bands 0 to [0-9]+; found {wrong}$"):
        features.with_bands([0, wrong])
