"""The lazy views against raw Zarr arrays, against what xarray itself writes, and with reads counted."""

import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import scipy.io
import zarr

import hsifeat
from hsifeat import open_features
from hsifeat.errors import StoreError
from hsifeat.features.features import Features
from hsifeat.features.interpolation import ScenePlaneReader
from hsifeat.features.xarray_view import to_xarray
from hsifeat.store.create import SceneArrays
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.store import Store
from hsifeat.types import PlaneId

ROWS, COLS, BANDS = 75, 53, 12


@pytest.fixture
def raw(store_path):
    return zarr.open_group(store_path, mode="r")


@pytest.fixture
def writable(store_path, tmp_path):
    """A copy of the store that a test may change."""
    shutil.copytree(store_path, tmp_path / "s.zarr")
    return Store.open(tmp_path / "s.zarr", writable=True)


@pytest.fixture
def ds(features):
    return features.to_xarray()


def test_what_there_is(ds):
    assert set(ds.data_vars) == {
        "spectra", "valid", "labels_fields",
        "t0_mid_block", "t0_up_blocks_0", "t0_up_blocks_1", "t0_up_blocks_2",
        "t300_mid_block", "t300_up_blocks_0", "t300_up_blocks_1", "t300_up_blocks_2",
    }  # fmt: skip
    assert dict(ds.spectra.sizes) == {"y": ROWS, "x": COLS, "band": BANDS}
    assert dict(ds.t300_mid_block.sizes) == {"y_s4": 19, "x_s4": 14, "channel_mid_block": 16}
    assert ds.t0_up_blocks_2.dims == ("y", "x", "channel_up_blocks.2") and "y_s1" not in ds.coords
    facts = ds.t300_mid_block.attrs
    assert (facts["t"], facts["layer"], facts["stride"]) == (300, "mid_block", 4)
    assert facts["long_name"] == "output of mid_block at timestep 300"


def test_values_are_those_of_the_raw_arrays(ds, raw):
    np.testing.assert_array_equal(ds.spectra.to_numpy(), raw["scene/cube"][:])
    np.testing.assert_array_equal(ds.valid.to_numpy(), raw["scene/valid"][:])
    np.testing.assert_array_equal(ds.labels_fields.to_numpy(), raw["scene/labels/fields"][:])
    for variable, path in {
        "t0_mid_block": "planes/t0000/mid_block",
        "t300_up_blocks_0": "planes/t0300/up_blocks.0",
        "t300_up_blocks_2": "planes/t0300/up_blocks.2",
    }.items():
        array = raw[path]
        assert [*ds[variable].dims] == [name.replace("_s1", "") for name in array.metadata.dimension_names]
        assert ds[variable].dtype == array.dtype
        np.testing.assert_array_equal(ds[variable].to_numpy(), array[:])
        np.testing.assert_array_equal(ds[variable][5:9, 2].to_numpy(), array[5:9, 2])


def test_selected_bands_are_those_of_the_raw_arrays(features, raw, scene):
    ds = features.with_bands([4, 1, 0, 7]).with_bands([3, 0, 0]).to_xarray()
    np.testing.assert_array_equal(ds.spectra.to_numpy(), raw["scene/cube"][:][..., [7, 4, 4]])
    np.testing.assert_allclose(ds.wavelength, scene.wavelengths_nm[[7, 4, 4]])
    assert ds.spectra.chunks[:2] == features.to_xarray().spectra.chunks[:2]
    np.testing.assert_array_equal(ds.t0_mid_block.to_numpy(), raw["planes/t0000/mid_block"][:])


def test_the_mean_spectrum_of_a_class_is_that_of_its_valid_pixels(scene, tmp_path):
    cube = scene.cube[:].astype(np.float32)
    cube[10:20, 5:30] = -9999
    masked = hsifeat.Scene("masked", cube, nodata=(-9999,)).with_labels(scene.labels["fields"])
    store = hsifeat.extract(masked, backbone="context", layers=["mean-3"], out=tmp_path / "s.zarr")
    ds = hsifeat.open_features(store).to_xarray()
    classes = scene.labels["fields"].classes
    for number in np.unique(classes[10:20, 5:30][classes[10:20, 5:30] > 0]):
        mean = ds.spectra.where(ds.labels_fields == number).mean(("y", "x")).to_numpy()
        np.testing.assert_allclose(mean, cube[(classes == number) & (cube[..., 0] != -9999)].mean(axis=0), rtol=1e-5)
    assert ds.labels_fields.dtype == classes.dtype
    assert np.isnan(ds.spectra.where(ds.valid).to_numpy()[10:20, 5:30]).all()


