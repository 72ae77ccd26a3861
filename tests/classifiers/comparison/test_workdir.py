"""A refused benchmark leaves no folder, but a folder with finished runs is kept."""

import pytest

from classifiers import compare
from classifiers.comparison.workdir import open_workdir
from hsifeat.errors import HsifeatError

OPTIONS = {"heads": ["lda"], "splits": ["random:0.3"], "seeds": 1, "inputs": ["spectra"], "sweep": False}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"planes": ["nope"]}, "has no plane 'nope'", id="planes"),
        pytest.param({"jobs": 9999}, "take at most [0-9]+$", id="jobs"),
        pytest.param({"heads": ["nope"]}, "no head is named 'nope'", id="head"),
    ],
)
def test_a_refused_benchmark_has_run_nothing_and_leaves_nothing(store_path, tmp_path, options, message):
    out = tmp_path / "report"
    with pytest.raises(HsifeatError, match=message):
        compare(store_path, **OPTIONS | options, out=out)
    assert not out.exists()


def test_a_folder_of_the_user_stays(tmp_path):
    for folder in ("new", "old"):
        out = tmp_path / folder
        if folder == "old":
            out.mkdir()
        with pytest.raises(ValueError, match="refused"), open_workdir(out):
            raise ValueError("refused")
        assert list(tmp_path.rglob("*")) == ([out] if folder == "old" else [])


def test_finished_work_stays(tmp_path):
    with pytest.raises(ValueError, match="interrupted"), open_workdir(tmp_path / "out"):
        (tmp_path / "out" / "record" / "runs").mkdir()
        raise ValueError("interrupted")
    assert (tmp_path / "out" / "record" / "runs").is_dir()


def test_what_a_killed_benchmark_left_is_deleted(tmp_path):
    left = [tmp_path / "record" / "tables-abc" / "x.npy", tmp_path / "record" / "runs" / ".k.json.1.part"]
    for file in left:
        file.parent.mkdir(parents=True)
        file.touch()
    with open_workdir(tmp_path):
        assert not left[0].parent.exists() and not left[1].exists()


@pytest.mark.parametrize("name", ["results.csv", "report.html", "results.json"])
def test_files_of_other_programs_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with (
        pytest.raises(HsifeatError, match=rf"has a file {name}, but no report of hsifeat: choose another folder"),
        open_workdir(tmp_path),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [name] and (tmp_path / name).read_text() == "{}"
