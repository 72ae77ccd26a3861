"""Benchmarks with `smooth`: a paired second score of every run, which leaves the first as it is."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from classifiers import compare
from classifiers.columns import read_columns
from classifiers.comparison.report.write import write_report
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.results.summary_text import overview
from classifiers.fit import fit_model
from classifiers.smoothing import parse_smoothing
from hsifeat.errors import HsifeatError
from hsifeat.features.open_features import open_features
from hsifeat.runtime.local import local_executor
from hsifeat.store.store import Store

pytestmark = pytest.mark.usefixtures("remembered_plots")

OPTIONS = {"heads": ["lda", "svm"], "inputs": ["spectra"], "splits": ["random:0.1", "blocks:9+1:0.3"], "seeds": 2}
SPLIT, RULE = "random:0.1", "gaussian:1.5"


@pytest.fixture(scope="module")
def smoothed(store_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("smoothed")
    return compare(store_path, **OPTIONS, sweep=False, smooth=RULE, out=out), out


def test_every_run_is_scored_after_smoothing_too(smoothed, store_path):
    found, out = smoothed
    plain = compare(store_path, **OPTIONS, sweep=False, out=out)
    assert all(run.smoothed_oa is None for run in plain.runs) and plain.summary[0].smoothing_gain is None
    assert [run.scores for run in found.runs] == [run.scores for run in plain.runs]
    again = compare(store_path, **OPTIONS, sweep=False, smooth=RULE, out=out)
    assert again.runs == found.runs, "recorded runs keep their score"
    for summary in found.summary:
        runs = [run for run in found.runs if (run.entry, run.split) == (summary.entry, summary.split)]
        gains = [run.smoothed_oa - run.oa for run in runs]
        assert summary.smoothing_gain.mean == pytest.approx(np.mean(gains))
        assert summary.smoothing_gain.sd == pytest.approx(np.std(gains, ddof=1))
        assert summary.smoothed_oa.mean == pytest.approx(np.mean([run.smoothed_oa for run in runs]))


def test_the_score_is_that_of_fit(smoothed, store_path):
    """The scores are equal only approximately, because a benchmark matches the numbers of training pixels of its splits."""
    options = OPTIONS | {"splits": ["per-class:5", "blocks:9+1:0.3"], "heads": ["lda"], "seeds": 1}
    found = compare(store_path, **options, sweep=False, smooth=RULE, out=smoothed[1])
    run = next(run for run in found.runs if run.split == "per-class:5")
    model = fit_model(
        open_features(store_path), "lda", inputs="spectra", labels=found.scene.labels, split="per-class:5", smooth=RULE
    )
    assert model.evaluation.scores.oa == pytest.approx(run.smoothed_oa, abs=2e-3)


def test_reports_show_the_pairs(smoothed):
    found, out = smoothed
    write_report(found, out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert f"smoothing the class probabilities over the scene by {RULE}" in page
    gain = 100 * found.summary[0].smoothing_gain.mean
    assert f"<td>{gain:+.2f} ±" in page
    assert read_json(out / "results.json").summary == found.summary
    assert found.frame["smoothed_oa"].notna().all()
    assert f"({gain:+.1f})" in overview(found)[0][f"smoothed {found.summary[0].split}"]
    assert f"--smooth {RULE}" in found.provenance.command


def test_only_pixels_in_reach_of_test_pixels_are_smoothed_in_small_blocks(store_path, tmp_path, monkeypatch):
    features = open_features(store_path)
    truth = features.labels("fields").classes
    few = np.zeros_like(truth)
    few[:30, :30] = truth[:30, :30]
    bands, rows, task_bytes = features.scene.bands, [], []

    def read(*arguments, plain=read_columns):
        rows.append(len(arguments[2]))
        return plain(*arguments)

    def opened(workers, memory, *, listen, plain=local_executor):
        task_bytes.append(memory)
        return plain(workers, memory, listen=listen)

    monkeypatch.setattr("classifiers.block_prediction.read_columns", read)
    monkeypatch.setattr("classifiers.comparison.bench_job.local_executor", opened)
    monkeypatch.setattr("classifiers.comparison.tasks.BLOCK_BYTES", 4 * bands * 16**2)
    options = {
        "heads": ["lda"],
        "inputs": ["spectra"],
        "splits": ["blocks:9+1:0.3"],
        "seeds": 1,
        "sweep": False,
        "jobs": 1,
    }
    store = Path(shutil.copytree(store_path, tmp_path / "few.zarr"))
    Store.open(store, writable=True).add_labels("few", few, {"class_names": {"1": "a", "2": "b", "3": "c", "4": "d"}})
    for folder, smooth in (("plain", None), ("smoothed", RULE)):
        found = compare(store, **options, labels="few", smooth=smooth, out=tmp_path / folder)
    mapped, reach = np.count_nonzero(features.valid), parse_smoothing(RULE).reach_px
    smoothed = sum(rows) / len(found.runs) - 2 * mapped
    assert 0 < smoothed <= (30 + reach) ** 2 < mapped / 2
    assert max(rows) <= 16**2
    assert task_bytes[1] - task_bytes[0] >= 32 * (128 + 2 * reach) ** 2 * len(np.unique(few[few > 0]))


def test_an_unknown_rule_is_refused_before_any_run(store_path, tmp_path):
    with pytest.raises(HsifeatError, match="unknown smoothing 'median'"):
        compare(store_path, **OPTIONS, smooth="median:3", out=tmp_path)
