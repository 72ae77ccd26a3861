"""Comparisons: paired, matched, resumed, equal when run twice, and scored as scikit-learn scores."""

import re

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score
from sklearn.neighbors import KNeighborsClassifier

from classifiers import compare
from classifiers.comparison import compare as module
from classifiers.comparison.entries import make_entries
from classifiers.comparison.files import write_files
from classifiers.comparison.overview import leakage_line, remarks
from classifiers.comparison.results import Entry
from classifiers.comparison.tables import read_json, write_csv
from classifiers.inputs import COMPARED, INPUTS, picks
from classifiers.splits import contexts_of, leakage, parse_split, thin
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, HsifeatError, SplitError, StoreError
from hsifeat.work.events import Note

SPLITS = ("random:0.3", "blocks:9+1:0.3")


def quick(name, layout=None, **_):
    """Stand in for a head: a real classifier of scikit-learn that is quick to fit."""
    head = KNeighborsClassifier(3)
    head.layout = layout
    return head


@pytest.fixture
def heads(monkeypatch):
    monkeypatch.setattr(module, "make_head", quick)


@pytest.fixture
def fits(monkeypatch):
    counted = []
    plain = module._Bench._run
    monkeypatch.setattr(module._Bench, "_run", lambda self, run, draw: counted.append(run) or plain(self, run, draw))
    return counted


def test_every_entry_split_and_seed_is_run(store_path, tmp_path, heads):
    found = compare(store_path, heads=["svm", "film"], splits=SPLITS, seeds=2, out=tmp_path)
    runs = {(str(r.run.entry), r.run.split, r.run.seed) for r in found.results}
    entries = {"svm on spectra", "svm on spectra+window", "svm on planes of small", "svm on spectra+planes of small",
               "film on spectra+planes of small"}  # fmt: skip
    assert runs == {(e, s, k) for e in entries for s in SPLITS for k in (0, 1)}
    assert len(found.results) == len(runs)


def test_splits_are_matched_and_entries_paired(store_path, tmp_path, heads):
    found = compare(store_path, heads=["svm"], splits=SPLITS, seeds=3, out=tmp_path)
    for seed in range(3):
        assert len({r.train_pixels for r in found.results if r.run.seed == seed}) == 1
    for split in SPLITS:
        for seed in range(3):
            assert len({r.test_pixels for r in found.results if (r.run.split, r.run.seed) == (split, seed)}) == 1


def test_scores_and_maps_are_scikit_learns(store_path, tmp_path, heads, scene):
    found = compare(store_path, heads=["svm"], splits=SPLITS, seeds=1, inputs=["planes"], out=tmp_path)
    table = PixelTable.from_store(store_path, spectra=False)
    for result in found.results:
        picture = found.pictures.splits[result.run.split]
        train, test = (table[picture[table.rows, table.cols] == side] for side in (1, 2))
        predicted = KNeighborsClassifier(3).fit(train.X, train.y).predict(test.X)
        assert result.scores.oa == accuracy_score(test.y, predicted)
        assert result.scores.aa == pytest.approx(balanced_accuracy_score(test.y, predicted))
        assert result.scores.kappa == pytest.approx(cohen_kappa_score(test.y, predicted))
        drawn = found.pictures.maps[Entry("small", "planes", "svm"), result.run.split]
        np.testing.assert_array_equal(drawn[test.rows, test.cols], predicted)
        assert (drawn > 0).all(), "every valid pixel is mapped"


