"""A store changes between the request of a job and the end of the job: which later requests the job answers."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from hsifeat import extract
from hsifeat.service.jobs.analysis_requests import FitRequest
from hsifeat.service.jobs.lane import Lane
from hsifeat.service.jobs.records import LANES, JobKind, JobState
from hsifeat.service.jobs.runner import _run_job
from hsifeat.service.problems import ProblemError
from hsifeat.store.store import Store

PER_CLASS = 5
CHANGED = "after the request, a store or file of this job was changed or hsifeat was upgraded: the job uses their present state"
OPTIONS = {"head": "lda", "inputs": "spectra", "split": f"per-class:{PER_CLASS}", "smooth": "none"}


@pytest.fixture
def changing(jobs, store_path, tmp_path, monkeypatch):
    """A service with one store, whose label map the operator replaces by maps of two and of four classes."""
    path = tmp_path / "stores/small.zarr"
    shutil.copytree(store_path, path)
    store = Store.open(path)
    (name,) = store.labels
    classes, attributes = np.array(store.label_classes(name)), store.label_array(name).attrs.asdict()
    assert np.unique(classes).tolist() == [0, 1, 2, 3, 4]

    def relabel(count):
        Store.open(path, writable=True).add_labels(name, np.where(classes > count, 0, classes), attributes)

    def run(job):
        lane = Lane(jobs.service.context.database, LANES["analysis"])
        _run_job(jobs.service.context, lane, lane.take(), SimpleNamespace(job=None, cancelled=""))
        events = jobs.service.context.database.events(job.id, 0)
        notes = [event.data["message"] for event in events if "was changed" in event.data.get("message", "")]
        return jobs.state(job), notes

    def submit(owner="ann"):
        return jobs.submit(JobKind.FIT, {"stores": [store.key], "options": OPTIONS}, owner)

    return SimpleNamespace(path=path, key=store.key, relabel=relabel, run=run, submit=submit, patch=monkeypatch)


def test_a_job_is_filed_under_the_labels_that_it_read(changing):
    waiting = changing.submit().job
    changing.relabel(2)
    done, notes = changing.run(waiting)
    assert (done.state, done.result["train_pixels"]) == (JobState.DONE, 2 * PER_CLASS)
    assert notes == [CHANGED]
    answer = changing.submit("bob")
    assert (answer.outcome, answer.job.id) == ("answered", waiting.id)
    changing.relabel(4)
    repeated = changing.submit("bob")
    assert repeated.outcome == "queued"
    done, notes = changing.run(repeated.job)
    assert (done.result["train_pixels"], notes) == (4 * PER_CLASS, [])


def test_the_note_of_a_job_that_waited_for_an_upgrade_is_true(changing):
    waiting = changing.submit().job
    changing.patch.setattr("hsifeat.service.jobs.request.__version__", "999")
    done, notes = changing.run(waiting)
    assert (done.state, notes) == (JobState.DONE, [CHANGED])


def test_a_request_does_not_join_a_running_job_that_reads_other_labels(changing):
    """Another job waits for the new labels, so two unfinished jobs read the same."""
    first = changing.submit().job
    changing.relabel(2)
    second = changing.submit("bob").job
    assert second.id != first.id
    joined = []

    def execute(*_):
        changing.relabel(4)
        joined.append(changing.submit("cleo"))
        changing.relabel(2)
        return {}

    with changing.patch.context() as patch:
        patch.setattr(FitRequest, "execute", execute)
        assert changing.run(first)[0].state is JobState.DONE
    assert joined[0].outcome == "queued"
    assert changing.run(second)[0].result["train_pixels"] == 2 * PER_CLASS


def test_a_job_does_not_read_a_store_that_replaced_its_own(changing, scene):
    waiting = changing.submit().job
    changing.path.rename(changing.path.parents[1] / "aside.zarr")
    extract(scene, backbone="context", layers=["mean-5"], out=changing.path)
    ended, _ = changing.run(waiting)
    assert (ended.state, ended.reason) == (JobState.FAILED, f"no store {changing.key}: GET /stores lists the stores")
    with pytest.raises(ProblemError, match=f"no store {changing.key}"):
        changing.submit()


@pytest.mark.parametrize("change", ["relabel", "damage"])
def test_a_job_during_which_its_store_changes_answers_no_request(changing, change):
    job, execute = changing.submit().job, FitRequest.execute
    record = next((changing.path / "progress").glob("*/*/c/*/*/0"))
    content = record.read_bytes()

    def execute_then_change(*arguments):
        result = execute(*arguments)
        if change == "relabel":
            changing.relabel(2)
        else:
            record.write_bytes(content[:5])
        return result

    with changing.patch.context() as patch:
        patch.setattr(FitRequest, "execute", execute_then_change)
        done, notes = changing.run(job)
    assert (done.state, done.result["train_pixels"]) == (JobState.DONE, 4 * PER_CLASS)
    assert notes == ["a store or file of this job was changed while the job ran: no later request gets this result"]
    record.write_bytes(content)
    changing.relabel(4)
    assert changing.submit().outcome == "queued"
