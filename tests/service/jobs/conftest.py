"""A service of jobs with a small scene and a small backbone, whose runners fork from a server."""

import pytest

from hsifeat.service.config import ServiceConfig
from hsifeat.service.jobs.execution import REQUESTS
from hsifeat.service.jobs.job_service import JobService
from tests.helpers.job_runners import wait_until, write_scene

EXTRACTION = {
    "scene": {"files": ["small.npy"], "axes": "rows,cols,bands", "labels": ["fields.npy"]},
    "options": {"backbone": "tiny", "timesteps": [0, 300], "layers": ["up_blocks.2"], "tile": 32, "halo": 8},
}


@pytest.fixture
def config(tmp_path, backbone_folder):
    write_scene(tmp_path / "scenes")
    (tmp_path / "stores").mkdir()
    return ServiceConfig.from_options({
        "cache": str(tmp_path / "stores"), "state": str(tmp_path / "state"), "scenes": [str(tmp_path / "scenes")],
        "backbones": [str(backbone_folder.parent)], "cancel_seconds": 1,
    })  # fmt: skip


class Jobs:
    """A `JobService` with shorter calls."""

    def __init__(self, config):
        self.service = JobService(config)

    def submit(self, kind, options, owner="ann"):
        return self.service.submit(REQUESTS[kind].from_options(options), owner, admin=False)

    def ended(self, job):
        return wait_until(lambda: (now := self.service.queue.job(job.id)).state.is_final and now)

    def running(self, job):
        """Wait until a job has written something."""
        return wait_until(lambda: (now := self.service.queue.job(job.id)).progress and now.progress.done and now)


@pytest.fixture
def jobs(config):
    made = Jobs(config)
    yield made
    if made.service.supervisor._thread.is_alive():
        made.service.supervisor.stop()