def test_finished_runs_are_not_run_again(store_path, tmp_path, heads, fits):
    one = compare(store_path, heads=["svm"], splits=SPLITS, seeds=2, inputs=["spectra"], out=tmp_path)
    assert len(fits) == 4
    two = compare(store_path, heads=["svm"], splits=SPLITS, seeds=2, inputs=["spectra"], out=tmp_path)
    assert len(fits) == 4
    for name, comparison in (("a", one), ("b", two)):
        write_csv(comparison, tmp_path / f"{name}.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    compare(store_path, heads=["svm"], splits=SPLITS, seeds=3, inputs=["spectra", "planes"], out=tmp_path)
    assert len(fits) == 4 + 2 + 6


def test_an_interrupted_comparison_goes_on(store_path, tmp_path, heads, fits, monkeypatch):
    options = {"heads": ["svm"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra", "planes"], "out": tmp_path}
    plain = module._Bench._run

    def dying(self, run, draw):
        if len(fits) == 3:
            raise KeyboardInterrupt
        return plain(self, run, draw)

    with monkeypatch.context() as patch:
        patch.setattr(module._Bench, "_run", dying)
        with pytest.raises(KeyboardInterrupt):
            compare(store_path, **options)
    # The last line of a killed run may be torn.
    with (tmp_path / "runs.jsonl").open("a") as file:
        file.write('{"key": "abc", "st')
    notes = []
    compare(store_path, listen=lambda e: notes.append(e.message) if isinstance(e, Note) else None, **options)
    assert "3 of 8 runs are recorded already" in notes
    assert len(compare(store_path, **options).results) == 8


def test_other_pixels_are_other_runs(store_path, tmp_path, heads, fits):
    options = {"heads": ["svm"], "seeds": 1, "inputs": ["spectra"], "out": tmp_path}
    compare(store_path, splits=["random:0.3", "blocks:9+0:0.6"], **options)
    compare(store_path, splits=["random:0.4", "blocks:9+0:0.6"], **options)
    # The random split is another one, and the blocks are thinned to another number of training pixels.
    assert len(fits) == 4


def test_every_report_says_what_its_splits_leak(store_path, tmp_path, heads, features):
    found = compare(store_path, heads=["svm"], splits=SPLITS, seeds=2, out=tmp_path)
    table = PixelTable.from_store(store_path, planes=[])
    tile = PixelTable.from_store(store_path, window=5).layout.take(picks("planes"))
    for drawn in found.drawn:
        mine = [parse_split(drawn.split).draw(table.labels, seed) for seed in (0, 1)]
        fewest = [min(r.train_pixels for r in found.results if r.run.seed == seed) for seed in (0, 1)]
        mine = [thin(draw, table.labels, fewest[seed], seed) for seed, draw in enumerate(mine)]
        far = [cKDTree(np.argwhere(draw.train)).query(np.argwhere(draw.test))[0] for draw in mine]
        assert drawn.median_px == pytest.approx(np.mean([np.median(one) for one in far]))
        assert drawn.least_px == pytest.approx(min(one.min() for one in far))
        window = [cKDTree(np.argwhere(d.train)).query(np.argwhere(d.test), p=np.inf)[0] <= 2 for d in mine]
        planes = np.mean([leakage(draw, contexts_of(features, tile)).seen for draw in mine])
        assert drawn.seen == pytest.approx(
            {
                "spectra": 0,
                "spectra+window": np.mean([one.mean() for one in window]),
                "planes of small": planes,
                "spectra+planes of small": planes,
            }
        )
        assert drawn.context["spectra+window"] == "5x5 px window and its own pixel"
    said = "\n".join(remarks(found))
    assert said.count("leakage: a training pixel is seen by the features of 100.0% (planes of small") >= 1
    assert re.search(r"random:0\.3: mean.*\n  leakage: .* px at least\n", said)
    assert re.search(r"\n  \d+ of \d+ training pixels are kept with seed 0, to match the other splits", said)
    assert write_files(found, tmp_path)
    document = read_json(tmp_path / "results.json")
    assert [row["split"] for row in document["splits"]] == list(SPLITS)
    assert document["splits"][0]["seen"] == found.drawn[0].seen
    page = (tmp_path / "report.html").read_text()
    for drawn in found.drawn:
        assert drawn.seen and leakage_line(drawn) in page
    np.testing.assert_array_equal(found.pictures.splits[SPLITS[0]] == 0, table.labels.classes == 0)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (["random:0.3"], ["random:0.3", "blocks:12+4:0.1"]),
        (["blocks:9+0:0.3"], ["blocks:9+0:0.3", "random:0.1"]),
        (["per-class:5", "blocks:9+0:0.3"], ["per-class:5", "blocks:9+0:0.3"]),
    ],
)
def test_a_random_and_a_disjoint_split_stand_side_by_side(store_path, tmp_path, heads, asked, shown):
    found = compare(store_path, heads=["svm"], splits=asked, seeds=1, inputs=["spectra"], out=tmp_path)
    assert list(dict.fromkeys(r.run.split for r in found.results)) == shown


def test_an_unfinished_store_is_refused(store_path, tmp_path):
    import shutil

    import zarr

    shutil.copytree(store_path, tmp_path / "s.zarr")
    zarr.open_array(tmp_path / "s.zarr" / "progress" / "t0000" / "mid_block", mode="r+")[:] = 0
    with pytest.raises(StoreError, match=r"1 planes that an extraction began and did not finish \(t0/mid_block"):
        compare(tmp_path / "s.zarr", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_inputs_take_their_groups(store_path):
    table = PixelTable.from_store(store_path, window=5, means=7, patch=3)
    widths = {name: table.take(picks(name)).layout.width for name in INPUTS}
    assert widths == {
        "spectra": 12, "spectra+window": 24, "planes": 112, "spectra+planes": 124, "spectra+planes+window": 136,
        "planes+means": 224, "spectra+planes+means": 236, "planes+patches": 1120, "spectra+planes+patches": 1132,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": ["smv"]}, HeadError, "no head is named 'smv'; nearest: svm"),
        ({"inputs": ["plane"]}, HeadError, "unknown input 'plane'; nearest: planes"),
        ({"heads": ["film"], "inputs": ["spectra"]}, HeadError, "the head film needs plane and spectra"),
        ({"splits": ["blocks"]}, SplitError, "unknown split 'blocks'"),
        ({"seeds": 0}, HeadError, "at least one seed"),
        ({"labels": "soil"}, StoreError, "no labels 'soil'"),
        ({"planes": ["t9/*"]}, StoreError, "no plane 't9/"),
        ({"planes": []}, StoreError, "no plane to learn from"),
        ({"splits": []}, SplitError, "no split to compare under"),
        ({"heads": []}, HeadError, "nothing to compare: 0 heads"),
    ],
)
def test_wrong_requests(store_path, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        compare(store_path, out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_stores_of_different_scenes_are_refused(store_path, backbone_folder, scene, tmp_path):
    import hsifeat

    other = hsifeat.Scene("other", scene.cube + 1, scene.wavelengths_nm, scene.labels)
    hsifeat.extract(other, backbone=backbone_folder, timesteps=[0], tile=32, context=8, out=tmp_path / "other.zarr")
    with pytest.raises(HsifeatError, match=r"other is of another scene \(other\) than small"):
        compare([store_path, tmp_path / "other.zarr"], out=tmp_path / "out")


def test_entries_without_planes_stand_once():
    entries = make_entries(["a", "b"], ["svm"], COMPARED)
    assert [str(e) for e in entries] == [
        "svm on spectra", "svm on spectra+window", "svm on planes of a", "svm on planes of b",
        "svm on spectra+planes of a", "svm on spectra+planes of b",
    ]  # fmt: skip


def test_the_split_in_the_grammar_is_what_the_report_says(store_path, tmp_path, heads):
    found = compare(store_path, heads=["svm"], splits=["random:0.30"], seeds=1, inputs=["spectra"], out=tmp_path)
    assert parse_split("random:0.30").text == "random:0.3" in {r.run.split for r in found.results}


def test_files_are_written_once_and_anew_when_something_changed(store_path, tmp_path, heads):
    options = {"heads": ["svm"], "splits": SPLITS, "inputs": ["spectra"], "out": tmp_path}
    assert write_files(compare(store_path, seeds=1, **options), tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    assert not write_files(compare(store_path, seeds=1, **options), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    assert write_files(compare(store_path, seeds=2, **options), tmp_path)
    assert (tmp_path / "report.html").read_bytes() != before["report.html"]
    (tmp_path / "report.html").unlink()
    assert write_files(compare(store_path, seeds=2, **options), tmp_path)
