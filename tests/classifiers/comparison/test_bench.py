"""Benchmarks by their command: files that agree with each other, and runs that are not repeated after a kill or Ctrl-C."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from PIL import Image

from classifiers import compare
from classifiers.comparison.report.latex import to_latex
from classifiers.comparison.report.markdown import to_markdown
from classifiers.comparison.report.write import file_name, plan_files, write_report
from classifiers.comparison.results.results_io import read_json, sorted_runs
from classifiers.metrics import score_predictions
from hsifeat.runtime import processes
from hsifeat.runtime.processes import _start_worker as start_worker
from hsifeat.scenes.georeference import Georeference
from tests.classifiers.conftest import PLANES, SPLITS
from tests.helpers.comparisons import ENTRIES, add_all, build, entry
from tests.helpers.forked_commands import ForkedCommand, fork_workers


def test_the_csv_is_the_frame_and_scores_the_stored_predictions(report):
    found, out, _ = report
    table = pd.read_csv(out / "results.csv", keep_default_na=True, dtype={"store": str, "left_out": str}).fillna({"store": "", "left_out": ""})  # fmt: skip
    pd.testing.assert_frame_equal(table, found.frame.reset_index(drop=True), check_dtype=False)
    runs = sorted_runs(read_json(out / "results.json").runs)
    assert len(table) == len(runs) == 4 * 2 * 2
    for (_, row), run in zip(table.iterrows(), runs, strict=True):
        predicted = np.load(out / "record" / "predictions" / f"{run.key}.npy")
        again = score_predictions(np.load(out / "record" / "draws" / f"{run.draw}.npz")["truth"], predicted)
        assert {key: row[key] for key in again.overall} == again.overall
        for number, pixels in again.pixels.items():
            scores = [again.by_class[name][number] for name in ("f1", "recall")]
            assert [row[f"f1_{number}"], row[f"recall_{number}"], row[f"pixels_{number}"]] == [*scores, pixels]


def test_the_json_holds_all_results(report):
    found, out, _ = report
    results = read_json(out / "results.json")
    for name in type(results).model_fields:
        assert getattr(results, name) == getattr(found, name), name
    assert all(cell.oa.interval for cell in results.summary)
    assert [point.per_class for point in results.curves] == [5] * 4
    (store,) = results.stores
    assert store.bytes_on_disk == sum(f.stat().st_size for f in Path(store.path).rglob("*") if f.is_file())
    timings = json.loads((Path(store.path) / "timings.json").read_text())["timings"]
    assert store.extraction_seconds == pytest.approx(sum(timing["seconds"] for timing in timings))
    assert store.devices == (timings[0]["device"],)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_maps_are_geotiffs_of_the_whole_scene(report):
    found, out, _ = report
    for key, classes in found.images.maps.items():
        with rasterio.open(out / "maps" / f"{file_name(*key)}.tif") as file:
            np.testing.assert_array_equal(file.read(1), classes)
            assert file.nodata == 0 and file.colormap(1)[1][3] == 255
    with rasterio.open(out / "maps" / "truth.tif") as file:
        np.testing.assert_array_equal(file.read(1), found.images.truth)
    assert found.images.confidence.keys() == found.images.maps.keys(), "both heads know probabilities"
    for key, sure in found.images.confidence.items():
        with rasterio.open(out / "maps" / f"{file_name(*key)}-confidence.tif") as file:
            there = found.images.maps[key] > 0
            assert file.count == 1 and file.descriptions == ("largest probability",) and np.isnan(file.nodata)
            np.testing.assert_array_equal(np.isnan(file.read(1)), ~there)
            np.testing.assert_array_equal(np.rint(255 * file.read(1)[there]), sure[there])


@pytest.mark.usefixtures("remembered_plots")
def test_maps_say_where_they_lie(tmp_path):
    georeference = Georeference(rasterio.CRS.from_epsg(32616).to_wkt(), (20.0, 0.0, 5e5, 0.0, -20.0, 4.48e6))
    comparison = one_split().model_copy(update={"georeference": georeference})
    assert write_report(comparison, tmp_path)
    paths = list((tmp_path / "maps").glob("*.tif"))
    assert len(paths) == 1 + len(comparison.images.maps) + len(comparison.images.confidence)
    for path in paths:
        with rasterio.open(path) as file:
            assert file.crs.to_epsg() == 32616 and file.transform[:6] == (20.0, 0.0, 5e5, 0.0, -20.0, 4.48e6)


def test_more_classes_than_a_palette_holds_are_said(tmp_path):
    comparison = build(classes=5)[0]
    comparison.class_names[70_000] = "one too many"
    files, (said,) = plan_files(comparison, tmp_path)
    assert not any(name.startswith("maps/") for name in files) and not (tmp_path / "maps").exists()
    assert "no map is written as GeoTIFF: a palette holds classes up to 65535; found 70000" in said


def test_every_figure_is_there_as_svg_and_png(report):
    found, out, _ = report
    names = {path.stem for path in (out / "figures").iterdir()}
    assert {"overall-accuracy", "planes", "learning-curves-blocks_9+1_0.3"} <= names
    scored = found.frame.groupby(["split", "head", "store", "inputs"], dropna=False).oa.mean()
    for split in ("random:0.3", "blocks:9+1:0.3"):
        _, head, store, features = scored[[split]].idxmax()
        where = "-".join(part for part in (head, features, store, split.replace(":", "_")) if part)
        assert [name for name in names if name.startswith("confusion") and name.endswith(split.replace(":", "_"))] == [
            f"confusion-{where}"
        ]
    for name in names:
        assert b"<svg" in (out / "figures" / f"{name}.svg").read_bytes()
        with Image.open(out / "figures" / f"{name}.png") as picture:
            assert picture.size > (100, 50)


def test_tables_are_those_of_the_comparison(report):
    found, out, _ = report
    assert (out / "results.md").read_text() == to_markdown(found)
    assert (out / "results.tex").read_text() == to_latex(found)


def one_split():
    """Return a comparison with all parts and as few figures as possible."""
    return add_all(build(entries=ENTRIES[:2], splits=["random:0.1"], seeds=1)[0])


def contents(folder):
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def full_report(tmp_path_factory):
    """A comparison with all parts, and the folder of its report."""
    folder = tmp_path_factory.mktemp("full") / "report"
    comparison = one_split()
    assert write_report(comparison, folder) and not write_report(comparison, folder)
    return comparison, folder


@pytest.mark.usefixtures("remembered_plots")
def test_a_missing_file_is_written_and_no_other(full_report, tmp_path):
    comparison, folder = full_report
    copy = shutil.copytree(folder, tmp_path / "report")
    before = contents(copy)
    gone = {
        "report.html",
        "figures/planes.svg",
        *(name for name in before if name.startswith("maps/") and name.endswith(".tif")),
    }
    for name in gone:
        (copy / name).unlink()
    assert write_report(comparison, copy)
    after = contents(copy)
    assert after.keys() == before.keys()
    written = {name for name in before if after[name] != before[name] and not name.endswith(".xml")}
    assert written == gone | {"record/report.json"}


@pytest.mark.usefixtures("remembered_plots")
def test_files_of_entries_that_are_gone_are_deleted_and_no_one_else_s(full_report, tmp_path):
    copy = shutil.copytree(full_report[1], tmp_path / "report")
    (copy / "maps" / "mine.tif").write_text("mine")
    (copy / "figures" / "mine.svg").write_text("mine")
    small = build(entries=[entry("", "spectra", "svm")], splits=["random:0.1"], seeds=1)[0]
    assert write_report(small, copy) and not write_report(small, copy)
    mine = {"maps/mine.tif", "figures/mine.svg"}
    write_report(small, tmp_path / "fresh")
    assert contents(copy).keys() == contents(tmp_path / "fresh").keys() | mine


@pytest.mark.usefixtures("remembered_plots")
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_stores_of_names_that_a_file_can_t_tell_apart_have_maps_of_their_own(tmp_path):
    entries = [entry(name, "planes", "svm") for name in ("a'", "a_", "A_")]
    comparison = build(entries=entries, splits=["random:0.1"], seeds=1)[0]
    write_report(comparison, tmp_path)
    names = ["svm-planes-a_-random_0.1", "svm-planes-a_-random_0.1-2", "svm-planes-A_-random_0.1-3"]
    for who, name in zip(entries, names, strict=True):
        with rasterio.open(tmp_path / "maps" / f"{name}.tif") as file:
            np.testing.assert_array_equal(file.read(1), comparison.images.maps[who, "random:0.1"])


def finished(folder):
    """Return when each finished run, and each finished trial of a sweep, was recorded."""
    record = folder / "report" / "record"
    return {path: path.stat().st_mtime_ns for kind in ("runs", "sweeps") for path in (record / kind).glob("*.json")}


def log_worker(receiver):
    Path(f"worker-{os.getpid()}").touch()
    start_worker(receiver)


def log_workers():
    """Make each worker write a file to the working directory. The name of the file contains the process id."""
    fork_workers()
    processes._start_worker = log_worker


def working(folder):
    """Return whether a worker of the command in a folder still runs."""
    for file in folder.glob("worker-*"):
        try:
            state = Path(f"/proc/{file.name.partition('-')[2]}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z":
            return True
    return False


def test_a_bench_that_is_stopped_again_and_again_goes_on_without_repeating_a_run(store_path, tmp_path, monkeypatch):
    """Killed in its first runs, interrupted by Ctrl-C in others, and killed in its sweep."""
    monkeypatch.chdir(tmp_path)
    options = {"heads": ["random-forest"], "splits": SPLITS, "seeds": 2, "inputs": ["planes"], "planes": ["t0/*"]}
    options["params"] = {"random-forest": {"n_estimators": 20}}
    bench = ["bench", store_path, "--heads", "random-forest", "--splits", ",".join(SPLITS), "--seeds", 2, "--sweep"]
    bench += ["--set", "random-forest.n_estimators=20", "--inputs", "planes", "--planes", "t0/*", "--jobs", 2]
    before = {}
    # The four runs are done before the sweep begins.
    for sign, count in ((signal.SIGKILL, 1), (signal.SIGINT, 2), (signal.SIGKILL, 4 + 3)):
        started = ForkedCommand(*bench, patch=log_workers)
        while len(finished(tmp_path)) < max(count, len(before) + 1):
            assert started.poll() is None, started.wait().stderr
            time.sleep(0.03)
        started.signal(sign)
        ended = started.wait()
        if sign == signal.SIGINT:
            assert ended.returncode == 130 and "the same command goes on with what is finished" in ended.stderr
        else:
            assert ended.returncode == -signal.SIGKILL
        end = time.monotonic() + 60
        while working(tmp_path):
            assert time.monotonic() < end, "a worker is left"
            time.sleep(0.01)
        assert before.items() < finished(tmp_path).items(), "what is finished is not done again"
        before = finished(tmp_path)
    assert list(tmp_path.glob("worker-*")), "workers did the work"
    again = compare(store_path, **options, sweep=True, out=tmp_path / "report")
    after = finished(tmp_path)
    assert before.items() < after.items()
    fresh = compare(store_path, **options, sweep=True, out=tmp_path / "fresh")
    assert {path.name for path in after} == {path.name for path in (tmp_path / "fresh").rglob("*/*s/*.json")}
    seconds = ["fit_seconds", "predict_seconds"]
    assert again.frame.drop(columns=seconds).equals(fresh.frame.drop(columns=seconds))
    assert again.sweep == fresh.sweep


@pytest.mark.usefixtures("remembered_plots")
def test_changes_from_a_baseline_are_reported(store_path, report, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, out, _ = report
    old = out / "results.json"
    renamed = shutil.copytree(store_path, tmp_path / "renamed.zarr")
    bench = ["bench", renamed, "--heads", "lda", "--splits", ",".join(SPLITS), "--seeds", 2, "--no-sweep"]
    said = cli(*bench, "--inputs", "planes", "--planes", ",".join(PLANES), "--compare", old, "--jobs", 1)
    lines = " ".join(said.split())
    assert (
        "change from the baseline: lda on planes of renamed under random:0.3 (small before, renamed after): unchanged, OA"
        in lines
    )
    assert "change from the baseline: logistic on spectra under random:0.3: only in the baseline" in lines
    changes = read_json(tmp_path / "report" / "results.json").changes
    assert {c.test for c in changes if c.after is not None} == {"bootstrap"}
    assert "## Changes from the baseline" in (tmp_path / "report" / "results.md").read_text()
    assert 'id="changes-h">Changes from the baseline</h2>' in (tmp_path / "report" / "report.html").read_text()
    assert "has schema version None" in cli(*bench, "--compare", store_path / "zarr.json", "--out", "none", status=1)
    assert not (tmp_path / "none").exists()
    before = (tmp_path / "report" / "results.json").read_bytes()
    assert "the new report would replace its baseline" in cli(*bench, "--compare", "report/results.json", status=1)
    assert (tmp_path / "report" / "results.json").read_bytes() == before


def test_a_sweep_by_its_command(store_path, tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ["--split", SPLITS[1], "--best", 1, "--seeds", 2, "--planes", "t0/*", "--jobs", 1]
    said = cli("sweep", store_path, *options)
    assert "t0/mid_block" in said and "table and heat map: sweep" in said
    assert "spectra alone" in said and "seconds" in said
    found = json.loads(cli("sweep", store_path, *options, "--json"))
    assert len(found["planes"]) == 4 and len(found["selection"]) == 1
    assert {"sweep.csv", "sweep.json", "planes.svg", "planes.png"} <= {p.name for p in (tmp_path / "sweep").iterdir()}


@pytest.mark.usefixtures("remembered_plots")
def test_a_class_without_test_pixels_is_in_no_average_and_said(store_path, tmp_path, features):
    labels = features.labels()
    mask = np.where(labels.classes == 2, 1, 0) + np.where(labels.classes > 2, 1, 0) * (np.arange(53) < 26)
    np.save(tmp_path / "train.npy", np.where(labels.classes == 1, 0, mask).astype(np.uint8))
    np.save(tmp_path / "test.npy", ((labels.classes > 2) & (np.arange(53) > 30)).astype(np.uint8))
    split = f"mask:{tmp_path / 'train.npy'},{tmp_path / 'test.npy'}"
    found = compare(
        store_path, heads=["lda"], splits=[split], seeds=1, inputs=["spectra"], out=tmp_path / "out", sweep=False
    )
    (run,) = found.runs
    assert run.classes == (3, 4) and run.left_out == (1, 2)
    assert run.scores["aa"] == pytest.approx(np.mean(list(run.class_scores["recall"].values())))
    assert found.frame.loc[0, "pixels_1"] == 0 and np.isnan(found.frame.loc[0, "recall_1"])
    assert "classes left out of the averages: corn, wheat" in to_markdown(found)
    assert found.summary[0].oa.interval is None
    assert write_report(found, tmp_path / "out")
