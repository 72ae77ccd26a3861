"""Parameters of heads in a benchmark: they reach the fits, the records, the report and the command that repeats it."""

import shlex

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import compare, make_head
from classifiers.comparison.head_params import assignments, plain_params
from classifiers.comparison.report.write import write_report
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.run_records import RunRecords
from classifiers.table import PixelTable
from hsifeat.commands.bench import _head_params
from hsifeat.errors import HsifeatError

pytestmark = pytest.mark.usefixtures("remembered_plots")

OPTIONS = {
    "heads": ["svm"],
    "splits": ["per-class:4", "blocks:9+1:0.3"],
    "seeds": 1,
    "inputs": ["spectra"],
    "sweep": False,
}

numbers = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(allow_nan=False)
values = numbers | st.text(max_size=8) | st.lists(numbers | st.text(max_size=5), max_size=4).map(tuple)
values |= st.dictionaries(st.integers(0, 99), st.floats(0, 9), max_size=3)


@given(
    st.dictionaries(
        st.sampled_from(["svm", "random-forest"]),
        st.dictionaries(st.sampled_from("ab"), values, min_size=1),
        min_size=1,
    )
)
def test_the_command_line_reads_the_values_that_were_set(params):
    again = _head_params(shlex.split(shlex.join(assignments(params))))
    assert again == params
    assert repr(again) == repr({head: dict(values) for head, values in params.items()}), "with their types"
    assert plain_params(params) == params


def test_fits_records_report_and_the_repeated_command_have_the_parameters(store_path, tmp_path, cli):
    plain = compare(store_path, **OPTIONS, out=tmp_path / "report")
    params = {"svm": {"C": np.float64(0.01), "class_weight": "balanced", "spectral_components": 4}}
    out = tmp_path / "report"
    found = compare(store_path, **OPTIONS, params=params, out=out)
    assert {run.key for run in plain.runs}.isdisjoint(run.key for run in found.runs), "no run is taken for another's"
    assert [run.draw for run in plain.runs] == [run.draw for run in found.runs]
    table, record = PixelTable.from_store(store_path, planes=[], sample=True), RunRecords(out / "record")
    for run in found.runs:
        draw = record.read_draw(run.draw)
        train, test = (table[np.isin(table.pixels, draw[side])] for side in ("train", "test"))
        head = make_head("svm", layout=table.layout, C=0.01, class_weight="balanced", spectral_components=4)
        head.set_params(random_state=run.seed).fit(train.X, train.y, unlabelled=table.unlabelled)
        by_hand = head.predict(test.X)
        np.testing.assert_array_equal(record.read_predictions(run.key), by_hand)
    assert any((a.scores != b.scores) for a, b in zip(plain.runs, found.runs, strict=True))
    write_report(found, out)
    provenance = read_json(out / "results.json").provenance
    assert provenance.config.params == {"svm": {"C": 0.01, "class_weight": "balanced", "spectral_components": 4}}
    recorded = provenance.head_parameters["svm"]
    assert (recorded["C"], recorded["class_weight"], recorded["spectral_components"]) == (0.01, "balanced", 4)
    assert "--set svm.C=0.01 --set svm.class_weight=balanced --set svm.spectral_components=4" in provenance.command
    assert "--set" in (out / "report.html").read_text()
    cli(*shlex.split(provenance.command)[1:])
    assert "its results are read" in cli.messages
    assert read_json(out / "results.json").provenance.config == provenance.config


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lda": {"shrinkage": 0.1}}, "parameters are set for the head lda, which is not compared; compared: svm"),
        ({"svm": {"D": 1}}, "head 'svm' has no parameter 'D'; allowed: C, class_weight"),
        ({"svm": {"C": "big"}}, "C of the head svm is 'big'; allowed:"),
        ({"svm": {"random_state": 1}}, "random_state of the head svm is the seed of each run"),
        ({"svm": 3}, "params: expected parameters by head and name, such as .*'C': 10.*; found"),
        ({"svm": {"C": object()}}, "params: expected parameters that are numbers, text, true, false, none, or lists"),
    ],
)
def test_wrong_parameters_are_named_before_anything_runs(store_path, tmp_path, params, message):
    with pytest.raises(HsifeatError, match=message):
        compare(store_path, **OPTIONS, params=params, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_assignments_are_wrong_usage(store_path, cli):
    for text in ("C=1", "svm.C", "svm.=1", ".C=1"):
        said = " ".join(cli("bench", store_path, "--heads", "svm", "--set", text, status=2).replace("│", " ").split())
        assert "--set takes HEAD.NAME=VALUE, such as svm.C=10; found" in said
