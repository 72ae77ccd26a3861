"""Recorded runs: reuse, resumption after an interruption, and keys."""

import hashlib
import io
import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import scipy

from classifiers import compare, write_report
from classifiers.comparison import bench_runs, run_records
from classifiers.comparison.report import report_record
from classifiers.comparison.run_records import RunRecords, run_key, versions
from classifiers.comparison.sweep import sweep
from classifiers.heads import registry
from classifiers.layout import Layout
from classifiers.metrics import Metric
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.runtime.events import Note
from hsifeat.seals import seal_file

SPLITS = ("random:0.3", "blocks:9+1:0.3")


def test_finished_runs_are_not_run_again(store_path, tmp_path, fits):
    options = {"heads": ["lda"], "splits": SPLITS, "out": tmp_path}
    one = compare(store_path, seeds=2, inputs=["spectra"], **options, sweep=False)
    assert len(fits) == 4
    two = compare(store_path, seeds=2, inputs=["spectra"], **options, sweep=False)
    assert len(fits) == 4
    assert one.frame.equals(two.frame), "seconds too: they are those of the recorded runs"
    compare(store_path, seeds=3, inputs=["spectra", "planes"], **options, sweep=False)
    assert len(fits) == 4 + 2 + 6


def test_an_interrupted_comparison_resumes(store_path, tmp_path, fits, monkeypatch):
    options = {"heads": ["lda"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra", "planes"], "out": tmp_path}
    plain = bench_runs.do_run

    def dying(task):
        if len(fits) == 3:
            raise KeyboardInterrupt
        return plain(task)

    with monkeypatch.context() as patch:
        patch.setattr(bench_runs, "do_run", dying)
        with pytest.raises(KeyboardInterrupt):
            compare(store_path, **options, sweep=False)
    # A killed run leaves some of its files, and another one torn; a killed comparison its tables.
    record = tmp_path / "record"
    (record / "runs" / ("0" * 32 + ".json")).write_text('{"store": "sm')
    (record / "runs" / f".{'1' * 32}.json.abc.part").write_text("{")
    (record / "tables-killed").mkdir()
    notes = []
    compare(
        store_path, listen=lambda e: notes.append(e.message) if isinstance(e, Note) else None, **options, sweep=False
    )
    assert "3 of 8 runs are recorded already" in notes
    assert len(fits) == 8
    assert not list(record.glob("tables-*")) and not list(record.glob("*/.*.part"))


def test_reused_results_of_a_head_of_another_package_are_noted(store_path, tmp_path, monkeypatch):
    """A head whose code was edited without a new version kept its former accuracy, and nothing said so."""
    monkeypatch.setattr(run_records, "head_distribution", lambda name: {"own-heads": "0.1"} if name == "svm" else {})
    options = {"splits": SPLITS, "inputs": ["spectra"], "sweep": False, "curve": [2]}

    def notes(heads, seeds, folder):
        said = []
        listen = lambda event: said.append(event.message) if isinstance(event, Note) else None  # noqa: E731
        result = compare(store_path, heads=heads, seeds=seeds, out=folder, listen=listen, **options)
        return result, [text for text in said if "own-heads" in text]

    expected = [
        "results are reused of svm (own-heads 0.1): if code of a head or rule has changed since, raise the version"
    ]
    heads = ["lda", "svm"]
    assert notes(heads, 1, tmp_path / "a")[1] == []
    for seeds in (2, 2):  # the second time, the report is read
        result, said = notes(heads, seeds, tmp_path / "a")
        write_report(result, tmp_path / "a")
        assert len(said) == 1 and said[0].startswith(expected[0])
    notes(["lda"], 1, tmp_path / "b")
    assert notes(["lda"], 2, tmp_path / "b")[1] == []
    said = []
    for _ in range(2):
        said.append([])
        options = {"head": "svm", "planes": ["t0/mid_block"], "best": 1, "out": tmp_path / "swept"}
        sweep(store_path, listen=lambda event: said[-1].append(getattr(event, "message", "")), **options)
    assert [sum("own-heads 0.1" in text for text in texts) for texts in said] == [0, 1]


def test_a_run_without_its_predictions_map_or_confidence_is_run_again(store_path, tmp_path, fits):
    options = {"heads": ["lda"], "splits": SPLITS, "seeds": 1, "inputs": ["spectra", "planes"], "out": tmp_path}
    files = ("predictions/{}.npy", "maps/{}.npy", "maps/{}-confidence.npy")
    for result, file in zip(compare(store_path, **options, sweep=False).runs, files, strict=False):
        (tmp_path / "record" / file.format(result.key)).unlink()
    again = compare(store_path, **options, sweep=False)
    assert len(fits) == 4 + 3
    assert again.images.confidence.keys() == again.images.maps.keys()


@pytest.fixture(scope="module")
def two_runs(store_path, tmp_path_factory):
    """A comparison of two runs, and the folder of their records."""
    options = {"heads": ["lda"], "splits": SPLITS, "seeds": 1, "inputs": ["spectra"], "sweep": False}
    folder = tmp_path_factory.mktemp("two runs")
    return compare(store_path, **options, out=folder), folder, options


@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "of another run"])
@pytest.mark.parametrize("folder", ["runs", "predictions", "maps", "draws"])
def test_a_damaged_record_is_said_and_its_run_is_repeated(two_runs, store_path, tmp_path, fits, damage, folder):
    whole, done, options = two_runs
    shutil.copytree(done, tmp_path, dirs_exist_ok=True)
    first, second = sorted((tmp_path / "record" / folder).glob("*"))[:2]
    content = first.read_bytes()
    if damage == "of another run":
        first.write_bytes(second.read_bytes())
    else:
        flipped = content[:300] + bytes([content[300] ^ 1]) + content[301:]
        first.write_bytes({"flipped": flipped, "truncated": content[:-9], "empty": b""}[damage])
    notes = []
    again = compare(
        store_path, listen=lambda e: notes.append(e.message) if isinstance(e, Note) else None, **options, out=tmp_path
    )
    assert any(first.name in note and "damaged" in note for note in notes)
    assert len(fits) == (folder != "draws")
    assert [run.confusion for run in again.runs] == [run.confusion for run in whole.runs]
    if folder in {"draws", "predictions"}:
        assert first.read_bytes() == content


