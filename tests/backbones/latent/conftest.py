"""A small Stable Diffusion folder as a diffusers pipeline and as files."""

import shutil

import pytest

from tests.helpers.small import save_latent


@pytest.fixture(scope="module")
def pipeline_and_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latent") / "small-sd"
    return save_latent(folder, seed=3), folder


@pytest.fixture
def pipeline(pipeline_and_folder):
    return pipeline_and_folder[0]


@pytest.fixture
def folder(pipeline_and_folder):
    """The model's folder, to be read only."""
    return pipeline_and_folder[1]


@pytest.fixture
def copied(folder, tmp_path):
    """A copy of the model's folder, to be changed."""
    return shutil.copytree(folder, tmp_path / "sd")
