"""A service of jobs with a small scene and a small backbone."""

import pytest

from tests.helpers.job_runners import Jobs, job_config


@pytest.fixture
def config(tmp_path, backbone_folder):
    return job_config(tmp_path, backbone_folder.parent)


@pytest.fixture
def jobs(config):
    made = Jobs(config)
    yield made
    made.service.supervisor.stop()