def test_a_head_without_probabilities_needs_no_confidence_map(store_path, tmp_path, fits):
    options = {"heads": ["svm"], "splits": SPLITS, "seeds": 1, "inputs": ["spectra"], "out": tmp_path}
    assert compare(store_path, **options, sweep=False).images.confidence == {}
    compare(store_path, **options, sweep=False)
    assert len(fits) == 2


def test_run_key_covers_the_version_of_an_external_head(monkeypatch):
    """The expected key of a built-in head is computed by the rules of the second record format."""
    facts = {"store": "s", "layout": Layout(()).to_json(), "head": {"name": "lda"}, "draw": "d", "seed": 0, "format": 2}
    metrics = ["aa", "f1", "kappa", "oa", "recall"]
    text = json.dumps({**facts, "versions": versions(), "metrics": metrics}, sort_keys=True)
    assert run_key("s", Layout(()), {"name": "lda"}, "d", 0) == hashlib.sha256(text.encode()).hexdigest()[:32]

    def installed(version):
        dist = type("Distribution", (), {"name": "others", "version": version})
        monkeypatch.setattr(registry, "_registered", lambda: {"foreign": SimpleNamespace(dist=dist)})
        return run_key("s", Layout(()), {"name": "foreign"}, "d", 0)

    assert installed("1.0") == installed("1.0") != installed("1.1")


def test_run_key_covers_the_libraries_of_linear_algebra():
    """The key covers `versions`, see the test above."""
    assert {"numpy": np.__version__, "scipy": scipy.__version__}.items() <= versions().items()


def test_run_key_covers_the_metrics(monkeypatch):
    arguments = ("s", Layout(()), {"name": "lda"}, "d", 0)
    before = run_key(*arguments)
    monkeypatch.setattr(
        run_records, "METRICS", (*run_records.METRICS, Metric("mcc", "MCC", "correlation", lambda *_: 1.0))
    )
    assert run_key(*arguments) != before


def test_run_key_covers_the_training_pixels(store_path, tmp_path, fits):
    options = {"heads": ["lda"], "seeds": 1, "inputs": ["spectra"], "out": tmp_path}
    compare(store_path, splits=["random:0.3", "blocks:9+0:0.6"], **options, sweep=False)
    compare(store_path, splits=["random:0.4", "blocks:9+0:0.6"], **options, sweep=False)
    # The random split is another one, and the blocks are thinned to another number of training pixels.
    assert len(fits) == 4


def test_a_folder_is_locked_by_one_comparison(store_path, tmp_path):
    from filelock import FileLock

    (tmp_path / "record").mkdir()
    with FileLock(tmp_path / "record" / ".lock"), pytest.raises(HsifeatError, match="another benchmark is running in"):
        compare(store_path, heads=["lda"], out=tmp_path, sweep=False)


def test_unknown_planes_are_reported_before_anything_runs(store_path, tmp_path, fits):
    options = {"heads": ["lda"], "splits": ["random:0.3"], "inputs": ["spectra"], "seeds": 1, "sweep": False}
    with pytest.raises(HsifeatError, match="nope"):
        compare(store_path, planes=["nope"], out=tmp_path / "report", **options)
    assert fits == [] and not (tmp_path / "report").exists()


def _npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


PIXELS = {"train": np.arange(3), "test": np.arange(3), "truth": np.ones(3, int)}


@pytest.mark.parametrize(
    "content",
    [b"", b"text", _npz(**PIXELS)[:200], _npz(train=np.arange(3)), _npz(**{**PIXELS, "truth": np.array([{}])})],
    ids=["empty", "text", "truncated", "incomplete", "objects"],
)
def test_a_sealed_draw_that_can_not_be_read_is_one_error(tmp_path, content):
    records = RunRecords(tmp_path)
    file = records.draw("k")
    file.parent.mkdir()
    file.write_bytes(content)
    seal_file(file, "draws/k.npz")
    with pytest.raises(StoreError, match=r"k\.npz can't be read .*: delete the file, and repeat the command") as error:
        records.read_draw("k")
    assert "\n" not in str(error.value)


def test_runs_of_another_version_of_a_smoothing_rule_are_not_reused(store_path, tmp_path, monkeypatch):
    """The results of the former code of the rule were read, without a note."""
    version = {"own-rules": "1.0"}
    for module in (run_records, report_record):
        monkeypatch.setattr(module, "rule_distribution", lambda text: dict(version) if text else {})
    options = {"heads": ["lda"], "splits": ["blocks:9+1:0.3"], "seeds": 1, "inputs": ["spectra"], "sweep": False}
    notes = []
    for number, expected in (("1.0", False), ("1.0", True), ("2.0", False)):
        version["own-rules"], said = number, []
        found = compare(
            store_path,
            out=tmp_path / "report",
            smooth="gaussian:2",
            **options,
            listen=lambda event, said=said: said.append(str(event)),
        )
        write_report(found, tmp_path / "report")
        text = " ".join(said)
        assert ("results are read" in text) == expected
        assert ("are recorded already" in text and number == "2.0") is False
        notes.append(f"results are reused of gaussian:2 (own-rules {number})" in text)
    assert notes == [False, True, False]