def test_labels_of_the_scene_fit_planes_of_stride_1(ds, raw):
    """The axes had other names, so that xarray combined every cell with every pixel."""
    of_class = ds.t0_up_blocks_2.astype("float64").where(ds.labels_fields == 3).mean(("y", "x"))
    values = raw["planes/t0000/up_blocks.2"][:][raw["scene/labels/fields"][:] == 3]
    np.testing.assert_allclose(of_class, values.astype(float).mean(axis=0), rtol=1e-6)


def test_coordinates_are_scene_pixels_and_nanometres(ds, scene):
    np.testing.assert_array_equal(ds.y, np.arange(ROWS))
    np.testing.assert_array_equal(ds.x, np.arange(COLS))
    # A cell of stride 4 covers pixels 0 to 3, whose middle is 1.5.
    np.testing.assert_array_equal(ds.x_s4, [np.arange(4 * i, 4 * i + 4).mean() for i in range(14)])
    np.testing.assert_array_equal(ds.y_s2[:3], [0.5, 2.5, 4.5])
    assert ds.y_s4.attrs["axis"] == "Y" and "scene pixels" in ds.x.attrs["long_name"]
    assert ds.wavelength.dims == ("band",)
    assert ds.wavelength.attrs["standard_name"] == "radiation_wavelength" and ds.wavelength.attrs["units"] == "nm"
    np.testing.assert_allclose(ds.wavelength, scene.wavelengths_nm)
    red = ds.spectra.isel(band=abs(ds.wavelength - 650).argmin("band"))
    np.testing.assert_array_equal(red, scene.cube[:, :, 5])


def test_planes_meet_pixels_by_xarrays_own_interpolation(ds, features):
    at_pixels = ds.t0_mid_block.astype("float32").interp(y_s4=[10, 33], x_s4=[20, 41])
    wanted = features.sample([10, 10, 33, 33], [20, 41, 20, 41], ["t0/mid_block"])
    np.testing.assert_allclose(at_pixels.to_numpy().reshape(4, -1), wanted, rtol=1e-4, atol=1e-5)


def test_classes_are_cf_flags(ds):
    facts = ds.labels_fields.attrs
    assert facts["flag_values"].dtype == ds.labels_fields.dtype == np.uint8
    np.testing.assert_array_equal(facts["flag_values"], [0, 1, 2, 3, 4])
    assert facts["flag_meanings"] == "unlabelled corn wheat woods grass"
    assert ds.valid.dtype == bool
    np.testing.assert_array_equal(ds.valid.attrs["flag_values"], [0, 1])
    assert ds.valid.attrs["flag_meanings"] == "empty valid"


def test_meanings_are_single_words(writable):
    names = {"7": "Corn no till (wet)", "9": "Grass/Trees", "11": "土"}
    for name in ("ground-truth", "ground.truth"):
        writable.add_labels(name, np.full((ROWS, COLS), 9, np.int16), {"class_names": names})
    ds = Features(writable).to_xarray()
    assert {"labels_ground_truth", "labels_ground_truth_"} <= set(ds)
    assert ds.labels_ground_truth.attrs["flag_meanings"] == "unlabelled Corn_no_till_wet Grass_Trees 土"
    np.testing.assert_array_equal(ds.labels_ground_truth.attrs["flag_values"], [0, 7, 9, 11])


