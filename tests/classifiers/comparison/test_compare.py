"""Function `compare`: runs, scores, maps, leakage, learning curves and errors."""

import json
import re
import shutil

import numpy as np
import pytest
from scipy.spatial import cKDTree
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import accuracy_score, balanced_accuracy_score, cohen_kappa_score, f1_score, recall_score

from classifiers import compare, make_head
from classifiers.comparison.results.results_io import write_csv
from classifiers.comparison.results.summary_text import leakage_text, split_remarks
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.sampling import limit_per_class
from classifiers.input_sets import InputSet
from classifiers.splits import layout_footprints, limit_training_pixels, measure_leakage, parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, HsifeatError, SplitError, StoreError
from hsifeat.runtime.events import Note
from tests.helpers.cached_stores import unfinish
from tests.helpers.comparisons import entry
from tests.helpers.forked_commands import fork_workers

SPLITS = ("random:0.3", "blocks:9+1:0.3")
# Linear algebra, trees, and a network trained by torch.
CHEAP = {"film": {"epochs": 3}, "hyperfeatures": {"epochs": 3}, "lightgbm": {"n_estimators": 10}, "mlp": {"epochs": 5}}
OPTIONS = {"heads": ("lda", "lightgbm", "mlp"), "splits": SPLITS, "seeds": 2, "inputs": ["planes"], "planes": ["t0/*"]}
OPTIONS["params"] = {head: CHEAP[head] for head in ("lightgbm", "mlp")}


@pytest.fixture(scope="module")
def first_comparison(store_path, tmp_path_factory):
    """A comparison of heads, and the folder of its record."""
    out = tmp_path_factory.mktemp("comparison")
    return compare(store_path, **OPTIONS, out=out, sweep=False), out


def test_every_entry_split_and_seed_is_run(store_path, tmp_path):
    options = {"splits": SPLITS[1:], "seeds": 1, "planes": iter(["t0/mid_block"]), "out": tmp_path, "sweep": False}
    comparison = compare(store_path, heads=["lda", "film"], params={"film": CHEAP["film"]}, **options)
    runs = {(str(r.entry), r.split, r.seed) for r in comparison.runs}
    entries = {"lda on spectra", "lda on spectra+window", "lda on planes of small", "lda on spectra+planes of small",
               "film on spectra+planes of small"}  # fmt: skip
    assert runs == {(e, s, k) for e in entries for s in ("random:0.1", SPLITS[1]) for k in (0,)}
    assert len(comparison.runs) == len(runs)


def test_splits_have_equal_training_sizes_and_entries_share_draws(first_comparison):
    runs = first_comparison[0].runs
    for seed in range(2):
        assert len({r.train_pixels for r in runs if r.seed == seed}) == 1
        for split in SPLITS:
            assert len({r.draw for r in runs if (r.split, r.seed) == (split, seed)}) == 1


def test_scores_equal_those_of_scikit_learn_on_recorded_predictions(first_comparison):
    comparison, out = first_comparison
    for run in comparison.runs:
        predicted = np.load(out / "record" / "predictions" / f"{run.key}.npy")
        truth = np.load(out / "record" / "draws" / f"{run.draw}.npz")["truth"]
        classes = run.classes
        assert run.oa == accuracy_score(truth, predicted)
        assert run.scores["aa"] == pytest.approx(balanced_accuracy_score(truth, predicted))
        assert run.scores["kappa"] == pytest.approx(cohen_kappa_score(truth, predicted))
        for name, metric in (("f1", f1_score), ("recall", recall_score)):
            expected = metric(truth, predicted, labels=classes, average=None)
            assert list(run.class_scores[name].values()) == pytest.approx(expected)
        assert run.pixels == {c: np.count_nonzero(truth == c) for c in np.unique(truth)}


def test_predictions_and_maps_equal_those_of_the_head(first_comparison, store_path):
    comparison, out = first_comparison
    table = PixelTable.from_store(store_path, spectra=False, planes=OPTIONS["planes"], sample=True)
    for result in comparison.runs:
        if result.seed:
            continue
        who, split = result.entry, result.split
        picture = comparison.images.splits[split]
        train, test = (table[picture[table.rows, table.cols] == side] for side in (1, 2))
        head = make_head(who.head, layout=table.layout, **CHEAP.get(who.head, {})).set_params(**({"random_state": 0} if "random_state" in make_head(who.head).get_params() else {}))  # fmt: skip
        head.fit(train.X, train.y, unlabelled=table.unlabelled)
        stored = RunRecords(out / "record").read_predictions(result.key)
        np.testing.assert_array_equal(stored, head.predict(test.X))
        drawn = comparison.images.maps[who, split]
        np.testing.assert_array_equal(drawn[test.rows, test.cols], stored)
        assert isinstance(drawn, np.memmap) and drawn.dtype == np.uint8
        assert (drawn > 0).all(), "every valid pixel is mapped"
        sure = comparison.images.confidence[who, split]
        np.testing.assert_allclose(sure[test.rows, test.cols] / 255, head.predict_proba(test.X).max(axis=1), atol=0.003)


