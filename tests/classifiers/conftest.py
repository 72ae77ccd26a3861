"""What tests of classifiers share: a real comparison with all its files."""

import pytest

import hsifeat
from classifiers import compare
from classifiers.comparison.report.write import write_report
from hsifeat.cache import catalogue
from hsifeat.features.features import open_features
from hsifeat.scenes import Scene

SPLITS = ("random:0.3", "blocks:9+1:0.3")


@pytest.fixture(scope="session")
def report(store_path, tmp_path_factory):
    """A comparison, its folder and its options."""
    out = tmp_path_factory.mktemp("report")
    options = {"heads": ["lda", "logistic"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra", "planes"]}
    found = compare(store_path, curve=[5], sweep=True, out=out, **options)
    assert write_report(found, out)
    return found, out, options


@pytest.fixture(scope="session")
def stores(scene, store_path, backbone_folder, tmp_path_factory):
    """Stores beside the small one: another recipe, fewer planes, another scene, pixels that are listed."""
    folder = tmp_path_factory.mktemp("stores")
    tiny = {"backbone": backbone_folder, "timesteps": [0]}
    other = Scene("other", scene.cube[:40, :40] + 1, scene.wavelengths_nm, {})
    listed = {"layers": ["mid_block"], "tile": 8, "pixels": "fields"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        hsifeat.extract(scene, **tiny, layers=["mid_block"], tile=16, halo=4, out=folder / "tiles.zarr")
        hsifeat.extract(scene, like=store_path, timesteps=[0], layers=["mid_block"], out=folder / "fewer.zarr")
        hsifeat.extract(other, like=store_path, timesteps=[0, 300], out=folder / "other.zarr")
        hsifeat.extract(scene, **tiny, **listed, out=folder / "listed.zarr")
    return folder


@pytest.fixture(scope="session")
def opened(stores, store_path):
    return {location.stem: open_features(location) for location in stores.glob("*.zarr")} | {
        "small": open_features(store_path)
    }
