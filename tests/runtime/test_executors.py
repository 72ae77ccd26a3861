"""Executors: every one passes the same suite."""

import os
import signal
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

import pytest
from distributed import Client

from hsifeat.errors import HsifeatError, SceneError
from hsifeat.runtime import dask_connection, worker_versions
from hsifeat.runtime.dask_executor import DaskExecutor, dask_executor
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.runtime.local import local_executor
from tests.helpers.dask_cluster import Cluster, have_other_versions, lack_hsifeat, pause, run_worker
from tests.helpers.forked_commands import ForkedFunction, fork_workers

# See `Cluster.__exit__`: the garbage collector may run before the cluster ends.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def square(number):
    if number < 0:
        raise HsifeatError(f"{number} is negative")
    return number, number**2, os.getpid()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_of_three(number):
    return die() if number == 3 else number


def append(log, *words):
    with Path(log).open("ab", buffering=0) as file:
        file.write((" ".join(map(str, words)) + "\n").encode())


def log_and_die_once(log, number):
    """Log a task. The first process that takes the task 2 is killed."""
    append(log, "run", number)
    if number == 2 and Path(log).read_text().count("run 2") == 1:
        die()


def kill_once(mark, pid):
    """Log the id of this process. The first call also kills the process `pid`."""
    append(mark, os.getpid())
    if len(Path(mark).read_text().split()) == 1:
        os.kill(pid, signal.SIGKILL)


def leave_mark(folder):
    Path(folder, str(os.getpid())).touch()


@contextmanager
def workers_of_cluster(address, count):
    """Wait for the workers of a cluster; yield a client, and a function that returns what the scheduler knows about them."""
    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(count)
        yield client, lambda: client.scheduler_info(n_workers=-1)["workers"]


@pytest.fixture(scope="module")
def cluster():
    """A Dask scheduler and two workers. The scheduler gives up a task if a worker that runs it dies."""
    with Cluster(2, allowed_failures=0) as opened:
        with workers_of_cluster(opened.address, 2):
            pass  # Both have joined.
        yield opened


# A new executor joins the suite by a line here, a function of the address of a cluster that opens it, and one in STATUSES.
EXECUTORS = {
    "inline": lambda _: nullcontext(InlineExecutor()),
    "processes": lambda _: local_executor(2, 0),
    "dask": dask_executor,
}
# Exit statuses of a program that is repeated until it succeeds, if the first process that runs the task 2 is killed.
STATUSES = {"inline": [-signal.SIGKILL, 0], "processes": [1, 0], "dask": [0]}


@pytest.fixture(scope="module", params=EXECUTORS)
def executor(request):
    address = request.getfixturevalue("cluster").address if request.param == "dask" else None
    with EXECUTORS[request.param](address) as opened:
        yield opened


def test_each_task_comes_with_its_result(executor):
    for tasks in ([3, 1, 2], [], range(20), [5, 5]):
        pairs = [(task, result[:2]) for task, result in executor.run(square, tasks)]
        assert sorted(pairs) == sorted((task, (task, task**2)) for task in tasks)


def test_an_error_of_a_task_is_raised_as_it_is_and_the_executor_runs_on(executor):
    with pytest.raises(HsifeatError, match="-1 is negative"):
        list(executor.run(square, [-1, 2]))
    assert [task for task, _ in executor.run(square, [4])] == [4]


def test_a_failed_task_does_not_end_the_others(executor):
    errors = {}
    results = executor.run(square, [1, -2, 3, -4], failed=lambda task, error: errors.update({task: str(error)}))
    assert sorted(task for task, _ in results) == [1, 3]
    assert sorted(errors) == [-4, -2] and all(f"{task} is negative" in text for task, text in errors.items())


@pytest.mark.parametrize("is_raised", [True, False])
def test_an_error_keeps_its_cause_and_type(executor, tmp_path, is_raised):
    errors = []
    try:
        list(
            executor.run(
                read, [str(tmp_path / "missing")], failed=None if is_raised else lambda _, error: errors.append(error)
            )
        )
    except SceneError as error:
        errors.append(error)
    (error,) = errors
    assert type(error) is SceneError and str(error).startswith("no file")
    assert isinstance(error.__cause__, FileNotFoundError) and error.__cause__.filename == str(tmp_path / "missing")