def test_results_do_not_depend_on_the_number_of_workers(first_comparison, store_path, tmp_path, monkeypatch):
    one, out = first_comparison
    fork_workers(monkeypatch.setattr)
    two = compare(store_path, **OPTIONS, out=tmp_path, jobs=2, sweep=False)
    seconds = ["fit_seconds", "predict_seconds"]
    write_csv(one, tmp_path / "one.csv")
    write_csv(two, tmp_path / "two.csv")
    assert one.frame.drop(columns=seconds).equals(two.frame.drop(columns=seconds))
    lines = [[line.split(",") for line in (tmp_path / n).read_text().splitlines()] for n in ("one.csv", "two.csv")]
    apart = {
        lines[0][0][k] for a, b in zip(*lines, strict=True) for k, (x, y) in enumerate(zip(a, b, strict=True)) if x != y
    }
    assert apart <= set(seconds)
    for kind in ("predictions", "maps"):
        mine, others = (sorted((folder / "record" / kind).iterdir()) for folder in (out, tmp_path))
        assert [(f.name, f.read_bytes()) for f in mine] == [(f.name, f.read_bytes()) for f in others]
    assert one.pairs == two.pairs


def test_leakage_of_each_split_is_reported(store_path, tmp_path, features, monkeypatch):
    trees = []
    monkeypatch.setattr("scipy.spatial.cKDTree", lambda at: trees.append(at) or cKDTree(at))
    comparison = compare(store_path, heads=["lda"], splits=SPLITS, seeds=2, out=tmp_path, sweep=False)
    assert len(trees) == len(SPLITS) * 2, "distances are computed once for each draw"
    table = PixelTable.from_store(store_path, planes=[])
    tile = PixelTable.from_store(store_path, window=5).layout.select_groups(InputSet.parse("planes").includes)
    for drawn in comparison.splits:
        mine = [parse_split(drawn.split).draw(table.labels, seed) for seed in (0, 1)]
        fewest = [min(r.train_pixels for r in comparison.runs if r.seed == seed) for seed in (0, 1)]
        mine = [limit_training_pixels(draw, table.labels, fewest[seed], seed) for seed, draw in enumerate(mine)]
        far = [cKDTree(np.argwhere(draw.train)).query(np.argwhere(draw.test))[0] for draw in mine]
        assert drawn.median_px == pytest.approx(np.mean([np.median(one) for one in far]))
        assert drawn.min_px == pytest.approx(min(one.min() for one in far))
        window = [cKDTree(np.argwhere(d.train)).query(np.argwhere(d.test), p=np.inf)[0] <= 2 for d in mine]
        planes = np.mean([measure_leakage(draw, layout_footprints(features, tile)).share for draw in mine])
        assert drawn.leakage == pytest.approx(
            {
                "spectra": 0,
                "spectra+window": np.mean([one.mean() for one in window]),
                "planes of small": planes,
                "spectra+planes of small": planes,
            }
        )
        assert drawn.footprints["spectra+window"] == "5x5 px window"
    said = "\n".join(split_remarks(comparison))
    assert said.count("leakage: the features of 100.0% (planes of small") >= 1
    assert re.search(
        r"random:0\.3, fill in from \d+ labels: mean.*\n(?:.*\n)*?  leakage: .*, at least [\d.]+ px\n", said
    )
    assert re.search(r"\n  with seed 0: \d+ of \d+ training pixels are kept, to match the other splits", said)
    assert all(leakage_text(drawn) in said for drawn in comparison.splits)
    np.testing.assert_array_equal(comparison.images.splits[SPLITS[0]] == 0, table.labels.classes == 0)


