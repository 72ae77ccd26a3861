"""Results as CSV and JSON: against scikit-learn, read back, and refused if they are something else."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, recall_score

from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.results_io import read_json, schema_text, sorted_runs, write_csv, write_json
from classifiers.multi_scene import GAP_PX
from hsifeat.errors import HsifeatError
from tests.helpers.comparisons import add_all, add_changes, build, entry, with_runs

SCHEMA = Path(__file__).parents[4] / "docs" / "results.schema.json"


def test_csv_equals_scikit_learn_and_repeats(tmp_path):
    comparison, pairs = build(left_out=(3,))
    write_csv(comparison, tmp_path / "a.csv")
    write_csv(with_runs(comparison, comparison.runs[::-1]), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(pairs)
    for row in rows:
        truth, predicted = pairs[entry(row["store"], row["inputs"], row["head"]), row["split"], int(row["seed"])]
        assert float(row["oa"]) == accuracy_score(truth, predicted)
        assert float(row["kappa"]) == cohen_kappa_score(truth, predicted)
        recall = recall_score(truth, predicted, labels=[1, 2, 4, 5], average=None)
        assert [float(row[f"recall_{c}"]) for c in (1, 2, 4, 5)] == list(recall)
        assert (row["recall_3"], row["pixels_3"], row["left_out"]) == ("", "0", "3")


def test_the_columns_of_a_run_follow_its_fields():
    columns = "store inputs head split seed train_pixels test_pixels left_out oa aa kappa fit_seconds predict_seconds smoothed_oa"
    by_class = [f"{name}_{number}" for name in ("recall", "f1", "pixels") for number in range(1, 6)]
    assert list(build()[0].frame) == [*columns.split(), *by_class]


def test_json_reads_back(tmp_path):
    comparison = add_changes(add_all(build(left_out=(3,))[0]))
    write_json(comparison, tmp_path / "results.json")
    results = read_json(tmp_path / "results.json")
    for name in BenchResults.model_fields:
        assert getattr(results, name) == getattr(comparison, name), name
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["schema_version"] == 1
    assert document["class_names"]["5"] == "Class 5"
    assert document.keys() == BenchResults.model_fields.keys(), "images are not in it"


def test_csv_of_results_that_were_read_is_the_same(tmp_path):
    """Counts of pixels, such as 152, were written as 152.0."""
    comparison = add_changes(add_all(build(left_out=(3,))[0]))
    write_csv(comparison, tmp_path / "a.csv")
    write_json(comparison, tmp_path / "results.json")
    write_csv(read_json(tmp_path / "results.json"), tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_runs_are_sorted_by_entry_split_and_seed():
    runs = sorted_runs(build(entries=[entry("b", "x", "a"), entry("a", "y", "b"), entry("a", "y", "a")])[0].runs)
    names = [(run.entry.store, run.entry.inputs, run.entry.head, run.split, run.seed) for run in runs]
    assert names == sorted(names) and len(set(names)) == len(names)


def test_the_schema_in_the_documentation_is_current():
    assert SCHEMA.read_text() == schema_text(), (
        "run: python -m classifiers.comparison.results.results_io > docs/results.schema.json"
    )
    assert f"the {GAP_PX:,} empty rows between two scenes" in schema_text()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param('{"schema_version": 9}', "schema version 9; this hsifeat reads version 1", id="newer"),
        pytest.param("[1]", "holds no JSON object: give an undamaged results.json", id="other JSON"),
        pytest.param("{", r"is damaged \(.*\): give an undamaged results.json of a report", id="damaged"),
        pytest.param('{"schema_version": 1, "scene": {}}', "not a results.json of hsifeat bench: scene.name: Field required", id="missing field"),
    ],
)  # fmt: skip
def test_json_of_another_kind_is_refused(content, message, tmp_path):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(HsifeatError, match=message):
        read_json(tmp_path / "results.json")


@pytest.mark.parametrize("change", [{"extra": 1}, {"runs": "many"}])
def test_unknown_fields_and_other_types_are_refused(change, tmp_path):
    write_json(build()[0], tmp_path / "x.json")
    document = json.loads((tmp_path / "x.json").read_text())
    del document["seal"]
    (tmp_path / "x.json").write_text(json.dumps({**document, **change}))
    with pytest.raises(HsifeatError, match=f"x.json is not a results.json of hsifeat bench: {next(iter(change))}: "):
        read_json(tmp_path / "x.json")


def test_a_changed_digit_is_refused_and_an_edited_file_without_a_seal_is_read(tmp_path):
    file = tmp_path / "x.json"
    write_json(build()[0], file)
    document = json.loads(file.read_text())
    document["runs"][0]["fit_seconds"] = 99.5
    file.write_text(json.dumps(document))
    with pytest.raises(HsifeatError, match=r"x\.json is damaged or was edited: give an undamaged results\.json"):
        read_json(file)
    del document["seal"]
    file.write_text(json.dumps(document))
    assert read_json(file).runs[0].fit_seconds == 99.5
