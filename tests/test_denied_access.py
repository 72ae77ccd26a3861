"""Messages about files that a user may not read state this, and do not call the files damaged, missing or of another format."""

import os
import re
import shutil
import signal
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.presets import open_preset
from hsifeat.projection import Projection
from hsifeat.scenes import Scene, open_scene
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.labels.open_labels import open_labels
from tests.helpers import scene_formats
from tests.helpers.scene_formats import CUBE
from tests.helpers.unreadable import unreadable

WRITERS = {
    "s.mat": scene_formats.mat5,
    "v73.mat": scene_formats.mat73,
    "s.tif": scene_formats.tif,
    "s.hdr": scene_formats.envi,
    "s.nc": scene_formats.netcdf,
    "s.npy": np.save,
}
SQUARE = """{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {"crop": "rye"}, "geometry": {"type": "Polygon",
"coordinates": [[[10, 50], [11, 50], [11, 51], [10, 50]]]}}]}"""
READ = {
    "weights": lambda folder: hsifeat.open_backbone(folder / "b").identity(),
    "torch": lambda folder: hsifeat.open_backbone(folder / "torch").identity(),
    "projection": lambda folder: Projection.load(folder / "p.safetensors"),
    "model": lambda folder: hsifeat.load_model(folder / "m"),
    "store": lambda folder: hsifeat.open_features(folder / "s.zarr").sample([3], [4]),
    "preset": lambda folder: open_preset(folder / "p.toml"),
    "csv": lambda folder: open_labels(folder / "l.csv", SCENE),
    "geojson": lambda folder: open_labels(folder / "l.geojson", SCENE),
    **{name: lambda folder, name=name: np.asarray(open_scene(folder / name).cube[:]) for name in WRITERS},
}
DENIED = [
    ("weights", "b/unet/config.json"),
    ("weights", "b/unet/diffusion_pytorch_model.safetensors"),
    ("weights", "b/scheduler/scheduler_config.json"),
    ("torch", "torch/unet/diffusion_pytorch_model.bin"),
    ("projection", "p.safetensors"),
    ("model", "m/model.json"),
    ("model", "m/state.skops"),
    ("store", "s.zarr/zarr.json"),
    ("store", "s.zarr/checksums.json"),
    ("store", "s.zarr/planes/t0000/mid_block/zarr.json"),
    ("store", "s.zarr/planes/t0000/mid_block/c/0/0/0"),
    ("store", "s.zarr/progress/t0000/mid_block/c/0/0/0"),
    ("preset", "p.toml"),
    ("csv", "l.csv"),
    ("geojson", "l.geojson"),
    *((name, name) for name in WRITERS),
    ("s.hdr", "s.img"),
]
SCENE = Scene("s", np.ones((6, 7, 5), np.float32), georeference=Georeference("EPSG:4326", (0.5, 0, 9, 0, -0.5, 52)))


@pytest.fixture(scope="module")
def folder(store_path, backbone_folder, model_folder):
    """A folder of files of each kind that other users may enter, unlike the folders of pytest."""
    folder = Path(mkdtemp())
    folder.chmod(0o755)
    shutil.copytree(store_path, folder / "s.zarr")
    shutil.copytree(model_folder, folder / "m")
    shutil.copytree(backbone_folder, folder / "b")
    shutil.copytree(backbone_folder, folder / "torch")
    weights = folder / "torch" / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    Projection("bands:1", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=False).save(
        folder / "p.safetensors"
    )
    (folder / "p.toml").write_text("title = 'a'\nsource = 'b'\n[extract]\ntimesteps = [3]\n")
    (folder / "l.csv").write_text("row,col,class\n1,1,rye\n")
    (folder / "l.geojson").write_text(SQUARE)
    for name, write in WRITERS.items():
        write(folder / name, CUBE)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize("how", ["pipe", "device"])
@pytest.mark.parametrize(("kind", "file"), DENIED, ids=lambda value: value)
def test_a_file_without_an_end_is_not_read(folder, monkeypatch, kind, file, how):
    """A pipe into which nobody writes blocks forever, and a device can be read forever."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
    path, kept = folder / file, folder / "kept"
    path.rename(kept)
    os.mkfifo(path) if how == "pipe" else path.symlink_to("/dev/zero")
    before = signal.signal(signal.SIGALRM, _end)
    signal.alarm(20)
    try:
        with pytest.raises(HsifeatError):
            READ[kind](folder)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        path.unlink()
        kept.rename(path)


def _end(_number, _frame):
    pytest.fail("it was read without an end")


@pytest.mark.parametrize(("kind", "file"), DENIED, ids=lambda value: value)
def test_a_denied_permission_is_said(folder, monkeypatch, kind, file):
    monkeypatch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
    READ[kind](folder)  # Modules that are imported on first use can't be imported by another user.
    with unreadable(folder / file), pytest.raises(HsifeatError, match="ermission denied") as error:
        READ[kind](folder)
    message = str(error.value).replace(str(folder), "")
    assert file in message
    assert not re.search("damaged|truncated|repair|missing|no such|anew|again", message, re.IGNORECASE), message