def test_learning_curves_are_over_nested_training_pixels_of_the_disjoint_split(store_path, tmp_path, fits):
    options = {"heads": ["lda"], "splits": SPLITS, "seeds": 2, "inputs": ["spectra"], "out": tmp_path}
    comparison = compare(store_path, curve=[2, 10_000], **options, sweep=False)
    assert [(c.split, c.per_class, c.seeds) for c in comparison.curves] == [(SPLITS[1], 2, 2), (SPLITS[1], 10_000, 2)]
    full_summary = next(s for s in comparison.summary if s.split == SPLITS[1])
    assert comparison.curves[1].oa.mean == full_summary.oa.mean and comparison.curves[1].oa.sd == full_summary.oa.sd
    assert len(fits) == 4 + 2, "all training pixels are the runs of the split itself"
    labels = PixelTable.from_store(store_path, planes=[]).labels
    draw = parse_split(SPLITS[1]).draw(labels, 0)
    two, five = (limit_per_class(draw, labels, count, 0) for count in (2, 5))
    assert (np.bincount(labels.classes[two.train])[1:] == 2).all()
    record = RunRecords(tmp_path / "record")
    trained = [record.read_draw(r.draw)["train"] for r in comparison.runs if r.split == SPLITS[1]]
    given = [np.bincount(labels.classes.flat[train]) for train in trained]
    for point in comparison.curves:
        assert point.train_pixels == np.mean([np.minimum(counts, point.per_class).sum() for counts in given])
    assert (five.train | two.train == five.train).all() and (draw.train | five.train == draw.train).all()
    assert (two.test == draw.test).all()


def test_points_of_a_learning_curve_are_distinct_and_those_without_enough_pixels_are_left_out(
    store_path, tmp_path, fits
):
    """Oracle: scikit-learn's LDA can't be fitted to one row per class."""
    splits, notes = (SPLITS[1], "per-class:3"), []
    comparison = compare(
        store_path, heads=["lda", "lda", "svm"], splits=splits, seeds=1, inputs=["spectra", "spectra"],
        curve=[5, 1, 5, 9_000, 10_000], distances=[4, 4, 9], out=tmp_path, sweep=False, listen=notes.append,
    )  # fmt: skip
    with pytest.raises(ValueError, match="number of samples must be more than the number of classes"):
        LinearDiscriminantAnalysis().fit(np.eye(4), np.arange(4))
    said = [note.message for note in notes if isinstance(note, Note) and "learning curve" in note.message]
    for split in (SPLITS[1], "per-class:10000"):
        points = {
            who: [c.per_class for c in comparison.curves if (c.split, c.entry.head) == (split, who)]
            for who in ("lda", "svm")
        }
        assert points == {"lda": [5, 9_000], "svm": [5, 1, 9_000]}
        assert sum(f"at 1 per class: lda can't be fitted under {split}: a covariance" in one for one in said) == 1
        assert sum("at 10000 per class: a class has at most" in one and split in one for one in said) == 1
    assert len(said) == 4 and len(fits) == len(set(fits))
    written = json.loads(comparison.model_dump_json())["provenance"]["config"]
    assert (written["heads"], written["inputs"], written["curve"]) == (
        ["lda", "svm"],
        ["spectra"],
        [5, 1, 9_000, 10_000],
    )


def test_a_split_with_too_few_pixels_for_a_head_is_refused_before_the_first_fit(store_path, tmp_path, fits):
    options = {"splits": ["per-class:1", SPLITS[1]], "seeds": 1, "inputs": ["planes"], "planes": ["t0/mid_block"]}
    with pytest.raises(
        HeadError,
        match="lda can't be fitted under per-class:1: .*found 4 rows of 4 classes: give a class two rows, choose",
    ):
        compare(store_path, heads=["svm", "lda"], **options, out=tmp_path, sweep=False)
    options["params"] = {"random-forest": {"min_samples_leaf": 2000}}
    with pytest.raises(HeadError, match="random-forest can't be fitted under blocks.*min_samples_leaf is 2000"):
        compare(store_path, heads=["random-forest"], **options | {"splits": SPLITS[1:]}, out=tmp_path, sweep=False)
    assert fits == []


