"""Fixtures for tests: real data, GDAL, a browser, and the command line.

The `conftest.py` in the root folder has the fixtures that the examples in docstrings use too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.helpers.browser import chromium, open_page, watched_pages  # noqa: F401  # fixtures
from tests.helpers.command_line import cli  # noqa: F401  # a fixture
from tests.helpers.remembered import remembered_plots  # noqa: F401  # a fixture

# A shell that runs the tests in the background makes them ignore SIGINT. Subprocesses would inherit this setting.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Examples have no deadline: test machines are shared. `--hypothesis-profile=thorough` draws more of them.
shared = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("usual", shared, max_examples=25)
settings.register_profile("thorough", shared, max_examples=300)
settings.load_profile("usual")


@pytest.hookimpl(wrapper=True)
def pytest_collect_file():
    """Look for no examples in the files of tests: their docstrings have none, and the search takes seconds."""
    collectors = yield
    return [one for one in collectors if type(one) is pytest.Module]


@pytest.fixture(scope="session")
def data_folder():
    """Return the folder of real data.

    If the folder does not exist, the test is skipped, or fails if HSIFEAT_REQUIRE contains ``data``.
    """
    folder = Path(os.environ.get("HSIFEAT_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        required = "data" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)(f"no real data at {folder}: set HSIFEAT_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def gdal():
    """Return a function that runs a program of GDAL and returns its output.

    If GDAL is not installed, the test is skipped, or fails if HSIFEAT_REQUIRE contains ``gdal``.
    """
    if shutil.which("gdal_translate") is None:
        required = "gdal" in os.environ.get("HSIFEAT_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("GDAL's programs are not installed (Debian: gdal-bin)")

    def run(program, *arguments):
        command = [program, *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    return run


@pytest.fixture
def features(store_path):
    """Return the features of the store `store_path`."""
    from hsifeat import open_features

    return open_features(store_path)
