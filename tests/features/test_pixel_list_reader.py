"""Reading a store that lists pixels: values of the raw arrays at them, one clear message elsewhere."""

import json
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

import hsifeat
from classifiers import compare
from classifiers.columns import make_layout
from classifiers.fit import fit_model
from classifiers.input_sets import InputSet
from classifiers.predict import write_scene_map
from classifiers.splits import layout_footprints
from classifiers.table import PixelTable
from hsifeat.cache import catalogue
from hsifeat.cache.usage import list_usage, store_details
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.extraction.repair import repair, verify
from hsifeat.features.export import export_features
from hsifeat.features.open_features import open_features
from hsifeat.runtime.events import Note
from hsifeat.scenes import Labels, Scene
from hsifeat.store.location import as_location
from hsifeat.types import PlaneId, Window
from tests.helpers.small import small_labels

SIDE, LAYERS = 8, ("mid_block", "up_blocks.1")
NAMES = [f"t{t}/{layer}" for t in (0, 300) for layer in LAYERS]
# Every third line of fields, in two units.
FEW = small_labels() * (np.indices((75, 53))[0] // 9 % 3 == 0).astype(np.uint8)
CLASSES = {1: "corn", 2: "wheat", 3: "woods", 4: "grass"}


@pytest.fixture(scope="module")
def path(scene, backbone_folder, tmp_path_factory):
    location = tmp_path_factory.mktemp("listed") / "listed.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        few = Scene("small", scene.cube, scene.wavelengths_nm, {"few": Labels("few", FEW, CLASSES)})
        options = {"timesteps": [0, 300], "layers": LAYERS, "pixels": "few", "tile": SIDE}
        hsifeat.extract(few, backbone=backbone_folder, **options, out=location)
        # Label maps are added later, too: one of more pixels than the store lists.
        whole = Scene("small", scene.cube, scene.wavelengths_nm, {"fields": scene.labels["fields"]})
        hsifeat.extract(whole, like=location, out=location)
    return location


@pytest.fixture
def listed(path):
    return open_features(path)


@pytest.fixture(scope="module")
def opened(path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(path.parent / "cache"))
        return open_features(path)


@pytest.fixture(scope="module")
def raw(path):
    return zarr.open_group(path, mode="r")


@pytest.fixture(scope="module")
def stored(raw):
    """The raw arrays of all planes."""
    return [raw[f"planes/{PlaneId.parse(name).path}"][:] for name in NAMES]


def test_contents(listed, raw):
    rows, cols = np.nonzero(FEW)
    np.testing.assert_array_equal(raw["pixels/rows"][:], rows)
    np.testing.assert_array_equal(raw["pixels/cols"][:], cols)
    assert [str(p.id) for p in listed.planes] == NAMES and not listed.covers_scene and listed.window_px(9) == SIDE
    assert raw["planes/t0300/mid_block"].shape == (len(rows), 2, 16)
    np.testing.assert_array_equal(listed.readable, FEW != 0)
    assert listed.size_bytes(listed.planes[0]) == raw["planes/t0000/mid_block"].nbytes
    assert len(listed.store.units) == -(-len(rows) // 512) == 2


def test_the_list_of_pixels_can_not_be_changed(listed):
    for array in (listed.readable, *listed.store.pixels):
        with pytest.raises(ValueError, match="read-only"):
            array[:1] = 0


@settings(max_examples=25)
@given(st.lists(st.integers(0, np.count_nonzero(FEW) - 1), max_size=30), st.sampled_from([None, SIDE]))
def test_samples_are_the_raw_rows_in_any_order(opened, stored, indices, pool):
    rows, cols = np.array(np.nonzero(FEW))[:, np.array(indices, int)]
    values = opened.sample(rows, cols, pool=pool)
    wanted = [array[indices, 0 if pool is None else 1] for array in stored]
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.concatenate(wanted, axis=1).astype(np.float32))


def test_missing_values_are_one_clear_line(listed, path, tmp_path):
    only = f"listed holds windows around {np.count_nonzero(FEW)} pixels only"
    refused = {
        rf"{only}, not around pixel \(10, 0\): extract the scene without `pixels`": lambda: listed.sample(
            [0, 10], [0, 0]
        ),
        "means over windows of 8 px, not of 5 px": lambda: listed.sample([0], [0], pool=5),
        rf"{only}, so t0/mid_block can't be read as a map": lambda: listed.read(Window(0, 0, 2, 2)),
        rf"{only}, so t0/mid_block has no neighbourhoods of 3 px": lambda: listed.patches([0], [0], 3),
        rf"{only}, not around pixel \(9, 0\)": lambda: export_features(listed, tmp_path / "all.npy", labels="fields"),
        r"not around pixel \(9, 0\)": lambda: PixelTable.from_store(path, labels="fields"),
        r"pixel \(75, 0\) lies outside": lambda: listed.sample([75], [0]),
    }
    for message, request in refused.items():
        with pytest.raises(StoreError, match=message) as raised:
            request()
        assert "\n" not in str(raised.value)
    assert list(tmp_path.glob("all*")) == []


@pytest.mark.parametrize("labels", ["few", "fields"])
def test_all_listed_pixels_are_exported(listed, stored, tmp_path, labels):
    events = []
    values, pixels, _ = export_features(
        listed, tmp_path / "all.npy", labels=labels, all_pixels=True, listen=events.append
    )
    np.testing.assert_array_equal(np.load(values), np.concatenate([array[:, 0] for array in stored], axis=1))
    table = np.genfromtxt(pixels, delimiter=",", skip_header=1, dtype=int)
    np.testing.assert_array_equal(table.T, [*np.nonzero(FEW), FEW[FEW != 0]])
    count = np.count_nonzero(FEW)
    assert Note(f"listed has features of {count:,} of {FEW.size:,} valid pixels: only these are exported") in events
    values, *_ = export_features(
        listed, tmp_path / "spectra.npy", planes=[], labels=labels, all_pixels=True, spectra=True
    )
    assert len(np.load(values)) == FEW.size


def test_lazy_views_are_the_raw_arrays(listed, raw, tmp_path):
    values = raw["planes/t0300/up_blocks.1"][:]
    lazy = listed.to_dask("t300/up_blocks.1")
    assert lazy.shape == (np.count_nonzero(FEW), 16)
    np.testing.assert_array_equal(lazy.compute(), values[:, 0])
    dataset = listed.to_xarray()
    plane = dataset["t300_up_blocks_1"]
    assert plane.dims == ("pixel", "part", "channel_up_blocks.1")
    np.testing.assert_array_equal(plane.sel(part="window mean").to_numpy(), values[:, 1])
    np.testing.assert_array_equal(np.column_stack([dataset.row, dataset.col]), np.argwhere(FEW))
    dataset.drop_vars("spectra").to_netcdf(tmp_path / "s.nc")


def test_a_table_has_values_and_means(path, listed, raw):
    table = PixelTable.from_store(path, labels="few", window=5, means=SIDE, planes=["t300/*"])
    assert [str(group) for group in table.layout] == [
        "spectra", "spectra mean 5x5", "t300/mid_block", "t300/mid_block mean 8x8", "t300/up_blocks.1",
        "t300/up_blocks.1 mean 8x8",
    ]  # fmt: skip
    middle = raw["planes/t0300/mid_block"][:].astype(np.float32)
    np.testing.assert_array_equal(table.X[:, 24:40], middle[:, 0])
    np.testing.assert_array_equal(table.X[:, 40:56], middle[:, 1])
    np.testing.assert_array_equal(table.y, FEW[FEW != 0])
    np.testing.assert_array_equal(PixelTable.from_store(path, labels="few", means=SIDE).X, PixelTable.from_store(
        listed, labels=Labels("again", FEW), means=SIDE).X)  # fmt: skip
    with pytest.raises(StoreError, match="windows of 8 px, not of 16 px"):
        PixelTable.from_store(path, labels="few", means=16)


def test_means_of_a_dense_store_are_its_window_means(store_path, features):
    table = PixelTable.from_store(store_path, means=5, planes=["t0/mid_block"], spectra=False)
    np.testing.assert_array_equal(table.X[:, 16:], features.sample(table.rows, table.cols, ["t0/mid_block"], pool=5))


def test_heads_learn_and_are_compared(path, tmp_path):
    listed = open_features(path)
    model = fit_model(listed, "svm", labels="few", split="random:0.2")
    assert model.evaluation.scores.oa > 0.3 and "8x8 px window" in model.evaluation.footprint
    comparison = compare(
        path, heads=["svm"], splits=["random:0.2", "blocks:9+1:0.3"], seeds=1, labels="few", out=tmp_path,
        inputs=["spectra", "planes"],
    sweep=False)  # fmt: skip
    assert len(comparison.runs) == 2 * 2
    for (entry, _), drawn in comparison.images.maps.items():
        assert ((drawn != 0) == (FEW != 0)).all() or entry.inputs == "spectra"
    assert comparison.stores[0].planes[0].size_bytes == np.count_nonzero(FEW) * 2 * 16 * 2


def test_a_map_holds_the_listed_pixels(path, listed, tmp_path):
    model = fit_model(listed, "svm", labels="few", inputs="planes")
    notes = write_scene_map(listed, model, tmp_path / "map.npy")
    drawn = np.load(tmp_path / "map.npy")
    assert any(f"planes at {np.count_nonzero(FEW)} pixels only: the others are left empty" in note for note in notes)
    np.testing.assert_array_equal(drawn != 0, FEW != 0)
    table = PixelTable.from_store(listed, labels="few").select_groups(InputSet.parse("planes").includes)
    np.testing.assert_array_equal(drawn[table.rows, table.cols], model.head.predict(table.X))


@pytest.mark.parametrize("padding", ["reflect", "zero"])
def test_leakage_counts_what_windows_contain(scene, backbone_folder, tmp_path, padding):
    """Two pixels are exchanged. Only features of windows that contain one of the pixels, or its mirror image, change."""
    places = [(3, 40), (70, 9)]
    cube = scene.cube.copy()
    cube[places[0]], cube[places[1]] = scene.cube[places[1]], scene.cube[places[0]]
    rows, cols = (axis.ravel() for axis in np.mgrid[0:75:5, 0:53:3])
    options = {"backbone": backbone_folder, "timesteps": [0], "layers": ["mid_block"], "tile": SIDE, "padding": padding}
    options |= {"pixels": (rows, cols), "dtype": "float32"}
    for name, values in (("one", scene.cube), ("other", cube)):
        hsifeat.extract(Scene(name, values), **options, out=tmp_path / name)
    one, other = open_features(tmp_path / "one"), open_features(tmp_path / "other")
    changed = (one.sample(rows, cols) != other.sample(rows, cols)).any(axis=1)
    for layout in (make_layout(one, spectra=False), make_layout(one, spectra=False, means=SIDE)):
        (context,) = layout_footprints(one, layout)
        assert str(context) == "8x8 px window"
        (top, bottom), (left, right) = context.span(rows, 75), context.span(cols, 53, axis=1)
        claimed = [
            any(t <= r < b and x <= c < y for r, c in places)
            for t, b, x, y in zip(top, bottom, left, right, strict=True)
        ]
        np.testing.assert_array_equal(changed, claimed)
        assert 0 < np.mean(claimed) < 0.1


def test_the_cache_shows_the_list(path, listed):
    catalogue.add_entry(listed.key, path)
    (held,) = list_usage()
    assert (held.planes, held.unfinished, held.state) == (4, 0, "complete")
    facts = store_details(as_location(path))
    assert facts["planes_over"] == f"{np.count_nonzero(FEW)} pixels, each the centre of a window of 8 px"
    assert facts["planes"][0]["units"] == "2 of 2" and facts["recipe"]["pixels.count"] == np.count_nonzero(FEW)


def contents(folder):
    """All files of a store except the timings, which also include the time of a repair."""
    return {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "timings.json"
    }


@pytest.mark.parametrize(
    "key", ["planes/t0300/mid_block/c/1/0/0", "progress/t0000/mid_block/c/1/0/0", "planes/t0000/up_blocks.1/zarr.json"]
)
def test_repair_restores_every_bit(path, tmp_path, key):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy)
    before = contents(copy)
    content = (copy / key).read_bytes()
    (copy / key).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    location = as_location(copy)
    found = verify(location)
    assert [d.key.split("/", 1)[1] for d in found.damages] == [key.split("/", 1)[1]]
    assert repair(location, found).damages == ()
    assert contents(copy) == before


