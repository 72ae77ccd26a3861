"""The sweep: each plane scores as a head fitted on it alone, and the selection uses no test pixel."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from classifiers import make_head
from classifiers.comparison import plane_fits
from classifiers.comparison.compare import compare
from classifiers.comparison.plane_fits import FOLD_COUNT, FOLDS, PlaneFitter
from classifiers.comparison.report.write import write_sweep
from classifiers.comparison.results.base_records import Estimate
from classifiers.comparison.results.plane_scores import PlaneScore, SweepResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.shared_table import SharedTable
from classifiers.comparison.sweep import sweep
from classifiers.comparison.sweep_table import (
    noise_level_remarks,
    reduction_remarks,
    selection_remarks,
    weak_gain_remarks,
)
from classifiers.comparison.workdir import open_workdir
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, HsifeatError, SplitError, StoreError
from hsifeat.features.scene_set import SceneSet
from hsifeat.runtime.events import silent
from hsifeat.runtime.inline import InlineExecutor
from hsifeat.types import PlaneId
from tests.helpers.forked_commands import fork_workers

SPLIT = "blocks:9+1:0.5"
PLANES = ["t0/*", "t300/mid_block"]


@pytest.fixture(scope="module")
def swept(store_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("swept")
    return sweep(store_path, split=SPLIT, planes=PLANES, best=2, seeds=2, out=out), out


def lda(table, train, test):
    fitted = make_head("lda", layout=table.layout).fit(
        table.X[train[table.coordinates]], table.y[train[table.coordinates]], unlabelled=table.unlabelled
    )
    return float(np.mean(fitted.predict(table.X[test[table.coordinates]]) == table.y[test[table.coordinates]]))


def spectra_alone(store_path):
    """Return the OA on spectra alone under seeds 0 and 1."""
    table = PixelTable.from_store(store_path, planes=[], sample=True)
    draws = [parse_split(SPLIT).draw(table.labels, seed) for seed in (0, 1)]
    return [lda(table, draw.train, draw.test) for draw in draws]


def test_the_numbers_agree_with_a_benchmark(swept, store_path, tmp_path):
    """The reduction is the default of `compare`, and the result says so."""
    found, _ = swept
    assert found.reduction == "scene"
    assert "Principal components are fitted to a sample of all pixels" in reduction_remarks(found)[0]
    for reduction in ("scene", "train"):
        options = {
            "heads": ["lda"],
            "inputs": ["spectra", "planes"],
            "planes": ["t0/mid_block"],
            "splits": [SPLIT],
            "seeds": 2,
        }
        results = compare(store_path, **options, reduction=reduction, out=tmp_path / reduction)
        spectra = next(
            one for one in results.summary if one.entry.inputs == "spectra" and one.split == results.sweep.split
        )
        assert results.sweep.baseline.mean == pytest.approx(spectra.oa.mean) and results.sweep.reduction == reduction


def test_every_plane_alone_is_a_head_fitted_on_it(swept, store_path, features):
    found, _ = swept
    assert [(s.t, s.layer) for s in found.planes] == [(p.id.t, p.id.layer) for p in features.select(PLANES)]
    for plane, s in zip(features.select(PLANES), found.planes, strict=True):
        table = PixelTable.from_store(store_path, spectra=False, planes=[plane], sample=True)
        draws = [parse_split(SPLIT).draw(table.labels, seed) for seed in (0, 1)]
        oa = [lda(table, draw.train, draw.test) for draw in draws]
        assert (s.oa.mean, s.oa.sd) == pytest.approx((np.mean(oa), np.std(oa, ddof=1)))
        more = np.subtract(oa, spectra_alone(store_path))
        assert (s.gain.mean, s.gain.sd) == pytest.approx((np.mean(more), np.std(more, ddof=1)))
        assert s.size_bytes == features.size_bytes(plane)
        assert s.seconds == next(timing.seconds for timing in features.store.timings if timing.t == plane.id.t)


def test_the_first_choice_is_the_best_plane_over_folds_of_the_training_pixels(swept, store_path, features):
    found, _ = swept
    for seed, (first, second) in enumerate(found.selections):
        means = {}
        for plane in features.select(PLANES):
            table = PixelTable.from_store(store_path, spectra=False, planes=[plane], sample=True)
            draw = parse_split(SPLIT).draw(table.labels, seed)
            train = table[draw.train[table.coordinates]]
            folds = train.cv(FOLDS, FOLD_COUNT, seed=seed).split(train.X, train.y, train.pixels)
            means[str(plane.id)] = np.mean(
                [
                    np.mean(make_head("lda", layout=train.layout).fit(train.X[a], train.y[a], unlabelled=train.unlabelled).predict(train.X[b]) == train.y[b])
                    for a, b in folds
                ]
            )  # fmt: skip
        assert means[first] == max(means.values())
        assert second != first
        table = PixelTable.from_store(store_path, spectra=False, planes=[first, second], sample=True)
        draw = parse_split(SPLIT).draw(table.labels, seed)
        means[seed] = lda(table, draw.train, draw.test)
    assert tuple(s.plane for s in found.selection) == found.selections[0]


def test_chosen_planes_are_scored_on_test_pixels_with_all_before_them_and_gain_over_those(swept, store_path, features):
    found, _ = swept
    before = spectra_alone(store_path)
    assert (found.baseline.mean, found.baseline.sd) == pytest.approx((np.mean(before), np.std(before, ddof=1)))
    for location, step in enumerate(found.selection, 1):
        oa = []
        for seed, selection in enumerate(found.selections):
            planes = sorted(
                selection[:location], key=lambda name: [f"t{s.t}/{s.layer}" for s in found.planes].index(name)
            )
            table = PixelTable.from_store(store_path, spectra=False, planes=planes, sample=True)
            draw = parse_split(SPLIT).draw(table.labels, seed)
            oa.append(lda(table, draw.train, draw.test))
        assert (step.oa.mean, step.oa.sd) == pytest.approx((np.mean(oa), np.std(oa, ddof=1)))
        more = np.subtract(oa, before)
        assert (step.gain.mean, step.gain.sd) == pytest.approx((np.mean(more), np.std(more, ddof=1)))
        before = oa


def test_planes_of_one_timestep_cost_its_seconds_once(store_path, features, tmp_path):
    found = sweep(store_path, split=SPLIT, best=3, seeds=1, planes=PLANES, out=tmp_path)
    took = {timing.t: timing.seconds for timing in features.store.timings}
    assert len({step.t for step in found.selection}) < 3
    assert sum(step.seconds for step in found.selection) == sum(took[t] for t in {step.t for step in found.selection})
    sizes = {plane.id: features.size_bytes(plane) for plane in features.planes}
    assert [step.size_bytes for step in found.selection] == [
        sizes[PlaneId(step.t, step.layer)] for step in found.selection
    ]


def test_gains_within_their_spread_are_said():
    def step(mean, sd):
        oa, gain = Estimate(mean=0.4, sd=0.01), Estimate(mean=mean, sd=sd)
        return PlaneScore(t=50, layer="mid_block", oa=oa, gain=gain)

    steps = [step(0.1, 0.02), step(0.01, 0.03), step(0.03, 0.01)]
    found = SweepResult(head="lda", split=SPLIT, planes=steps, selection=steps, seeds=2)

    def remarks(*selection, seeds=2):
        return weak_gain_remarks(found.model_copy(update={"selection": selection, "seeds": seeds}))

    assert weak_gain_remarks(found) == [
        "t50/mid_block does not add to the planes before it more than the standard deviation over seeds: +1.0 ± 3.0 points"
    ]
    assert remarks(step(0.1, 0.2)) == [
        "t50/mid_block does not gain over spectra alone more than the standard deviation over seeds: +10.0 ± 20.0 points"
    ]
    assert remarks(step(0.1, 0.0), step(-0.01, 0.0), seeds=1) == [
        "t50/mid_block does not add to the planes before it: -1.0 points"
    ]


def test_planes_that_seeds_select_differently_are_said():
    """The accuracy at a place of the selection is a mean over planes of several names."""

    def step(layer, gain):
        estimate = Estimate(mean=gain, sd=0.05)
        return PlaneScore(t=50, layer=layer, oa=Estimate(mean=0.4, sd=0.01), gain=estimate)

    found = SweepResult(
        head="lda", split=SPLIT, planes=(), selection=(step("a", 0.2), step("b", 0.01)), seeds=3,
        selections=(("t50/a", "t50/b"), ("t50/a", "t50/c"), ("t50/a",)),
    )  # fmt: skip
    (remark,) = selection_remarks(found)
    assert (
        "seed 0 selected, each at its place (t50/a by 3 of 3 seeds, t50/b by 1 of 3 seeds). Accuracies and gains are"
        in remark
    )
    assert weak_gain_remarks(found)[0].startswith(
        "selected plane 2 (t50/b with seed 0) does not add to the planes before it"
    )
    same = found.model_copy(update={"selections": (("t50/a", "t50/b"),) * 3})
    assert selection_remarks(same) == [] and weak_gain_remarks(same)[0].startswith("t50/b does not add")


@pytest.mark.parametrize(
    ("oa", "shape"),
    [
        ([50, 55, 52, 40], "one maximum, as of a model that generalises"),
        ([50, 55, 54.5, 54.8, 40], "one maximum, as of a model that generalises"),
        ([55, 54, 50, 40], "falling with the noise, as of a model that memorises"),
        ([54.5, 55, 50, 40], "falling with the noise, as of a model that memorises"),
        ([40, 50, 54, 55], "rising with the noise: more noise may be better still"),
        ([55, 40, 55, 40], "several maxima, which say nothing about the model"),
        ([55, 55.5, 55.2, 55], "the noise level makes no difference"),
    ],
)
def test_the_curve_of_a_layer_over_noise_levels_is_named(oa, shape):
    def score(t, value):
        return PlaneScore(t=t, layer="mid_block", oa=Estimate(mean=value / 100, sd=0.01))

    planes = [score(10 * i, value) for i, value in enumerate(oa)]
    swept = SweepResult(head="lda", split=SPLIT, planes=planes[::-1], selection=(), seeds=2)
    numbers = ", ".join(f"{value:.1f} at t = {10 * i}" for i, value in enumerate(oa))
    assert noise_level_remarks(swept) == [f"mid_block, OA in % by noise level: {numbers}; {shape}"]
    few = swept.model_copy(update={"planes": planes[:3]})
    assert noise_level_remarks(few) == []


def test_other_classes_of_test_pixels_change_no_choice(store_path, features, tmp_path):
    table = PixelTable.from_store(store_path, spectra=False)
    draw = parse_split(SPLIT).draw(table.labels, 0)
    chosen = []
    for name in ("true", "permuted"):
        classes = table.labels.classes.copy()
        if name == "permuted":
            classes[draw.test] = np.random.default_rng(0).permutation(classes[draw.test])
            assert (classes != table.labels.classes).any()
        labels = replace(table.labels, classes=classes)
        shared = SharedTable.write(
            replace(table, y=classes[table.coordinates], labels=labels), tmp_path / name / "table"
        )
        np.testing.assert_array_equal(shared.positions(table.pixels), table.positions)
        planes = tuple(plane.id for plane in features.select(PLANES))
        chosen.append(
            PlaneFitter(
                SceneSet([features]),
                shared,
                labels,
                RunRecords(tmp_path / name),
                "lda",
                planes,
                InlineExecutor(),
                silent,
            ).select({0: draw}, 2)
        )
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0][0])) == 2


@pytest.fixture
def fits(monkeypatch):
    """List of the keys of executed fits."""
    done = []
    plain = plane_fits.measure_accuracy
    monkeypatch.setattr(plane_fits, "measure_accuracy", lambda task: done.append(task.key) or plain(task))
    return done


def test_a_finished_sweep_is_not_done_again(swept, store_path, fits):
    found, out = swept
    assert sweep(store_path, split=SPLIT, planes=PLANES, best=2, seeds=2, out=out) == found
    assert fits == []


def test_workers_change_nothing(swept, store_path, tmp_path, monkeypatch):
    found, _ = swept
    fork_workers(monkeypatch.setattr)
    assert sweep(store_path, split=SPLIT, planes=PLANES, best=2, seeds=2, out=tmp_path, jobs=2) == found


def test_an_interrupted_sweep_goes_on_and_a_larger_one_reuses_it(swept, store_path, tmp_path, fits, monkeypatch):
    options = {"split": SPLIT, "planes": ["t0/*"], "out": tmp_path}
    counting = plane_fits.measure_accuracy

    def dying(task):
        if len(fits) == 5:
            raise KeyboardInterrupt
        return counting(task)

    with monkeypatch.context() as patch:
        patch.setattr(plane_fits, "measure_accuracy", dying)
        with pytest.raises(KeyboardInterrupt):
            sweep(store_path, best=1, seeds=1, **options)
    assert len(fits) == 5
    (torn,) = (tmp_path / "record" / "sweeps").glob(f"{fits[0]}.json")
    torn.write_text("{")
    sweep(store_path, best=1, seeds=1, **options)
    # Four planes on three folds; spectra and four planes on test pixels; the torn one twice.
    assert (len(fits), len(set(fits))) == (12 + 5 + 1, 12 + 5)
    sweep(store_path, best=2, seeds=2, **options)
    # Again as many of the other seed; then for both seeds three pairs on three folds, and the best on test pixels.
    assert (len(fits), len(set(fits))) == (18 + 17 + 2 * (9 + 1), 17 + 17 + 2 * (9 + 1))
    before = len(fits)
    assert sweep(store_path, best=2, seeds=2, **{**options, "planes": PLANES}).selection == swept[0].selection
    assert len(fits) > before and len(set(fits)) == len(fits) - 1


def test_a_head_that_needs_spectra_gets_them_and_one_that_needs_planes_has_nothing_to_gain_over(store_path, tmp_path):
    split = "per-class:5"  # a network is quick with few rows
    found = sweep(store_path, head="film", split=split, best=0, seeds=1, planes=["t0/mid_block"], out=tmp_path)
    assert (len(found.planes), found.selection) == (1, ())
    assert found.baseline is found.planes[0].gain is None
    table = PixelTable.from_store(store_path, planes=["t0/mid_block"], sample=True)
    draw = parse_split(split).draw(table.labels, 0)
    train, test = table[draw.train[table.coordinates]], table[draw.test[table.coordinates]]
    film = make_head("film", layout=table.layout, random_state=0)
    film.fit(train.X, train.y, unlabelled=train.unlabelled)
    assert found.planes[0].oa.mean == pytest.approx(np.mean(film.predict(test.X) == test.y))


@pytest.mark.parametrize("name", ["sweep.csv", "sweep.json", "planes.png"])
def test_files_of_other_programs_are_not_replaced(store_path, tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("{}")
    with pytest.raises(HsifeatError, match=f"has a file {name}, but no sweep of hsifeat: choose another folder"):
        sweep(store_path, planes=["t0/mid_block"], seeds=1, out=out)
    assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == "{}"


def test_files_of_a_sweep(swept, tmp_path):
    found, _ = swept
    write_sweep(found, tmp_path)
    with open_workdir(tmp_path, "sweep"):  # a sweep without its recorded fits is replaced by another sweep
        pass
    assert json.loads((tmp_path / "sweep.json").read_text())["planes"][0]["layer"] == found.planes[0].layer
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    spectra = rows.pop(next(at for at, row in enumerate(rows) if row["layer"] == "spectra"))
    assert (spectra["t"], float(spectra["oa"]), float(spectra["sd"])) == ("", found.baseline.mean, found.baseline.sd)
    best_first = sorted(found.planes, key=lambda s: -s.oa.mean)
    for name, value in (("oa", lambda s: s.oa.mean), ("gain", lambda s: s.gain.mean), ("gain_sd", lambda s: s.gain.sd),
                        ("size_bytes", lambda s: s.size_bytes), ("seconds", lambda s: s.seconds)):  # fmt: skip
        assert [float(row[name]) for row in rows] == [value(score) for score in best_first]
    first, gain = next(row for row in rows if row["rank"] == "1"), found.selection[0].gain
    assert f"t{first['t']}/{first['layer']}" == found.selections[0][0]
    assert float(first["oa_together"]) == found.selection[0].oa.mean
    assert (float(first["step_gain"]), float(first["step_gain_sd"])) == (gain.mean, gain.sd)
    assert float(first["step_seconds"]) == found.selection[0].seconds
    assert (tmp_path / "planes.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "planes.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"head": "smv"}, HeadError, "no head is named 'smv'"),
        ({"seeds": 0}, HeadError, "seeds must be 1 to 1000"),
        ({"split": "block:3"}, SplitError, "unknown split"),
        ({"planes": []}, StoreError, "no plane of small to sweep"),
        ({"split": "per-class:1"}, HsifeatError, "the training pixels can't be divided into folds by blocks:6.* skip the selection of planes with `best=0`"),
    ],
)  # fmt: skip
def test_wrong_sweeps(store_path, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        sweep(store_path, out=tmp_path / "out", **options)