@pytest.mark.parametrize("engine", ["h5netcdf", "scipy", "zarr"])
def test_class_names_and_colours_survive_a_file(engine, writable, tmp_path):
    names = {"7": "Corn no till (wet)", "9": "Grass/Trees, mown", "11": "土"}
    colours = dict(zip(names, ("#aa0000", "#00BB00", "#0000cc"), strict=True))
    classes = np.resize(np.array([7, 9, 11], np.int16), (ROWS, COLS))
    writable.add_labels("gt", classes, {"class_names": names, "class_colours": colours})
    part = Features(writable).to_xarray()[["labels_gt"]].isel(x=slice(9))
    file = tmp_path / ("x.zarr" if engine == "zarr" else "x.nc")
    part.to_zarr(file, zarr_format=2, consolidated=False) if engine == "zarr" else part.to_netcdf(file, engine=engine)
    labels = hsifeat.open_labels(f"{file}:labels_gt")
    assert labels.class_names == {int(number): name for number, name in names.items()}
    assert labels.class_colours == {int(number): colour for number, colour in colours.items()}


def test_global_attributes(ds, features):
    assert ds.attrs["Conventions"] == "CF-1.11"
    assert ds.attrs["title"] == "Diffusion features of small"
    assert features.key in ds.attrs["history"] and ds.attrs["recipe_key"] == features.key
    assert "tiny" in ds.attrs["source"]
    assert all(isinstance(value, str) and value for value in ds.attrs.values())


def test_chunks_are_shards(ds, raw):
    for variable, path in {"t0_mid_block": "planes/t0000/mid_block", "spectra": "scene/cube"}.items():
        for sizes, shard, length in zip(ds[variable].chunks, raw[path].shards, raw[path].shape, strict=True):
            assert sizes == tuple(min(shard, length - start) for start in range(0, length, shard))


def test_dask_is_chunked_by_shards(features, raw):
    lazy, array = features.to_dask("t300/up_blocks.0"), raw["planes/t0300/up_blocks.0"]
    assert lazy.chunksize == tuple(np.minimum(array.shards, array.shape))
    np.testing.assert_array_equal(lazy.compute(), array[:])
    with pytest.raises(StoreError, match="no plane 't3/mid_block'"):
        features.to_dask("t3/mid_block")
    planes = [str(plane.id) for plane in features.select(["t0/*"])]
    with pytest.raises(StoreError, match=rf"'t0/\*' matches {len(planes)} planes \({', '.join(planes)}\): name one"):
        features.to_dask("t0/*")


def test_opening_reads_no_value(store_path, monkeypatch):
    from zarr.storage import LocalStore

    values, get = [], LocalStore.get

    async def counted(self, key, *arguments, **options):
        if re.match(r"(planes|scene)/.*/?c/", key):
            values.append(key)
        return await get(self, key, *arguments, **options)

    monkeypatch.setattr(LocalStore, "get", counted)
    ds = open_features(store_path).to_xarray()
    picked = ds.t0_up_blocks_2.sel(y=slice(0, 9), x=slice(0, 9)).mean("channel_up_blocks.2")
    assert not values
    picked.load()
    assert len(values) >= 1 and all(key.startswith("planes/t0000/up_blocks.2/c/0/0") for key in values)


def test_a_file_that_another_program_reads(ds, raw, tmp_path):
    """Oracle: SciPy's own reader of netCDF 3, the strictest about names and types."""
    ds.to_netcdf(tmp_path / "s.nc", engine="scipy")
    with scipy.io.netcdf_file(tmp_path / "s.nc", mmap=False) as file:
        assert file.Conventions == b"CF-1.11"
        plane = file.variables["t0_mid_block"]
        np.testing.assert_array_equal(plane[:], raw["planes/t0000/mid_block"][:].astype(np.float32))
        assert plane.dimensions == ("y_s4", "x_s4", "channel_mid_block") and plane.layer == b"mid_block"
        labels = file.variables["labels_fields"]
        np.testing.assert_array_equal(labels[:], raw["scene/labels/fields"][:])
        np.testing.assert_array_equal(labels.flag_values, range(5))
        assert file.variables["wavelength"].units == b"nm"
        assert b"wavelength" in file.variables["spectra"].coordinates


def test_names_are_cf_names_and_attributes_netcdfs(ds):
    for name, variable in ds.variables.items():
        if name not in ds.dims:
            assert re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)
        for value in variable.attrs.values():
            assert isinstance(value, str | int | float | np.ndarray)


def test_unfinished_planes_stay_out(writable):
    writable.add_planes([PlaneSpec(PlaneId(5, "mid_block"), 4, 16, "float16")])
    ds = Features(writable).to_xarray()
    assert "t5_mid_block" not in ds and "t0_mid_block" in ds


