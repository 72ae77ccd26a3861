"""Executors by name: a new one is a module and an entry point, and every command and function that runs tasks offers it."""

import sys
from importlib import import_module

import numpy as np
import pytest
import typer

import hsifeat
from classifiers import compare, load_model, predict_map
from hsifeat.errors import HsifeatError
from hsifeat.runtime.executor_plugins import executor_plugins, open_executor
from tests.helpers.small import small_cube

# What docs/developer/extending.md asks for: one file and one line of registration.
TOY = """
from contextlib import contextmanager

from hsifeat.errors import HsifeatError
from hsifeat.runtime.executor_plugins import ExecutorPlugin
from hsifeat.runtime.inline import InlineExecutor

USES = []


class ToyExecutor:
    workers = 1

    def __init__(self, colour):
        self.colour, self.inline = colour, InlineExecutor()

    def run(self, function, tasks, *, failed=None):
        for task, result in self.inline.run(function, tasks, failed=failed):
            USES.append((self.colour, function.__name__ if hasattr(function, "__name__") else type(function).__name__))
            yield task, result

    def check_workers(self, function, task):
        function(task)


@contextmanager
def open_toy(colour, listen):
    if colour == "mauve":
        raise HsifeatError("a toy is red or blue; found 'mauve'")
    yield ToyExecutor(colour)


PLUGIN = ExecutorPlugin(open_toy, "Run in a toy of this colour.", "COLOUR")
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The module of an executor of another package. The package also registers an executor that can't be imported."""
    facts = tmp_path / "site" / "toy_executor-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-executor\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[hsifeat.executors]\ntoy = toy_executor:PLUGIN\nbroken = toy_nowhere:PLUGIN\n"
    )
    (tmp_path / "site" / "toy_executor.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    import toy_executor

    yield toy_executor
    sys.modules.pop("toy_executor", None)


# All commands are imported without the executor of these tests, and are restored after each test.
list(typer.main.get_command(import_module("hsifeat.commands.app").app).commands.values())


@pytest.fixture
def app(toy, monkeypatch):  # commands read the entry points when they are imported
    """The command line, made anew as in a new process."""
    from hsifeat import commands

    for name in [name for name in sys.modules if name.startswith("hsifeat.commands.")]:
        if name != "hsifeat.commands.terminal":
            monkeypatch.setattr(commands, name.rpartition(".")[2], sys.modules[name])  # is restored after the test
            monkeypatch.delitem(sys.modules, name)
    return import_module("hsifeat.commands.app").app


@pytest.mark.usefixtures("remembered_plots")
def test_a_new_executor_is_an_option_of_every_command_that_runs_tasks(toy, app, store_path, model_folder):
    np.save("s.npy", small_cube(rows=24, cols=20))
    extract = ("extract", "s.npy", "--backbone", "context", "--layers", "mean-5", "--out", "a.zarr")
    bench = ("bench", store_path, "--heads", "lda", "--inputs", "spectra", "--splits", "random:0.3,blocks:12+4:0.1")
    helps = {}
    for command in (extract, ("predict", model_folder, store_path, "--out", "a.npy"), (*bench, "--seeds", 1)):
        parameters = typer.main.get_command(app).commands[command[0]].params
        helps[command[0]] = {
            option.opts[0]: option.help for option in parameters if option.name.startswith("executor_")
        }
        with pytest.raises(HsifeatError, match="a toy is red or blue; found 'mauve'"):
            app([*map(str, command), "--toy", "mauve"], standalone_mode=False)
    assert helps["extract"]["--toy"] == "Run in a toy of this colour. [default: this machine alone]"
    assert list(helps["extract"]) == ["--broken", "--dask", "--toy"]
    assert helps["extract"] == helps["predict"] == helps["bench"]
    app([*extract, "--toy", "red"], standalone_mode=False)
    assert toy.USES == [("red", "compute_unit")]
    with pytest.raises(typer.BadParameter, match="--dask and --toy select an executor each"):
        app([*extract, "--toy", "red", "--dask", "local:1"], standalone_mode=False)


def test_a_new_executor_is_named_by_a_text_in_python(toy, features, model_folder, tmp_path):
    scene = hsifeat.Scene("s", small_cube(rows=24, cols=20))
    options = {"backbone": "context", "layers": ["mean-5"]}
    alone = hsifeat.extract(scene, **options, out="alone.zarr")
    (outcome,) = hsifeat.extract_scenes([scene], **options, out=tmp_path / "many", executor="toy:blue")
    for store in (hsifeat.extract(scene, **options, out="toy.zarr", executor="toy:blue"), outcome.store):
        np.testing.assert_array_equal(store.plane(store.planes[0].id)[:], alone.plane(alone.planes[0].id)[:])
    model = load_model(model_folder)
    np.testing.assert_array_equal(predict_map(features, model, executor="toy:blue"), predict_map(features, model))
    assert len(toy.USES) == 3 and {colour for colour, _ in toy.USES} == {"blue"}
    with pytest.raises(HsifeatError, match="found 'mauve'"):
        compare(features, heads=["lda"], splits=["random:0.3"], executor="toy:mauve", out=tmp_path / "report")


def test_an_executor_whose_files_are_denied_breaks_no_command(toy, tmp_path):
    (tmp_path / "site" / "toy_nowhere.py").write_text("raise PermissionError(13, 'denied')")
    assert "can't be loaded" in executor_plugins()["broken"].description


def test_unknown_and_broken_executors_are_refused_in_one_line(toy):  # installs a broken executor
    with pytest.raises(HsifeatError, match="no executor 'tay'; allowed: broken, dask, toy"), open_executor("tay:3"):
        pytest.fail("opened")
    assert "can't be loaded: No module named 'toy_nowhere'" in executor_plugins()["broken"].description
    refused = pytest.raises(HsifeatError, match="the executor broken can't be loaded: No module named 'toy_nowhere'")
    with refused, open_executor("broken:1"):
        pytest.fail("opened")


def test_an_open_executor_is_yielded_and_stays_open(toy):
    executor = toy.ToyExecutor("red")
    with open_executor(executor) as same, open_executor(None) as none:
        assert same is executor and none is None
