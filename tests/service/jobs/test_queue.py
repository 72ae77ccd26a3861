"""The queue of jobs: single flight, limits, priorities, cancellation and recovery."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from hsifeat.errors import StoreError
from hsifeat.runtime.events import Advanced, Finished, Note, Started
from hsifeat.service.jobs.database import JobDatabase
from hsifeat.service.jobs.lane import Lane, ProgressRecorder
from hsifeat.service.jobs.queue import JobQueue, NotOwnerError, QueueFullError, UnknownJobError
from hsifeat.service.jobs.records import LANES, JobKind, JobState, Priority


@pytest.fixture
def database(tmp_path):
    return JobDatabase(tmp_path / "jobs.sqlite")


@pytest.fixture
def queue(database):
    return JobQueue(database, queue_size=3, queue_size_each=2)


@pytest.fixture
def lane(database):
    return Lane(database, LANES["extraction"])


def submit(queue, key="a", owner="ann", kind=JobKind.EXTRACT, **options):
    return queue.submit(kind, key, {"scene": {"name": key}}, owner=owner, **options)


def test_fifty_equal_requests_at_once_make_one_job(database):
    queue = JobQueue(database, queue_size=3, queue_size_each=3)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: submit(queue, owner=f"person {number % 7}"), range(50)))
    assert len({answer.job.id for answer in answers}) == 1
    assert sorted(answer.outcome for answer in answers) == ["joined"] * 49 + ["queued"]
    assert sorted(queue.job(answers[0].job.id).owners) == [f"person {number}" for number in range(7)]
    with sqlite3.connect(database.path) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_a_result_without_a_job_is_searched_once_and_recorded_even_if_the_queue_is_full(queue, lane):
    submit(queue, "x"), submit(queue, "y")
    searches = []

    def find_result(listen):
        searches.append(1)
        listen(Note("/srv/scenes/s.npy: 36 pixels are -9999"))
        return {"store": "key"}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: submit(queue, still_valid=bool, find_result=find_result), range(20)))
    (job,) = {answer.job.id: answer.job for answer in answers}.values()
    assert searches == [1] and {answer.outcome for answer in answers} == {"answered"}
    assert (job.state, job.result, job.attempts) == (JobState.DONE, {"store": "key"}, 0)
    events = [(event.name, event.data) for event in lane._database.events(job.id, 0)]
    assert events[0] == ("note", {"message": "s.npy: 36 pixels are -9999"})
    assert lane.take().key == "x"


def test_a_request_without_a_search_does_not_wait_for_one(queue):
    fits = []

    def find_result(listen):
        fits.append(pool.submit(submit, queue, "fit", kind=JobKind.FIT).result(timeout=3))

    with ThreadPoolExecutor(1) as pool:
        assert submit(queue, find_result=find_result).outcome == "queued"
    assert [fit.outcome for fit in fits] == ["queued"]


def test_an_equal_request_joins_a_running_job_and_is_answered_by_a_finished_one(queue, lane):
    job = submit(queue).job
    assert lane.take().id == job.id
    assert submit(queue, owner="bob").outcome == "joined"
    lane.end(job, JobState.DONE, result={"store": "key"})
    answer = submit(queue, still_valid=lambda done: done.result == {"store": "key"})
    assert (answer.outcome, answer.job.id, answer.job.result) == ("answered", job.id, {"store": "key"})
    again = submit(queue, still_valid=lambda _: False)  # The store was deleted.
    assert again.outcome == "queued" and again.job.id != job.id


def test_a_full_queue_refuses_with_the_time_to_wait(queue, lane):
    submit(queue, "a"), submit(queue, "b")
    with pytest.raises(QueueFullError, match="ann already has 2 queued jobs") as refused:
        submit(queue, "c")
    assert 5 <= refused.value.retry_after_s <= 600
    submit(queue, "c", owner="bob")
    with pytest.raises(
        QueueFullError, match="the queue already has 3 queued jobs, the largest number allowed: try again"
    ):
        submit(queue, "d", owner="cleo")
    assert submit(queue, "a", owner="cleo").outcome == "joined"
    lane.take()
    assert submit(queue, "d", owner="cleo").outcome == "queued"


def test_jobs_run_by_priority_and_then_in_order(queue, lane, database):
    jobs = {
        key: submit(queue, key, owner=key, priority=priority).job
        for key, priority in zip("abc", (Priority.LOW, Priority.NORMAL, Priority.NORMAL), strict=True)
    }
    assert Lane(database, LANES["analysis"]).take() is None
    submit(queue, "a", owner="cleo", priority=Priority.HIGH)
    assert [lane.take().id for _ in range(3)] == [jobs[key].id for key in "abc"]
    assert lane.take() is None


def test_a_cancelled_job_is_repeated_as_a_new_one(queue, lane):
    job = submit(queue).job
    with pytest.raises(NotOwnerError, match="belongs to ann"):
        queue.cancel(job.id, "bob")
    assert queue.cancel(job.id, "ann").state is JobState.CANCELLED
    assert queue.cancel(job.id, "ann").reason == "cancelled by ann"
    running = submit(queue).job
    assert lane.take().id == running.id and lane.cancellation_reason(running) is None
    assert queue.cancel(running.id, "root", anyone=True).state is JobState.RUNNING
    assert lane.cancellation_reason(running) == "cancelled by root"
    # The new job runs after the old one has ended.
    repeated = submit(queue)
    assert repeated.outcome == "queued" and repeated.job.id not in {job.id, running.id}
    lane.end(running, JobState.CANCELLED, reason="cancelled by root")
    assert lane.take().id == repeated.job.id


def test_a_job_is_cancelled_when_nobody_waits_for_it_any_more(queue):
    job = submit(queue).job
    submit(queue, owner="bob")
    assert queue.cancel(job.id, "ann").state is JobState.QUEUED
    assert queue.cancel(job.id, "bob").state is JobState.CANCELLED


def test_a_job_whose_runner_died_continues_and_fails_at_last(queue, lane):
    job = submit(queue).job
    for _ in range(3):
        assert lane.take().id == job.id
        lane.recover(max_attempts=3)
    failed = queue.job(job.id)
    assert failed.state is JobState.FAILED and "the runner died 3 times" in failed.reason
    stopped = submit(queue).job
    for _ in range(5):  # A stop of the service does not count.
        lane.hand_back(lane.take())
    assert queue.job(stopped.id).attempts == 0
    lane.take()
    queue.cancel(stopped.id, "ann")
    lane.recover(max_attempts=3)
    assert queue.job(stopped.id).state is JobState.CANCELLED


def test_a_cancelled_job_does_not_return_when_the_service_stops_before_its_end(queue, lane):
    job = submit(queue).job
    lane.take()
    queue.cancel(job.id, "ann")
    lane.hand_back(job)
    ended = queue.job(job.id)
    assert (ended.state, ended.reason, ended.attempts) == (JobState.CANCELLED, "cancelled by ann", 1)
    assert ended.finished > 0 and lane.take() is None


def test_progress_and_events_of_a_job(queue, lane, database):
    job = submit(queue).job
    lane.take()
    record = ProgressRecorder(lane, job, interval_s=0.0)
    events = [
        Started("features", 10, "tiles", 2),
        Advanced("features", 5, "loss 1"),
        Note("a <b>note</b> on /srv/private/a.zarr"),
        Finished("features"),
    ]
    for event in events[:2]:
        record(event)
    assert asdict(queue.job(job.id).progress) == {
        "task": "features",
        "done": 5,
        "total": 10,
        "unit": "tiles",
        "detail": "loss 1",
    }
    for event in events[2:]:
        record(event)
    lane.end(job, JobState.DONE)
    log = database.events(job.id, after=0)
    assert [event.name for event in log] == ["state", "state", "started", "advanced", "note", "finished", "state"]
    shown = [*events[:2], Note("a <b>note</b> on a.zarr"), *events[3:]]
    assert [event.data for event in log[2:-1]] == [asdict(event) for event in shown]
    assert [event.id for event in log] == sorted({event.id for event in log})
    assert database.events(job.id, after=log[3].id) == log[4:]
    assert database.events(job.id, after=log[-1].id) == []


def test_events_are_recorded_at_intervals_and_the_log_is_bounded(queue, lane, database):
    job = submit(queue).job
    lane.take()
    slow = ProgressRecorder(lane, job, interval_s=1000)
    for event in (Started("fits", 3000, "fits"), *(Advanced("fits", number) for number in range(3000))):
        slow(event)
    assert [event.name for event in database.events(job.id, 0)] == ["state", "state", "started", "advanced"]
    for event, counts in (
        (Note("last"), {"note": 1000, "advanced": 1}),
        (Advanced("fits", 1), {"note": 1000, "advanced": 1000}),
    ):
        row = (job.id, type(event).__name__.lower())
        with database.transaction() as connection:
            connection.executemany("INSERT INTO events (job, name, data) VALUES (?, ?, '{}')", [row] * 1500)
        lane.record(job, event, None)
        names = [event.name for event in database.events(job.id, 0, count=5000)]
        assert {name: names.count(name) for name in counts} == counts, "notes outlive the progress of a long job"


def test_listing_and_deletion(queue, lane):
    jobs = [submit(queue, key, owner=owner).job for key, owner in (("a", "ann"), ("b", "bob"), ("c", "ann"))]
    assert [job.id for job in queue.jobs(owner="ann")] == [jobs[2].id, jobs[0].id]
    assert [job.id for job in queue.jobs(before=jobs[2].id, count=1)] == [jobs[1].id]
    assert queue.jobs(kinds=[JobKind.FIT]) == []
    lane.end(lane.take(), JobState.DONE)
    assert [job.id for job in queue.jobs(states=[JobState.DONE, JobState.FAILED])] == [jobs[0].id]
    assert queue.delete_old(before=0) == []
    assert queue.delete_old(before=2e10) == [jobs[0].id]
    with pytest.raises(UnknownJobError, match=jobs[0].id):
        queue.job(jobs[0].id)


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + bytes(200)], ids=["text", "truncated"])
def test_a_damaged_database_is_an_error_with_advice(tmp_path, content):
    (tmp_path / "jobs.sqlite").write_bytes(content)
    with pytest.raises(StoreError, match=r"jobs.sqlite is damaged .*: move the file elsewhere; the jobs are lost"):
        JobDatabase(tmp_path / "jobs.sqlite")


def test_a_database_of_another_version_is_an_error(database):
    with sqlite3.connect(database.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="has version 99 of the table of jobs, and this hsifeat reads version 1"):
        JobDatabase(database.path)


def test_a_full_disk_is_an_error_and_loses_no_job(database, queue, monkeypatch):
    kept = submit(queue).job
    connect = sqlite3.connect
    pages = connect(database.path).execute("PRAGMA page_count").fetchone()[0]

    def connect_without_room(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect_without_room)
        with pytest.raises(StoreError, match="the disk is full"):
            queue.submit(JobKind.EXTRACT, "b", {"text": "x" * 10**6}, owner="ann")
    assert [job.id for job in queue.jobs()] == [kept.id]
    assert submit(queue, "b").outcome == "queued"