def test_a_scene_without_wavelengths_labels_or_planes(features, scene, tmp_path):
    facts = features.store.manifest.scene.model_copy(update={"wavelengths_nm": None, "licence": "CC BY 3.0"})
    manifest = features.store.manifest.model_copy(update={"scene": facts, "provenance": {}})
    store = Store.create(tmp_path / "bare.zarr", manifest, SceneArrays(scene.cube, scene.valid, {}))
    ds = Features(store).to_xarray()
    assert set(ds) == {"spectra", "valid"} and set(ds.coords) == {"y", "x"}
    assert ds.attrs["licence"] == "CC BY 3.0" and "citation" not in ds.attrs
    np.testing.assert_array_equal(ds.spectra.to_numpy(), scene.cube)


def test_takes_no_torch(store_path):
    code = """
import sys
sys.modules["torch"] = None
from hsifeat import open_features
print(float(open_features(sys.argv[1]).to_xarray().t0_mid_block.mean()))
"""
    ended = subprocess.run([sys.executable, "-c", code, store_path], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize(
    ("transform", "crs"),
    [
        pytest.param((30.0, 0.0, 5e5, 0.0, -30.0, 4e6), "EPSG:32632", id="UTM"),
        pytest.param((0.1, 0.0, 10.0, 0.0, -0.1, 50.0), "EPSG:4326", id="degrees"),
        pytest.param((30.0, 0.0, 5e5, 0.0, 30.0, 4e6), "EPSG:3035", id="south at the top"),
        pytest.param((30.0, 5.0, 5e5, -5.0, -30.0, 4e6), "ESRI:102003", id="rotated, two standard parallels"),
        pytest.param((2.0, 0.0, 5e5, 0.0, -2.0, 4e6), None, id="unknown CRS"),
    ],
)
def test_gdal_finds_the_position_of_the_scene_and_of_planes(features, scene, tmp_path, transform, crs):
    """Oracle: GDAL's reader of NetCDF."""
    from rasterio import CRS, Affine
    from rasterio import open as open_raster

    wkt = None if crs is None else CRS.from_user_input(crs).to_wkt()
    facts = features.store.manifest.scene.model_copy(update={"crs": wkt, "transform": transform})
    manifest = features.store.manifest.model_copy(update={"scene": facts})
    store = Store.create(tmp_path / "s.zarr", manifest, SceneArrays(scene.cube, scene.valid, {}))
    layers = {"mid_block": 4, "up_blocks.1": 2, "up_blocks.2": 1}
    planes = [PlaneSpec(PlaneId(5, layer), stride, 16, "float16") for layer, stride in layers.items()]
    for plane in planes:
        store.add_planes([plane])
    view = to_xarray(store, planes, ScenePlaneReader(store).coordinates(planes))
    view = view.assign(spectra=view.spectra.transpose("band", "y", "x"), valid=view.valid.astype("uint8"))
    for name in ("t5_mid_block", "t5_up_blocks_1", "t5_up_blocks_2"):
        view[name] = view[name].isel({view[name].dims[2]: 0})
    view.to_netcdf(tmp_path / "s.nc", engine="h5netcdf")
    strides = {"spectra": 1, "valid": 1, "t5_mid_block": 4, "t5_up_blocks_1": 2, "t5_up_blocks_2": 1}
    for name, stride in strides.items():
        with open_raster(f"NETCDF:{tmp_path / 's.nc'}:{name}") as file:
            assert file.crs == (crs and CRS.from_user_input(crs))
            found = file.transform
            if transform[4] > 0 and found.e < 0:  # GDAL orders the rows of some files from north to south
                found = found @ Affine(1, 0, 0, 0, -1, file.height)
            for corner in ((0, 0), (file.width, file.height)):
                expected = Affine(*transform) @ (corner[0] * stride, corner[1] * stride)
                np.testing.assert_allclose(found @ corner, expected, rtol=0, atol=1e-6 * abs(transform[0]))
    if not transform[1]:
        coarse = view.t5_mid_block
        x, y = Affine(*transform) @ (4 * 2.5, 4 * 3.5)
        assert float(coarse.x_s4[2]) == pytest.approx(x) and float(coarse.y_s4[3]) == pytest.approx(y)