def test_a_changed_list_is_found_and_never_read(path, tmp_path):
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy)
    chunk = next((copy / "pixels" / "cols").glob("c/0"))
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    with pytest.raises(StoreError, match="pixels/cols/c/0 was changed"):
        open_features(copy).sample([0], [0])
    location = as_location(copy)
    found = verify(location)
    assert [d.key for d in found.damages] == ["pixels/cols/c/0"]
    with pytest.raises(HsifeatError):
        repair(location, found)


def test_on_the_command_line(scene, backbone_folder, tmp_path, cli):
    np.save(tmp_path / "scene.npy", scene.cube)
    labels = np.zeros((75, 53), np.uint8)
    labels[:5, :5] = 1
    np.save(tmp_path / "few.npy", labels)
    command = [
        "extract", tmp_path / "scene.npy", "--labels", tmp_path / "few.npy", "--backbone", backbone_folder,
        "--tile", "16", "--timesteps", "0,300", "--layers", "mid_block", "--out", tmp_path / "s.zarr",
    ]  # fmt: skip
    planned = cli(*command, "--pixels", "few", "--dry-run")
    assert (
        "windows, one around each pixel: 25" in planned
        and "forward passes: 50 remaining of 50, tiles of 16 px" in planned
    )
    assert not (tmp_path / "s.zarr").exists()
    cli(*command, "--pixels", "few")
    shown = json.loads(cli("cache", "show", tmp_path / "s.zarr", "--json"))
    assert shown["planes_over"] == "25 pixels, each the centre of a window of 16 px"
    assert "no labels 'roads'" in cli(*command, "--pixels", "roads", status=1)
    assert "no effect with --pixels: --halo" in cli(*command, "--pixels", "few", "--halo", "4", status=1)