def test_of_all_heads_those_that_need_more_pixels_are_left_out(store_path, tmp_path, monkeypatch):
    """scikit-learn says that a discriminant analysis needs more pixels than classes; a named head is refused, see above."""
    with pytest.raises(ValueError, match="number of samples must be more than the number of classes"):
        LinearDiscriminantAnalysis().fit(np.eye(4), np.arange(4))
    options = {"seeds": 1, "inputs": ["planes"], "planes": ["t0/mid_block"], "out": tmp_path, "sweep": False}
    params = {"lightgbm": {"n_estimators": 10}, "random-forest": {"min_samples_leaf": 2000}, "lda": {"shrinkage": 0.3}}
    known = ["lda", "lightgbm", "random-forest", "svm"]  # the others take seconds
    monkeypatch.setattr("classifiers.comparison.entry_plan.fitting_heads", lambda stores, inputs: known)
    notes = []
    comparison = compare(
        store_path, heads=["all"], splits=["per-class:1", SPLITS[1]], params=params, listen=notes.append, **options
    )
    said = [note.message for note in notes if isinstance(note, Note) and note.message.startswith("left out: ")]
    assert [re.match("left out: (.*) can't be fitted under", one)[1] for one in said] == ["lda", "random-forest"]
    assert "per-class:1: a covariance within classes" in said[0] and "min_samples_leaf is 2000" in said[1]
    heads = {run.entry.head for run in comparison.runs}
    assert heads == {"lightgbm", "svm"}
    assert set(comparison.provenance.config.heads) == heads and "lda" not in comparison.provenance.config.params
    with pytest.raises(HeadError, match="random-forest can't be fitted under .* choose a split with more"):
        compare(
            store_path,
            heads=["random-forest"],
            splits=["per-class:1", SPLITS[1]],
            params={"random-forest": params["random-forest"]},
            **options,
        )


@pytest.mark.parametrize(("pixels", "swept"), [(1, False), (2, True)])
def test_a_report_is_complete_without_enough_pixels_for_a_sweep(store_path, tmp_path, pixels, swept):
    fixed, notes = tmp_path / "split.npy", []
    classes = PixelTable.from_store(store_path, planes=[]).labels.classes
    train = np.zeros(classes.shape, np.uint8)
    train.flat[np.concatenate([np.flatnonzero(classes == number)[:pixels] for number in range(1, 5)])] = 1
    np.save(fixed, train)
    options = {"seeds": 1, "inputs": ["planes"], "planes": ["t0/mid_block"], "out": tmp_path / "out"}
    comparison = compare(store_path, heads=["svm"], splits=[f"mask:{fixed}"], **options, listen=notes.append)
    assert comparison.runs and (comparison.sweep is not None) == swept
    assert not swept or (len(comparison.sweep.planes) == 1 and comparison.sweep.selection == ())
    message = "the best planes are not selected: " if swept else "planes are not scored separately: lda can't"
    assert any(message in getattr(note, "message", "") for note in notes)


def test_learned_plane_weights_are_reported(store_path, tmp_path):
    comparison = compare(
        store_path,
        heads=["hyperfeatures"],
        splits=SPLITS,
        seeds=1,
        inputs=["planes"],
        planes=["*/mid_block"],
        params={"hyperfeatures": CHEAP["hyperfeatures"]},
        out=tmp_path,
        sweep=False,
    )
    (learned,) = comparison.mixing
    assert learned.entry == entry("small", "planes", "hyperfeatures")
    planes = {(p.t, p.layer) for p in comparison.stores[0].planes}
    assert {(w.t, w.layer) for w in learned.weights} == planes
    assert sum(w.weight for w in learned.weights) == pytest.approx(1)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        (["random:0.3"], ["random:0.3", "blocks:12+4:0.1"]),
        (["blocks:9+0:0.3"], ["blocks:9+0:0.3", "random:0.1"]),
        (["per-class:5", "blocks:9+0:0.3"], ["per-class:5", "blocks:9+0:0.3"]),
    ],
)
def test_a_missing_random_or_disjoint_split_is_added(store_path, tmp_path, asked, shown):
    comparison = compare(
        store_path, heads=["lda"], splits=asked, seeds=1, inputs=["spectra"], out=tmp_path, sweep=False
    )
    assert list(dict.fromkeys(r.split for r in comparison.runs)) == shown


