"""A finished report is read from disk, unless its inputs or one of its files have changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import classifiers.comparison.compare as compare_module
from classifiers import compare
from classifiers.comparison.report import report_record
from classifiers.comparison.report.report_record import ReportRecord, digest_inputs, find_report
from classifiers.comparison.report.write import write_report
from classifiers.splits import parse_split
from hsifeat import open_features
from hsifeat.scenes import Labels
from hsifeat.scenes.georeference import Georeference
from hsifeat.store.store import Store
from tests.helpers.comparisons import build

OPTIONS = {"heads": ["lda"], "splits": ["blocks:9+1:0.3"], "seeds": 1, "inputs": ["spectra"], "sweep": False}


@pytest.fixture(scope="module")
def finished(store_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "report"
    found = compare(store_path, out=out, **OPTIONS)
    assert write_report(found, out)
    return found, out


def files_of(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def no_runs(*_):
    raise AssertionError("the benchmark is run again")


def test_results_are_read_and_no_file_is_touched(finished, store_path, monkeypatch):
    found, out = finished
    before, notes = files_of(out), []
    monkeypatch.setattr(compare_module, "run_bench", no_runs)
    monkeypatch.setattr(compare_module, "draw_all", no_runs)
    again = compare(store_path, out=out, **OPTIONS, listen=lambda event: notes.append(str(event)))
    assert any("its results are read" in note for note in notes)
    assert not write_report(again, out) and files_of(out) == before
    assert again.model_dump_json() == found.model_dump_json()


def test_corrected_metadata_of_a_store_make_the_report_anew(store_path, tmp_path):
    """Several scenes are matched by wavelength, and pictures are drawn at wavelengths and coordinates."""
    store = Store.open(shutil.copytree(store_path, tmp_path / "s.zarr"), writable=True)
    read = []
    for fact in (
        {},
        {"wavelengths_nm": store.manifest.scene.wavelengths_nm[::-1]},
        {"transform": (2.0, 0, 5, 0, -2, 9)},
        {},
    ):
        store.replace_facts(store.manifest.scene.model_copy(update=fact))
        notes = []
        found = compare(
            store.location.path, out=tmp_path / "report", **OPTIONS, listen=lambda e, notes=notes: notes.append(str(e))
        )
        write_report(found, tmp_path / "report")
        read.append(any("its results are read" in note for note in notes))
        store = Store.open(store.location, writable=True)
    assert read == [False, False, False, True]


@pytest.mark.parametrize("kind", ["mask", "test mask", "official", "scenes"])
def test_other_pixels_of_a_split_make_the_report_anew(kind, store_path, other_scene, tmp_path, monkeypatch):
    """The options name the files or maps of these splits only. The report of the former pixels was read, without a note."""
    monkeypatch.chdir(tmp_path)
    labels = open_features(store_path).labels()
    train = np.indices(labels.classes.shape).sum(axis=0) % 4 == 0
    stores, notes, scores = [store_path], [], []
    store = Store.open(shutil.copytree(store_path, "s.zarr"), writable=True)
    for turn, sides in enumerate([(train, ~train), (train, ~train), (~train, train), (~train, train)]):
        if kind == "official":
            stores = ["s.zarr"]
            for name, side in zip(("train", "test"), sides, strict=True):
                store.add_labels(name, np.where(side, labels.classes, 0), {})
        elif kind == "scenes":
            stores = [store_path, other_scene]
            names = (path.stem for path in (stores if turn < 2 else reversed(stores)))
            Path("roles.csv").write_text("".join(["store,role\n", *map("{},{}\n".format, names, ("train", "test"))]))
        else:
            for name, side in zip(("train", "test"), sides, strict=True):
                np.save(f"{name}.npy", side.astype(np.uint8))
        split = {"mask": "mask:train.npy", "test mask": "mask:train.npy,test.npy", "scenes": "scenes:@roles.csv"}
        options = OPTIONS | {"splits": [split.get(kind, kind)], "labels": "fields"}
        found = compare(stores, out="report", **options, listen=lambda event: notes.append(str(event)))
        write_report(found, "report")
        fresh = compare(stores, out=f"report-{turn}", **options)
        assert [run.scores for run in found.runs] == [run.scores for run in fresh.runs]
        scores.append(found.runs[0].scores)
    assert sum("its results are read" in note for note in notes) == 2 and scores[0] == scores[1] != scores[2]


@pytest.mark.parametrize("name", ["report.html", "results.csv", "figures/overall-accuracy.png", "maps/truth.tif"])
@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1] + b"x")])
def test_a_file_that_is_gone_damaged_or_edited_is_written_anew(
    finished, store_path, tmp_path, monkeypatch, name, damage
):
    found, out = finished
    copy = shutil.copytree(out, tmp_path / "report")
    write_report(found, copy)
    before = files_of(copy)
    damage(copy / name)
    monkeypatch.setattr(compare_module, "run_bench", no_runs)
    assert write_report(found, copy) and files_of(copy) == before
    assert not write_report(found, copy)


@pytest.mark.parametrize("kind", ["runs", "predictions", "draws", "maps"])
def test_a_damaged_record_is_found(finished, tmp_path, kind):
    found, out = finished
    copy = shutil.copytree(out, tmp_path / "report")
    assert find_report(copy, found.inputs) == read_results(found)
    file = next((copy / "record" / kind).iterdir())
    file.write_bytes(file.read_bytes()[:-1])
    assert find_report(copy, found.inputs) is None
    file.unlink()
    assert find_report(copy, found.inputs) is None


def read_results(found):
    return found.__class__.__base__.model_validate_json(found.model_dump_json())


def test_edited_results_are_no_report(finished, tmp_path):
    found, out = finished
    copy = shutil.copytree(out, tmp_path / "report")
    content = json.loads((copy / "results.json").read_text())
    del content["seal"]
    content["scene"]["name"] = "edited"
    (copy / "results.json").write_text(json.dumps(content))
    assert find_report(copy, found.inputs) is None
    assert write_report(found, copy) and files_of(copy) == files_of(out)


def test_an_unreadable_record_is_none(finished, tmp_path):
    found, out = finished
    copy = shutil.copytree(out, tmp_path / "report")
    for text in ("", "[]", '{"inputs": 1}', '{"inputs": "", "files": [1]}', "{"):
        (copy / "record" / "report.json").write_text(text)
        assert ReportRecord.read(copy) == ReportRecord() and find_report(copy, found.inputs) is None
    assert write_report(found, copy) and files_of(copy) == files_of(out)


def test_the_digest_covers_all_inputs(tmp_path, monkeypatch):
    comparison = build(seeds=1)[0]
    labels = Labels("fields", comparison.images.truth, {1: "corn"}, {})
    baseline = tmp_path / "results.json"
    baseline.write_text("{}")
    facts = {"provenance": comparison.provenance, "scenes": (comparison.scene,), "stores": comparison.stores}
    draw = parse_split("random:0.5").draw(labels, 0)
    facts |= {"labels": labels, "fixed": [draw], "metadata": [None], "baseline": baseline}
    first = digest_inputs(**facts)
    later = comparison.provenance.model_copy(update={"created": "2031-01-01"})
    assert digest_inputs(**facts | {"provenance": later}) == first, "the time of creation is no input"
    classes = labels.classes.copy()
    classes[-1, -1] += 1
    (store,) = comparison.stores
    changed = [
        {"provenance": comparison.provenance.model_copy(update={"versions": {"hsifeat": "1"}})},
        {"provenance": comparison.provenance.model_copy(update={"command": "hsifeat bench"})},
        {"provenance": comparison.provenance.model_copy(update={"config": None})},
        {"scenes": (comparison.scene.model_copy(update={"name": "other"}),)},
        {"stores": (store.model_copy(update={"key": "cd" * 32}),)},
        {"stores": (store, store)},
        {"labels": replace(labels, classes=classes)},
        {"labels": replace(labels, class_names={1: "wheat"})},
        {"fixed": []},
        {"fixed": [replace(draw, notes=("a note",))]},
        {"fixed": [replace(draw, left_out=(9,))]},
        {"fixed": [replace(draw, validate_bits=draw.test_bits)]},
        {"fixed": [parse_split("random:0.5").draw(labels, 1)]},
        {"metadata": [Georeference(None, (30.0, 0.0, 0.0, 0.0, -30.0, 0.0))]},
        {"baseline": None},
    ]
    digests = [digest_inputs(**facts | change) for change in changed]
    baseline.write_text("{} ")
    digests.append(digest_inputs(**facts))
    (tmp_path / "record" / "runs").mkdir(parents=True)
    (tmp_path / "record" / "runs" / "a.json").write_text("{}")
    digests.append(digest_inputs(**facts))
    monkeypatch.setattr(report_record, "version", lambda name: "0")
    digests.append(digest_inputs(**facts))
    assert len({first, *digests}) == 1 + len(digests)


def test_lists_of_files_reach_nothing_outside_of_the_report(finished, tmp_path):
    found, out = finished
    copy = shutil.copytree(out, tmp_path / "report")
    (tmp_path / "mine.tif").write_text("mine")
    foreign = ["../mine.tif", "maps/..", "maps/../../mine.tif", str(tmp_path / "mine.tif"), "record/report.json"]
    ReportRecord("", dict.fromkeys(foreign, "")).write(copy)
    assert write_report(found, copy) and files_of(copy) == files_of(out)
    assert (tmp_path / "mine.tif").read_text() == "mine"
    assert not any(name.startswith("..") for name in ReportRecord.read(copy).files)
