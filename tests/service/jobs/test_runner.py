"""Jobs in runners: results, kills of a runner and of the service, cancellation, and failures."""

import os
import signal
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from hsifeat import extract, open_features, open_scene
from hsifeat.service import store_index
from hsifeat.service.jobs import runner
from hsifeat.service.jobs.lane import Lane
from hsifeat.service.jobs.records import LANES, JobKind, JobState
from hsifeat.service.jobs.request import JobContext
from hsifeat.service.store_index import StoreIndex
from tests.helpers.forked_commands import ForkedFunction
from tests.helpers.job_runners import EXTRACTION, fork_runners, run_jobs_slowly, serve_jobs, wait_until


def expected_store(tmp_path, backbone_folder):
    """Extract the same features without the service."""
    scene = open_scene(tmp_path / "scenes/small.npy", axes="rows,cols,bands", labels=tmp_path / "scenes/fields.npy")
    return extract(scene, **{**EXTRACTION["options"], "backbone": backbone_folder}, out=tmp_path / "expected.zarr")


def assert_equal_planes(path, expected):
    """Compare all planes of a store with those of another one, bit by bit."""
    features = open_features(path)
    assert [plane.id for plane in features.planes] == [plane.id for plane in expected.planes]
    for plane in expected.planes:
        assert np.array_equal(features.store.plane(plane.id)[:], expected.plane(plane.id)[:])


def test_jobs_of_all_kinds_and_a_runner_that_is_killed(jobs, config, tmp_path, backbone_folder, monkeypatch):
    fork_runners(monkeypatch, run_jobs_slowly)
    first = jobs.submit(JobKind.EXTRACT, EXTRACTION)
    assert first.outcome == "queued"
    jobs.service.supervisor.start()
    jobs.advanced(first.job)
    assert jobs.submit(JobKind.EXTRACT, {**EXTRACTION, "priority": "low"}, owner="bob").outcome == "joined"
    os.kill(jobs.service.supervisor.pids["extraction"], signal.SIGKILL)
    done = jobs.ended(first.job)
    assert (done.state, done.attempts, done.reason) == (JobState.DONE, 2, "")
    store = tmp_path / "stores" / f"{done.result['name']}.zarr"
    assert_equal_planes(store, expected_store(tmp_path, backbone_folder))
    assert jobs.submit(JobKind.EXTRACT, EXTRACTION).outcome == "answered"

    stores = [done.result["store"][:12]]
    fit_request = {"stores": stores, "options": {"head": "lda", "split": "random:0.5", "smooth": "none"}}
    fit = jobs.submit(JobKind.FIT, fit_request)
    fitted = jobs.ended(fit.job)
    assert fitted.state is JobState.DONE, fitted.reason
    assert 0 < fitted.result["accuracy"] <= 1
    predict_request = {"stores": stores, "model": fit.job.id}
    predicted = jobs.ended(jobs.submit(JobKind.PREDICT, predict_request).job)
    assert predicted.state is JobState.DONE, predicted.reason
    import rasterio

    with warnings.catch_warnings(action="ignore", category=rasterio.errors.NotGeoreferencedWarning):
        image = rasterio.open(config.results_folder / predicted.id / "map.tif")
    with image:
        assert image.read(1).shape == (75, 53)
    options = {"heads": ["lda"], "seeds": 1, "splits": ["random:0.5"], "inputs": ["spectra"], "sweep": False}
    bench_request = {"stores": stores, "options": options}
    bench = jobs.ended(jobs.submit(JobKind.BENCH, bench_request).job)
    assert bench.state is JobState.DONE, bench.reason
    assert (config.results_folder / bench.id / "report/report.html").exists()
    requests = {JobKind.FIT: fit_request, JobKind.PREDICT: predict_request, JobKind.BENCH: bench_request}
    answers = [jobs.submit(kind, request, "bob") for kind, request in requests.items()]
    assert [answer.job.id for answer in answers] == [fit.job.id, predicted.id, bench.id], "no job changes its store"
    failed = jobs.ended(jobs.submit(JobKind.FIT, {"stores": stores, "options": {"split": "random:7"}}).job)
    assert failed.state is JobState.FAILED and "random:7" in failed.reason