def test_an_unfinished_store_is_refused(store_path, tmp_path):
    unfinish(shutil.copytree(store_path, tmp_path / "s.zarr"), "t0/mid_block")
    with pytest.raises(StoreError, match=r"has 1 unfinished plane \(t0/mid_block"):
        compare(tmp_path / "s.zarr", out=tmp_path / "out", sweep=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"heads": ["smv"]}, HeadError, "no head is named 'smv'; nearest: svm"),
        ({"inputs": ["plane"]}, HeadError, "unknown input 'plane'.*nearest: planes"),
        ({"heads": ["film"], "inputs": ["spectra"]}, HeadError, "the head film needs spectra and context or plane"),
        ({"splits": ["blocks"]}, SplitError, "split 'blocks' does not have the form blocks:PX"),
        ({"seeds": 0}, HsifeatError, "seeds: expected .*; found 0"),
        ({"seeds": 10**23}, HsifeatError, "seeds: expected .*; found 1000"),
        ({"seeds": "2"}, HsifeatError, "seeds: expected a whole number; found '2'"),
        ({"labels": "soil"}, StoreError, "no labels 'soil'"),
        ({"planes": ["t9/*"]}, StoreError, "no plane 't9/"),
        ({"planes": []}, StoreError, "no plane to learn from"),
        ({"splits": []}, HsifeatError, r"splits: expected one name or more; found \[\]"),
        ({"heads": []}, HsifeatError, r"heads: expected one name or more; found \[\]"),
        ({"heads": [object]}, HsifeatError, "heads: expected one name or more"),
        ({"distances": "2"}, HsifeatError, "distances: expected one whole number or more; found '2'"),
        ({"distances": 5}, HsifeatError, "distances: expected one whole number or more; found 5"),
        ({"curve": 5}, HsifeatError, "curve: expected one whole number or more; found 5"),
        ({"jobs": "2"}, HsifeatError, "jobs is a number of processes, or None; found '2'"),
        ({"curve": [5, 0]}, HeadError, "numbers of pixels from 1; found 5, 0"),
    ],
)
def test_invalid_options(store_path, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        compare(store_path, out=tmp_path / "out", **options, sweep=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "message"), [("", "found an empty text"), (b"r", "the folder of a report is a path; found b'r'")]
)
def test_a_report_needs_a_folder(store_path, out, message):
    with pytest.raises(HsifeatError, match=message):
        compare(store_path, out=out)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["store_path", "other_recipe", "other_scene"],
         "second has 1 store of a diffusion model, and small has 2: give the same stores of each scene"),
        (["other_recipe", "other_scene"],
         r"the planes of second have another recipe than those of other: .*tiling.*`shared_projection=True`, or each with `like=.*other"),
    ],
)  # fmt: skip
def test_scenes_with_different_stores_are_refused(request, tmp_path, names, message):
    stores = [request.getfixturevalue(name) for name in names]
    with pytest.raises(StoreError, match=message):
        compare(stores, heads=["lda"], seeds=1, inputs=["spectra"], out=tmp_path / "out", sweep=False)
    assert not (tmp_path / "out").exists()


def test_each_of_several_stores_gives_the_same_results_alone(store_path, other_recipe, tmp_path):
    """The stores have different recipes and the same name.

    Each entry has the result of a comparison of its store alone, and of a head that is fitted by hand.
    """
    places = [store_path, shutil.copytree(other_recipe, tmp_path / "small.zarr")]
    options = {"heads": ["lda", "lightgbm"], "splits": SPLITS, "seeds": 1, "inputs": ["spectra", "planes"]}
    options |= {"planes": ["t0/mid_block"], "params": {"lightgbm": CHEAP["lightgbm"]}}
    together = compare(places, **options, out=tmp_path / "together", sweep=False)
    assert [store.name for store in together.stores] == ["small", "small'"]
    assert len({store.key for store in together.stores}) == 2
    assert len(together.runs) == 2 * (1 + 2) * 2
    read = RunRecords(tmp_path / "together" / "record").read_predictions
    for location, name in zip(places, ("small", "small'"), strict=True):
        alone = compare(location, **options, out=tmp_path / name, sweep=False)
        for result in alone.runs:
            who = result.entry.model_copy(update={"store": name}) if result.entry.store else result.entry
            (same,) = [r for r in together.runs if (r.entry, r.split, r.seed) == (who, result.split, result.seed)]
            assert (same.key, same.draw) == (result.key, result.draw)
            np.testing.assert_array_equal(
                read(same.key), RunRecords(tmp_path / name / "record").read_predictions(result.key)
            )
        table = PixelTable.from_store(location, spectra=False, planes=options["planes"], sample=True)
        for result in together.runs:
            if result.entry != entry(name, "planes", "lda"):
                continue
            pixels = RunRecords(tmp_path / "together" / "record").read_draw(result.draw)
            train, test = (table[np.isin(table.pixels, pixels[side])] for side in ("train", "test"))
            head = make_head("lda", layout=table.layout).fit(train.X, train.y, unlabelled=table.unlabelled)
            by_hand = head.predict(test.X)
            np.testing.assert_array_equal(read(result.key), by_hand)
            assert result.oa == accuracy_score(test.y, by_hand)


def test_the_report_shows_the_canonical_form_of_a_split(store_path, tmp_path):
    comparison = compare(
        store_path, heads=["lda"], splits=["random:0.30"], seeds=1, inputs=["spectra"], out=tmp_path, sweep=False
    )
    assert parse_split("random:0.30").text == "random:0.3" in {r.split for r in comparison.runs}
    assert (
        json.loads((tmp_path / "record" / "runs" / f"{comparison.runs[0].key}.json").read_text())["split"]
        == "random:0.3"
    )
