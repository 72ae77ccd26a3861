"""A comparison keeps what it was asked for, as values and as a command that gives the same again."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from classifiers import compare, make_head
from classifiers.comparison.config import command_of
from classifiers.comparison.report.write import write_files
from classifiers.comparison.results.results_io import read_json

HSIFEAT = Path(sys.executable).with_name("hsifeat")
ASKED = {
    "heads": ["lda", "svm"],
    "splits": ["random:0.3", "blocks:9+1:0.3"],
    "seeds": 2,
    "inputs": ["spectra", "planes"],
    "planes": ["t0/*"],
    "curve": [2, 5],
}


def test_the_command_of_a_comparison_in_python_asks_for_the_same(store_path, tmp_path):
    out = tmp_path / "my report"
    found = compare(store_path, **ASKED, out=out)
    runs = sorted(out.rglob("runs/*.json"))
    before = [path.stat().st_mtime_ns for path in runs]
    write_files(found, out)
    command = read_json(out / "results.json")["provenance"]["command"]
    assert "'t0/*'" in command and "--no-sweep" in command
    environment = {**os.environ, "HSIFEAT_CACHE": str(tmp_path / "cache")}
    ended = subprocess.run(
        [HSIFEAT, *shlex.split(command)[1:]], env=environment, capture_output=True, text=True, check=True
    )
    assert "16 of 16 runs are recorded already" in ended.stderr
    assert sorted(out.rglob("runs/*.json")) == runs
    assert [path.stat().st_mtime_ns for path in runs] == before, "nothing was run again"
    again = read_json(out / "results.json")["provenance"]
    assert again["arguments"] == found.provenance["arguments"]
    assert shlex.split(again["command"]) == shlex.split(command), "what was typed, a blank and a star in it"


def test_the_arguments_are_settled(features, tmp_path):
    found = compare(features, heads=["svm"], splits=["random:0.3"], seeds=1, inputs=["spectra"], out=tmp_path)
    asked = found.provenance["arguments"]
    assert asked["splits"] == ["random:0.3", "blocks:12+4:0.1"], "the one that is added, too"
    assert asked["stores"] == [{"path": str(features.store.location), "key": features.key}]
    parameters = make_head("svm").get_params()
    assert asked["heads"]["svm"].items() <= parameters.items()
    assert parameters.keys() - asked["heads"]["svm"].keys() <= {"layout", "random_state"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sweep": "film"}, id="another head sweeps"),
        pytest.param({"stores": [{"path": "memory://a", "key": ""}]}, id="a store in memory"),
    ],
)
def test_no_command_is_given_where_none_asks_for_the_same(change):
    asked = {**ASKED, "stores": [{"path": "a.zarr", "key": ""}], "heads": {"svm": {}}, "labels": None, "sweep": "lda"}
    assert command_of(asked, Path("out")).startswith("hsifeat bench a.zarr --heads svm")
    assert command_of({**asked, **change}, Path("out")) == ""
