"""Prediction by an executor: the same maps as in one process, from models and stores that workers open by name."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

import hsifeat
from classifiers import block_workers
from classifiers.model import load_model
from classifiers.predict import predict_map, predict_probabilities, write_scene_map
from hsifeat.errors import HsifeatError
from hsifeat.types import Window
from tests.helpers.executors import InThisProcess


@pytest.mark.parametrize("smooth", ["none", "gaussian:2"])
def test_maps_do_not_depend_on_the_executor(features, model_folder, smooth):
    model = load_model(model_folder)
    options = {"smooth": smooth, "block_px": 32}
    alone = predict_map(features, model, **options)
    np.testing.assert_array_equal(predict_map(features, model, executor=InThisProcess(), **options), alone)
    blocks = zip(
        predict_probabilities(features, model, **options),
        predict_probabilities(features, model, executor=InThisProcess(), **options),
        strict=True,
    )
    for (window, values), (same_window, same_values) in blocks:
        assert window == same_window
        np.testing.assert_array_equal(values, same_values)


def test_the_file_is_the_same(features, model_folder, tmp_path):
    model = load_model(model_folder)
    write_scene_map(features, model, tmp_path / "alone.npy")
    write_scene_map(features, model, tmp_path / "shared.npy", executor=InThisProcess())
    assert (tmp_path / "shared.npy").read_bytes() == (tmp_path / "alone.npy").read_bytes()


def test_a_model_that_workers_can_not_open_is_refused(features, model_folder, tmp_path):
    with pytest.raises(HsifeatError, match=r"save it, and predict with load_model\(folder\)"):
        predict_map(features, hsifeat.fit_model(features, "lda"), executor=InThisProcess())
    folder = shutil.copytree(model_folder, tmp_path / "model")
    model = load_model(folder)

    refit = InThisProcess(lambda: hsifeat.fit_model(features, "lda", split="random:0.3").save(folder))
    with pytest.raises(HsifeatError, match="holds another model here than the one that was loaded: load it again"):
        predict_map(features, model, executor=refit)
    with pytest.raises(HsifeatError, match="holds another model here than the one that was loaded: load it again"):
        predict_map(features, model, executor=InThisProcess())
    again, options = load_model(folder), {"smooth": "none"}
    np.testing.assert_array_equal(
        predict_map(features, again, executor=InThisProcess(), **options), predict_map(features, again, **options)
    )
    other = load_model(shutil.copytree(model_folder, tmp_path / "other" / "model"))
    hidden = InThisProcess(lambda: shutil.rmtree(tmp_path / "other"))
    with pytest.raises(
        HsifeatError, match="model can't be seen here: the model must be in a folder that all workers share"
    ):
        predict_map(features, other, executor=hidden)


def test_a_model_is_found_after_a_change_of_the_working_directory(features, model_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(model_folder.parent)
    model = load_model(model_folder.name)
    monkeypatch.chdir(tmp_path)
    assert model.folder == model_folder
    here = predict_map(features, model, executor=InThisProcess())
    np.testing.assert_array_equal(here, predict_map(features, model))


def test_a_model_whose_head_was_fitted_again_is_refused(features, model_folder, tmp_path):
    """The workers predicted with the head in the folder, so the map was that of the former head."""
    model = load_model(model_folder)
    other = hsifeat.fit_model(features, "lda", inputs="spectra", split="random:0.3")
    with pytest.raises(HsifeatError, match=r"the head of this model is not the one that was loaded from .*model"):
        predict_map(features, replace(model, head=other.head), executor=InThisProcess())
    rows = np.random.default_rng(0).normal(size=(40, model.layout.width)).astype(np.float32)
    model.head.fit(rows, np.arange(40) % 2 + 1)
    with pytest.raises(HsifeatError, match=r"or was fitted again: save the model, and predict with load_model"):
        predict_map(features, model, executor=InThisProcess())
    model.save(tmp_path / "again")
    again = load_model(tmp_path / "again")
    np.testing.assert_array_equal(predict_map(features, again, executor=InThisProcess()), predict_map(features, model))


class SlowStart:
    """An executor whose first task ends last, with an even number of workers."""

    def __init__(self, workers):
        self.workers, self.runs, self.most = workers, 0, 0

    def check_workers(self, function, task):
        """Check nothing."""

    def run(self, function, tasks, *, failed=None):
        """Run the first task last. `most` is the number of results that were held back."""
        self.runs += 1
        queue = iter(tasks)
        first, results = next(queue), 0
        for task in queue:
            results += 1
            yield task, task.window
        self.most = max(self.most, results)
        yield first, first.window


class InOrder(SlowStart):
    """An executor whose tasks end in their original order."""

    def run(self, function, tasks, *, failed=None):
        """Run the tasks one after the other."""
        self.runs += 1
        for task in tasks:
            yield task, task.window


def test_workers_never_wait_for_a_batch_and_results_are_bounded(features, model_folder, monkeypatch):
    monkeypatch.setattr(block_workers, "_MAX_AHEAD", 8)
    windows = [Window(0, col, 1, 1) for col in range(30)]
    for executor, runs in ((InOrder(2), 1), (SlowStart(2), 4)):
        workers = block_workers.BlockWorkers(executor, features, load_model(model_folder))
        assert list(workers.predict(iter(windows), probabilities=False)) == windows
        assert executor.runs == runs and executor.most < 8
