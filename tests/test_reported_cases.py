"""Small files of public reports about other tools, each with the result that its README asks for."""

import os
import shutil
import sys
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from diffusers import UNet2DModel

import hsifeat
from hsifeat.errors import StoreError
from tests.helpers.command_line import run_main
from tests.helpers.tiny_training import use_tiny
from tests.helpers.unreadable import unreadable

SUFFIX = "diffusion_pytorch_model.fp16.safetensors"
# The case, and how many of its 120 pixels are valid; the READMEs and the masks of GDAL agree.
NODATA = {
    "nodata-per-band/stack.vrt": 114,
    "nodata-per-band/bands": 114,
    "nodata-precision/float32.tif": 114,
    "nodata-precision/float64.tif": 114,
    "nodata-precision/mixed.vrt": 114,
    "nodata-precision/double.hdr": 114,
    "zarr-array-nodata-lost/v2.zarr": 114,
    "zarr-array-nodata-lost/v2.zarr/reflectance": 114,
    "zarr-array-nodata-lost/v3.zarr": 114,
    "zarr-array-nodata-lost/v3.zarr/reflectance": 114,
    "zarr-v3-plain-fillvalue/float.zarr": 114,
    "zarr-v3-plain-fillvalue/float.zarr/reflectance": 114,
    "zarr-v3-plain-fillvalue/coord.zarr": 114,
    "zarr-v3-plain-fillvalue/int.zarr": 114,
}
pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
GROUPS = {
    "two.nc": ("swir/reflectance", "swir"),
    "one-group.nc": ("scene/reflectance", "scene"),
    "quicklook-in-root.nc": ("fine/reflectance", "fine"),
}


@pytest.fixture(scope="module")
def cases(data_folder):
    """The folder of the cases, beside the real data."""
    folder = data_folder.parent / "cases"
    if not folder.is_dir():
        required = "data" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"no reported cases at {folder}")
    return folder


def test_every_case_is_tested(cases):
    tested = Path(__file__).read_text(encoding="utf-8")
    assert [case.name for case in cases.iterdir() if f'"{case.name}' not in tested] == []


@pytest.mark.parametrize("file", NODATA)
def test_valid_pixels(cases, file):
    scene = hsifeat.open_scene(cases / file)
    assert scene.valid.size == 120 and scene.valid.sum() == NODATA[file]


@pytest.mark.parametrize(
    "file", ["nodata-per-band/stack.vrt", "nodata-precision/float64.tif", "nodata-precision/mixed.vrt"]
)
def test_valid_pixels_are_those_of_the_masks_of_gdal(cases, file):
    with rasterio.open(cases / file) as dataset:
        expected = dataset.read_masks().all(axis=0)
    np.testing.assert_array_equal(hsifeat.open_scene(cases / file).valid, expected)


def test_labels_of_pixels_without_data_are_0(cases):
    folder = cases / "nodata-precision"
    with rasterio.open(folder / "labels64.tif") as dataset:
        expected = np.where(dataset.read_masks(1) > 0, dataset.read(1), 0)
        assert (dataset.read_masks(1) == 0).sum() == 10
    labels = hsifeat.open_scene(folder / "float32.tif", labels=folder / "labels64.tif").labels["labels64"]
    np.testing.assert_array_equal(labels.classes, expected)


@pytest.mark.parametrize("file", ["gain.hdr", "gains.hdr"])
def test_gain_of_envi(cases, file):
    folder = cases / "envi-gain-silent"
    scene, geotiff = hsifeat.open_scene(folder / file), hsifeat.open_scene(folder / "gain.tif")
    with rasterio.open(folder / "gain.tif") as dataset:
        scale = 1 / dataset.scales[0]
    assert geotiff.scale == pytest.approx(scale) == 10000
    if file == "gain.hdr":
        assert scene.scale == geotiff.scale
        assert [note.replace(".hdr", "") for note in scene.notes] == [n.replace(".tif", "") for n in geotiff.notes]
    else:
        assert scene.scale == 1 and "differ between its bands" in scene.notes[0]


@pytest.mark.parametrize("file", GROUPS)
def test_metadata_of_the_own_group(cases, file):
    path, (variable, group) = cases / "grouped-files" / file, GROUPS[file]
    labels = cases / "grouped-files" / "fields.geojson"
    scene = hsifeat.open_scene(path, variable=variable, labels=labels)
    with xr.open_dataset(path, group=group, engine="h5netcdf") as dataset:
        np.testing.assert_allclose(scene.wavelengths_nm, dataset["wavelength"])
        assert scene.georeference.transform[0] == float(dataset["x"][1] - dataset["x"][0]) == 30
    assert rasterio.CRS.from_user_input(scene.georeference.crs).to_epsg() == 32632
    fields = scene.labels["fields"]
    counts = {name: int((fields.classes == number).sum()) for number, name in fields.class_names.items()}
    assert counts == {"wheat": 12, "maize": 20}


@pytest.mark.parametrize("name", ["sharded", "fp16", f"fp16/unet/{SUFFIX}"])
def test_weights_in_shards_or_variants(cases, name):
    folder = cases / "unet-sharded-or-variant" / name.partition("/")[0]
    variant = "fp16" if name.startswith("fp16") else None
    expected = UNet2DModel.from_pretrained(folder / "unet", variant=variant, low_cpu_mem_usage=False)
    network = hsifeat.open_backbone(cases / "unet-sharded-or-variant" / name).network
    for parameter, value in expected.named_parameters():
        assert torch.equal(network.get_parameter(parameter), value), parameter


def test_a_trained_backbone_is_for_all_users(cases, monkeypatch):
    use_tiny(monkeypatch)
    scene, before = cases / "safetensors-0600" / "s.npy", os.umask(0o022)
    folder = Path(mkdtemp())  # that of pytest is closed to other users
    folder.chmod(0o755)
    try:
        assert run_main("pretrain", scene, "--network", "mtmsd", "--steps", "2", "--out", folder / "bb") == 0
        written = [path for path in (folder / "bb").rglob("*") if path.is_file()]
        assert {path.suffix for path in written} > {".safetensors", ".json"}
        assert {oct(path.stat().st_mode & 0o777) for path in written} == {"0o644"}
        for denied in (path for path in written if path.suffix == ".safetensors"):
            with unreadable(denied), pytest.raises(StoreError, match=rf"permission denied: \S*{denied.name}"):
                hsifeat.extract(scene, backbone=folder / "bb", out=folder / "s.zarr")
    finally:
        os.umask(before)
        shutil.rmtree(folder)


def test_class_names_outside_the_encoding_lose_no_model(cases, tmp_path, monkeypatch):
    folder, store, model = cases / "stdout-encoding", tmp_path / "o.zarr", tmp_path / "m"
    assert run_main(
        "extract", folder / "s.npy", "--labels", folder / "gt.csv", "--backbone", "context", "--layers", "mean-3", "--out", store
    ) == 0  # fmt: skip
    names = hsifeat.open_features(store).labels().class_names
    with (tmp_path / "shown").open("w", encoding="latin-1") as stdout, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stdout)
        assert (
            run_main("fit", store, "--inputs", "spectra", "--smooth", "none", "--split", "random:0.3", "--out", model)
            == 0
        )
    assert hsifeat.load_model(model).class_names == names
    shown = (tmp_path / "shown").read_text(encoding="latin-1")
    outside = [name for name in names.values() if not _fits(name, "latin-1")]
    assert outside and all(name.encode("latin-1", "backslashreplace").decode("latin-1") in shown for name in outside)


def _fits(text, encoding):
    return text.encode(encoding, "ignore").decode(encoding) == text
