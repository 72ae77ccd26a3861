"""A benchmark records its options, and a command that repeats it."""

import inspect
import shlex
from pathlib import Path

import pytest

from classifiers import compare, make_head
from classifiers.comparison.config import BenchConfig, bench_command
from classifiers.comparison.report.write import write_report
from classifiers.comparison.results.results_io import read_json

pytestmark = pytest.mark.usefixtures("remembered_plots")

OPTIONS = {
    "heads": ["lda", "svm"],
    "splits": ["random:0.3", "blocks:9+1:0.3"],
    "seeds": 1,
    "inputs": ["spectra", "planes"],
    "planes": ["t0/*"],
    "curve": [2],
    "distances": [3, 8],
}


def test_the_command_of_a_comparison_in_python_asks_for_the_same(store_path, tmp_path, cli):
    out = tmp_path / "my report"
    found = compare(store_path, **OPTIONS, out=out, sweep=False)
    runs = sorted(out.rglob("runs/*.json"))
    before = [path.stat().st_mtime_ns for path in runs]
    write_report(found, out)
    command = read_json(out / "results.json").provenance.command
    assert "'t0/*'" in command and "--no-sweep" in command
    cli(*shlex.split(command)[1:])
    assert "of these options, stores and recorded runs: its results are read" in cli.messages
    assert sorted(out.rglob("runs/*.json")) == runs
    assert [path.stat().st_mtime_ns for path in runs] == before, "nothing was run again"
    again = read_json(out / "results.json").provenance
    assert again.config == found.provenance.config and again.head_parameters == found.provenance.head_parameters
    assert shlex.split(again.command) == shlex.split(command), "what was typed, a blank and a star in it"


def test_options_that_were_completed_are_recorded(features, tmp_path):
    found = compare(
        features, heads=["svm"], splits=["random:0.3"], seeds=1, inputs=["spectra"], out=tmp_path, sweep=False
    )
    config = found.provenance.config
    assert config.splits == ("random:0.3", "blocks:12+4:0.1"), "the one that is added, too"
    assert [(store.path, store.key) for store in found.stores] == [(str(features.store.location), features.key)]
    parameters = make_head("svm").get_params()
    parameters_of_head = found.provenance.head_parameters["svm"]
    assert parameters_of_head.items() <= parameters.items()
    assert parameters.keys() - parameters_of_head.keys() <= {"layout", "random_state"}


def test_a_store_in_memory_has_no_command():
    config = BenchConfig.from_options({**OPTIONS, "sweep": True})
    assert bench_command(config, ["a.zarr"], Path("out")).startswith(
        "hsifeat bench a.zarr --heads lda,svm --splits random"
    )
    assert bench_command(config, ["a.zarr", "memory://a"], Path("out")) == ""


def test_compare_has_the_defaults_of_the_options():
    parameters = inspect.signature(compare).parameters
    for name, field in BenchConfig.model_fields.items():
        assert parameters[name].default == field.default, name