def read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise SceneError("no file") from error


def test_errors_of_tasks_that_are_no_hsifeat_errors_are_raised_always(executor):
    with pytest.raises(ZeroDivisionError):
        list(executor.run((1).__truediv__, [0], failed=lambda *_: None))


def test_workers_are_checked(executor, tmp_path):
    executor.check_workers(leave_mark, str(tmp_path))
    assert len(list(tmp_path.iterdir())) == (2 if isinstance(executor, DaskExecutor) else 1)
    with pytest.raises(HsifeatError, match="-5 is negative"):
        executor.check_workers(square, -5)


def test_the_inline_executor_runs_tasks_in_order_and_here():
    results = InlineExecutor().run(square, [3, -1])
    assert next(results) == (3, (3, 9, os.getpid())), "the second task has not run"


def test_a_slow_consumer_holds_back_the_tasks(executor):
    taken = []

    def tasks():
        for number in range(40):
            taken.append(number)
            yield number

    for consumed, _ in enumerate(executor.run(square, tasks()), 1):
        assert len(taken) <= consumed + 4, "results that nobody has asked for would fill the memory"
    assert len(taken) == consumed == 40


def run_missing(name, address, log):
    """Run the tasks without a result in the log, and log their results."""
    fork_workers()
    missing = [number for number in range(6) if f"result {number}" not in Path(log).read_text()]
    with EXECUTORS[name](address) as executor:
        for number, _ in executor.run(partial(log_and_die_once, log), missing):
            append(log, "result", number)


@pytest.mark.parametrize("name", EXECUTORS)
def test_a_worker_that_is_killed_costs_no_result(name, tmp_path):
    log = tmp_path / "log"
    log.touch()
    with Cluster(2) if name == "dask" else nullcontext() as cluster:
        address = cluster.address if cluster else None
        ended = [ForkedFunction(run_missing, name, address, log).wait() for _ in STATUSES[name]]
    assert [run.returncode for run in ended] == STATUSES[name], ended
    assert name != "processes" or "a worker process died, perhaps because memory ran out" in ended[0].stderr
    lines = log.read_text().splitlines()
    assert sorted(line for line in lines if "result" in line) == [f"result {number}" for number in range(6)]
    for number in range(6):
        assert f"run {number}" not in lines[lines.index(f"result {number}") :], "a task with a result ran again"
    assert lines.count("run 2") == 2


def test_a_scheduler_that_is_killed_is_waited_for(tmp_path):
    """The scheduler is killed while workers are checked, and while a task is prepared. The client is then closed, too."""
    notes = []
    with Cluster(1) as cluster, dask_executor(cluster.address, listen=notes.append) as executor:
        executor.check_workers(partial(kill_once, tmp_path / "pids"), cluster.scheduler_pid)
        assert len(set((tmp_path / "pids").read_text().split())) == 2, "the new worker is checked"

        def tasks():
            yield 1
            cluster.kill_scheduler()
            client = executor._connection.client
            client.sync(client._close)
            assert executor.workers == 1
            yield 2

        assert sorted(result[:2] for _, result in executor.run(square, tasks())) == [(1, 1), (2, 4)]
    assert sum("was lost: waiting for it" in note.message for note in notes) == 2


def test_a_task_that_kills_its_dask_workers_fails_and_the_others_do_not(cluster):
    errors = {}
    with dask_executor(cluster.address) as executor:
        results = executor.run(die_of_three, [3, 4, 5], failed=lambda task, error: errors.update({task: str(error)}))
        # Tasks that waited at the same worker are suspected, too.
        assert {4, 5} >= {task for task, _ in results}
    assert "1 workers died one after the other with the same task" in errors[3]


def test_errors_name_the_dask_worker(cluster):
    named = pytest.raises(HsifeatError, match=r"-1 is negative \(worker tcp://127\.0\.0\.1:\d+ on ")
    with dask_executor(cluster.address) as executor, named:
        list(executor.run(square, [-1]))


def test_other_versions_are_refused_before_work(cluster, monkeypatch):
    plain = worker_versions.version
    monkeypatch.setattr(worker_versions, "version", lambda name: "9.9" if name == "torch" else plain(name))
    worker_versions.own_versions.cache_clear()
    try:
        refused = pytest.raises(
            HsifeatError, match=r"worker tcp://\S+ has other versions .*: torch 2\S+ instead of 9\.9;"
        )
        with refused, dask_executor(cluster.address):
            pytest.fail("work began")
    finally:
        worker_versions.own_versions.cache_clear()


