"""The CSV and JSON beside a report, against scikit-learn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score

from classifiers.comparison.results import results_io as tables
from classifiers.comparison.results.run import Entry, Run, RunResult
from hsifeat.errors import HsifeatError
from hsifeat.files import write_file
from tests.helpers.comparisons import build


def test_csv_equals_scikit_learn_and_repeats(tmp_path):
    comparison, pairs = build(left_out=(3,))
    tables.write_csv(comparison, tmp_path / "a.csv")
    comparison.results.reverse()
    tables.write_csv(comparison, tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(pairs)
    for row in rows:
        truth, predicted = pairs[Run(Entry(row["store"], row["features"], row["head"]), row["split"], int(row["seed"]))]
        assert float(row["oa"]) == accuracy_score(truth, predicted)
        assert float(row["kappa"]) == cohen_kappa_score(truth, predicted)
        recall = recall_score(truth, predicted, labels=[1, 2, 4, 5], average=None)
        assert [float(row[f"recall_{c}"]) for c in (1, 2, 4, 5)] == list(recall)
        assert (row["recall_3"], row["left_out"]) == ("", "3")


def test_json_reads_back(tmp_path):
    comparison, _ = build()
    comparison.stores[0]["recipe"] = {"seed": np.int64(3), "path": Path("x"), "fitted": np.array([0.5])}
    tables.write_json(comparison, tmp_path / "results.json")
    document = tables.read_json(tmp_path / "results.json")
    assert document["schema_version"] == 2
    assert document["stores"][0]["recipe"] == {"seed": 3, "path": "x", "fitted": [0.5]}
    assert document["class_names"]["5"] == "Class 5"
    for row, result in zip(document["results"], sorted(comparison.results, key=lambda r: r.run), strict=True):
        again = RunResult.from_json(row)
        assert again.run == result.run
        assert again.scores.recall == result.scores.recall
        assert (again.scores.confusion == result.scores.confusion).all()
    first, summary = document["summary"][0], comparison.summary[0]
    assert (first["head"], first["oa"], first["recall"]["1"]) == ("svm", list(summary.oa), list(summary.recall[1]))


def test_a_file_of_before_intervals_of_aa_is_still_read(tmp_path):
    tables.write_json(build(left_out=(3,))[0], tmp_path / "results.json")
    document = json.loads((tmp_path / "results.json").read_text())
    assert [cell["left_out"] for cell in document["summary"]] == [{"3": 2}] * 6
    assert [(gap["random"], gap["disjoint"]) for gap in document.pop("gaps")] == [("random:0.1", "blocks:12+4:0.1")] * 3
    for cell in document["summary"]:
        del cell["class_counts"], cell["aa_interval"], cell["kappa_interval"]
        cell["left_out"] = [3]
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert tables.read_json(tmp_path / "old.json") == document


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param('{"schema_version": 9}', "schema version 9; this hsifeat reads version 2", id="newer"),
        pytest.param("[1]", "schema version None", id="other JSON"),
        pytest.param("{", "can't be read as the JSON of a comparison", id="torn"),
    ],
)
def test_json_of_another_kind_is_refused(content, message, tmp_path):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(HsifeatError, match=message):
        tables.read_json(tmp_path / "results.json")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    write_file(path, b"old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(HsifeatError, match="can't be written: disk full"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]