def test_a_store_can_be_used_as_soon_as_its_job_is_done(jobs, monkeypatch):
    """The service has just searched for stores, and would not search again for a while."""
    monkeypatch.setattr(store_index, "_PAUSE_PER_SEARCH", 1e9)
    settings, database = jobs.service.context.settings, jobs.service.context.database
    lanes = {
        name: (Lane(database, kinds), JobContext.of_settings(settings, StoreIndex(settings.cache, pauses=False)))
        for name, kinds in LANES.items()
    }
    for context in (jobs.service.context, *(context for _, context in lanes.values())):
        assert context.stores.stores() == []

    def execute(kind, request):
        jobs.submit(kind, request)
        lane, context = lanes[next(name for name, kinds in LANES.items() if kind in kinds)]
        job = lane.take()
        runner._run_job(context, lane, job, SimpleNamespace(job=None, cancelled=""))
        return jobs.service.job(job.id)

    extracted = execute(JobKind.EXTRACT, {**EXTRACTION, "options": {"backbone": "context", "layers": ["mean-5"]}})
    key = extracted.result["store"]
    assert jobs.service.context.stores.find(key).key == key
    options = {"head": "lda", "split": "random:0.5", "smooth": "none"}
    fitted = execute(JobKind.FIT, {"stores": [key], "options": options})
    assert fitted.state is JobState.DONE, fitted.reason


def test_a_cancelled_extraction_keeps_its_work_and_is_repeated(jobs, tmp_path, backbone_folder, monkeypatch):
    fork_runners(monkeypatch, run_jobs_slowly)
    jobs.service.supervisor.start()
    first = jobs.submit(JobKind.EXTRACT, EXTRACTION).job
    jobs.advanced(first)
    jobs.service.queue.cancel(first.id, "ann")
    cancelled = jobs.ended(first)
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "cancelled by ann")
    again = jobs.ended(jobs.submit(JobKind.EXTRACT, EXTRACTION).job)
    assert again.state is JobState.DONE and again.id != first.id
    assert_equal_planes(tmp_path / "stores" / f"{again.result['name']}.zarr", expected_store(tmp_path, backbone_folder))


def test_a_service_that_is_killed_continues_its_jobs(jobs, config, tmp_path, backbone_folder, monkeypatch):
    job = jobs.submit(JobKind.EXTRACT, EXTRACTION).job
    for _ in range(2):
        service = ForkedFunction(serve_jobs, config)
        jobs.advanced(job)
        service.signal(signal.SIGKILL)
        service.wait()
        # The runner ends with the service, and gives the job back.
        wait_until(lambda: jobs.state(job).state is JobState.QUEUED)
        assert jobs.state(job).attempts == 0
    fork_runners(monkeypatch)
    jobs.service.supervisor.start()
    ended = jobs.ended(job)
    assert ended.state is JobState.DONE, ended.reason
    assert_equal_planes(tmp_path / "stores" / f"{ended.result['name']}.zarr", expected_store(tmp_path, backbone_folder))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scene": {"files": ["../state/jobs.sqlite"]}}, "no scene '../state/jobs.sqlite' in the folders of this service"),
        ({"scene": {"files": ["http://127.0.0.1/x.npy"]}}, "no scene 'http://127.0.0.1/x.npy' in the folders"),
        ({"scene": {"name": "rs-fusion-datasets:x"}}, "no public scene named 'rs-fusion-datasets:x'"),
        ({"scene": {}}, "give one of name, files, upload and store"),
        ({"scene": {"name": "indian-pines", "files": ["small.npy"]}}, "give one of name, files, upload and store"),
        ({"scene": {"store": "0" * 64}}, "no store 0000"),
        ({"scene": {"store": "0" * 64, "labels": ["fields.npy"]}}, "leave out labels"),
        ({"scene": {"upload": "0" * 16}}, "no upload"),
        ({"scene": {"files": ["small.npy"], "labels": ["/etc/passwd"]}}, "no label map '/etc/passwd'"),
        ({"options": {"backbone": "/etc"}}, "no backbone '/etc' on this service; allowed: natural32, context, or a path"),
        ({"options": {"backbone": "google/ddpm-cifar10-32@" + "0" * 40}}, "no backbone 'google/ddpm-cifar10-32@0"),
        ({"options": {"backbone": "untrained:hub:a/b"}}, "no backbone 'hub:a/b' on this service"),
        ({"preset": "/etc/passwd.toml"}, "no preset '/etc/passwd.toml'; allowed: "),
        ({"like": "0" * 64}, "no store 0000"),
        ({"options": {"tile": -3}}, "options.tile: expected at least 1; found -3"),
        ({"options": {"pixels": ["x"]}}, "pixels: expected the name of a label map of the scene"),
        ({"options": {"backbone": "context", "seed": 3}}, "no effect with `backbone='context'`: `seed`"),
        ({"options": {"backbone": "context", "timesteps": [0, 50]}}, "timestep 0; found 0, 50"),
        ({"options": {"backbone": "context", "layers": ["mean-4"]}}, "odd numbers"),
        ({"priority": "high"}, "the priority high needs the right to administer"),
    ],
)  # fmt: skip
def test_requests_that_are_refused_at_once(jobs, changes, message):
    from hsifeat.errors import HsifeatError

    with pytest.raises(HsifeatError, match=message):
        jobs.submit(JobKind.EXTRACT, {**EXTRACTION, **changes})
    assert jobs.service.queue.jobs() == []
