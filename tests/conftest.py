"""Shared fixtures: a small scene, a small U-Net in a folder, a store of both, real data, and external programs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.browser import chromium, open_page  # noqa: F401  # fixtures
from tests.helpers.command_line import cli  # noqa: F401  # a fixture
from tests.helpers.small import save_unet, small_cube, small_labels

# A shell that runs the tests in the background makes them ignore SIGINT, and their subprocesses would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples have no deadline: test machines are shared.
settings.register_profile("no-deadline", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-deadline")

# Set before torch is imported: workers run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep tests away from the user's cache."""
    monkeypatch.setenv("HSIFEAT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def data_folder():
    """The folder of real data; the test is skipped without it, or fails if HSIFEAT_REQUIRE names data."""
    folder = Path(os.environ.get("HSIFEAT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        required = "data" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"no real data at {folder}: name it with HSIFEAT_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def gdal():
    """A function that runs a program of GDAL and returns its output; skipped or failed like `data_folder`."""
    if shutil.which("gdal_translate") is None:
        required = "gdal" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("GDAL's programs are not installed (Debian: gdal-bin)")

    def run(program, *arguments):
        command = [program, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    return run


@pytest.fixture(scope="session")
def scene():
    """A synthetic scene of 75 x 53 pixels and 12 bands, with four classes in square fields."""
    from hsifeat.scenes import Labels, Scene

    labels = Labels("fields", small_labels(), {1: "corn", 2: "wheat", 3: "woods", 4: "grass"})
    return Scene("small", small_cube(), np.linspace(450, 900, 12), {"fields": labels})


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory):
    """A folder with a small U-Net of random weights, as diffusers writes it."""
    folder = tmp_path_factory.mktemp("backbones") / "tiny"
    save_unet(folder, seed=7)
    return folder


@pytest.fixture(scope="session")
def store_path(scene, backbone_folder, tmp_path_factory):
    """A complete store of the small scene: two timesteps, layers with strides 4, 2 and 1."""
    from hsifeat.cache import catalogue
    from hsifeat.extraction.run import run
    from tests.helpers.extraction import prepare

    path = tmp_path_factory.mktemp("stores") / "small.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        run(prepare(scene, backbone=backbone_folder, timesteps=[0, 300], tile=32, halo=8, out=path))
    return path


@pytest.fixture
def features(store_path):
    """The features of that store."""
    from hsifeat import open_features

    return open_features(store_path)