def test_a_late_worker_with_other_versions_gets_no_tasks():
    notes = []
    with Cluster(1) as cluster, dask_executor(cluster.address, listen=notes.append) as executor:
        late = ForkedFunction(run_worker, cluster.address, "late", False, have_other_versions)
        with workers_of_cluster(cluster.address, 2):
            results = list(executor.run(square, range(20), failed=lambda _, error: pytest.fail(str(error))))
            executor.check_workers(square, 1)
        assert sorted(task for task, _ in results) == list(range(20))
        assert late.process.pid not in {pid for _, (_, _, pid) in results}
        assert sum("torch 9.9 instead of" in note.message for note in notes) == 1
        late.signal(signal.SIGKILL)
        late.wait()


def test_a_worker_without_hsifeat_is_named():
    with Cluster(1, lack_hsifeat) as empty:
        refused = pytest.raises(HsifeatError, match=r"the worker tcp://\S+ can't run hsifeat \(.*ModuleNotFoundError")
        with refused, dask_executor(empty.address):
            pytest.fail("work began")


def test_a_paused_worker_is_reported_while_its_tasks_wait(monkeypatch):
    monkeypatch.setattr(dask_connection, "_COUNT_INTERVAL_S", 0.1)

    def stop(note):
        raise HsifeatError(note.message)

    def run_one(executor):
        list(executor.run(square, [1]))

    def check(executor):
        executor.check_workers(square, 1)

    with Cluster(1, pause) as paused:
        with workers_of_cluster(paused.address, 1) as (_, workers):
            while next(iter(workers().values()))["status"] != "paused":
                time.sleep(0.02)
        for work in (run_one, check):
            reported = pytest.raises(
                HsifeatError, match=r"the worker tcp://\S+ starts no more tasks, because its memory"
            )
            with reported, dask_executor(paused.address, listen=stop) as executor:
                work(executor)


def test_once_a_worker_has_a_gpu_tasks_run_only_there(tmp_path, monkeypatch):
    with Cluster(2, gpus=1) as mixed:
        with workers_of_cluster(mixed.address, 2) as (client, workers):
            pids = client.run(os.getpid)
            plain = {address: worker for address, worker in workers().items() if not worker["resources"]}
        (gpu,) = [pid for address, pid in pids.items() if address not in plain]
        with dask_executor(mixed.address) as executor:
            assert executor.workers == 1
            executor.check_workers(leave_mark, str(tmp_path))
            assert [path.name for path in tmp_path.iterdir()] == [str(gpu)]
            # While the worker with the GPU starts again, the scheduler knows only the other one.
            monkeypatch.setattr(executor._connection.client, "scheduler_info", lambda **_: {"workers": plain})
            assert {result[2] for _, result in executor.run(square, range(6))} == {gpu}


def test_a_local_cluster_refuses_clients_without_its_certificate():
    with dask_executor("local:1") as executor:
        assert sorted(executor.run(abs, [-2, 1])) == [(-2, 2), (1, 1)]
        assert executor.scheduler.startswith("tls://127.0.0.1:")
        with pytest.raises((OSError, TypeError, RuntimeError)):
            Client(executor.scheduler, timeout=2, set_as_default=False)


def test_a_cluster_without_workers_is_waited_for_within_a_limit():
    notes = []
    refused = pytest.raises(
        HsifeatError, match=r"no worker joined the scheduler (tcp://\S+) in 0.2 s: start one with `dask worker \1`"
    )
    with Cluster(0) as empty, refused, dask_executor(empty.address, worker_timeout_s=0.2, listen=notes.append):
        pytest.fail("work began")
    assert "has no workers yet: waiting at most 0.2 s for the first one" in notes[0].message


def test_addresses_of_clusters():
    for address in ("local", "local:0", "http://host:8786", "tcp://host", "local:2 "):
        refused = pytest.raises(
            HsifeatError, match=r"a Dask cluster is tcp://HOST:PORT, tls://HOST:PORT or local:N; found"
        )
        with refused, dask_executor(address):
            pytest.fail("work began")
