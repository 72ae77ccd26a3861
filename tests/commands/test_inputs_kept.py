"""A result never replaces a file that the command reads."""

import shutil

import numpy as np
import pytest
import rasterio

from tests.helpers.small import small_labels

CUBE = np.random.default_rng(0).integers(1, 900, (24, 20, 4)).astype(np.uint16)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("s.tif", "tiles/a.tif", "tiles/b.tif", "bands/b1.tif"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        bands = 1 if name.startswith("bands") else 4
        with rasterio.open(path, "w", driver="GTiff", height=24, width=20, count=bands, dtype="uint16") as out:
            out.write(CUBE.transpose(2, 0, 1)[:bands])
    shutil.copy("bands/b1.tif", "bands/b2.tif")
    np.save("gt.npy", small_labels(24, 20))
    np.save("s.npy", CUBE)
    with rasterio.open("s.png", "w", driver="PNG", height=24, width=20, count=4, dtype="uint16") as out:
        out.write(CUBE.transpose(2, 0, 1))
    shutil.copy("s.png", "labels.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_inputs_are_not_replaced(cli, folder):
    context = ["--backbone", "context", "--layers", "mean-3"]
    cli("extract", "s.npy", "--labels", "gt.npy", *context, "--out", "s.zarr")
    cli("fit", "s.zarr", "--inputs", "spectra", "--smooth", "none", "--out", "m")
    before = {path: path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    for command in (
        "predict m s.tif --out s.tif",
        "predict m s.npy --out ./s.npy",
        "predict m tiles/a.tif tiles/b.tif --out tiles/{scene}.tif",
        "predict m bands --out bands/b1.tif",
        "timesteps s.png --out s.png",
        "scenes show s.npy --labels gt.npy --companion labels.png --out labels.png",
        "scenes show s.png --out tiles/../s.png",
    ):
        message = cli(*command.split(), status=1)
        assert "is an input of this command, and would be replaced: choose another name" in message, command
    assert "s.png exists, and is no picture that hsifeat wrote" in cli("scenes", "show", "s.png", status=1)
    assert {path: path.read_bytes() for path in before} == before
    cli("predict", "m", "s.tif", "--out", "map.tif")
    cli("predict", "m", "s.tif", "--out", "map.tif")
