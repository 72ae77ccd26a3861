"""The sweep: every plane as a head fitted on it alone scores, chosen planes that know no test pixel."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from classifiers import make_head
from classifiers.comparison.files import write_sweep
from classifiers.comparison.record import Record
from classifiers.comparison.shared import SharedTable
from classifiers.comparison.sweep import DRAWS, FOLDS, _Sweeper, sweep
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from hsifeat.errors import HeadError, HsifeatError, SplitError, StoreError
from hsifeat.types import PlaneId
from hsifeat.work.events import silent
from hsifeat.work.executors import Inline

SPLIT = "blocks:9+1:0.5"


@pytest.fixture(scope="module")
def swept(store_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("swept")
    return sweep(store_path, split=SPLIT, best=2, seeds=2, out=out), out


def lda(table, train, test):
    fitted = make_head("lda", layout=table.layout).fit(table.X[train[table.at]], table.y[train[table.at]])
    return float(np.mean(fitted.predict(table.X[test[table.at]]) == table.y[test[table.at]]))


def test_every_plane_alone_is_a_head_fitted_on_it(swept, store_path, features):
    found, _ = swept
    assert [(s.t, s.layer) for s in found.alone] == [(p.id.t, p.id.layer) for p in features.planes]
    for plane, s in zip(features.planes, found.alone, strict=True):
        table = PixelTable.from_store(store_path, spectra=False, planes=[plane])
        draws = [parse_split(SPLIT).draw(table.labels, seed) for seed in (0, 1)]
        oa = [lda(table, draw.train, draw.test) for draw in draws]
        assert s.oa == pytest.approx((np.mean(oa), np.std(oa, ddof=1)))
        assert s.bytes == features.size_bytes(plane)
        assert s.seconds == next(timing.seconds for timing in features.store.timings if timing.t == plane.id.t)


def test_the_first_choice_is_the_best_plane_over_folds_of_the_training_pixels(swept, store_path, features):
    found, _ = swept
    for seed, (first, second) in enumerate(found.choices):
        means = {}
        for plane in features.planes:
            table = PixelTable.from_store(store_path, spectra=False, planes=[plane])
            draw = parse_split(SPLIT).draw(table.labels, seed)
            train = table[draw.train[table.at]]
            folds = train.cv(FOLDS, DRAWS, seed=seed).split(train.X, train.y, train.pixels)
            means[str(plane.id)] = np.mean(
                [
                    np.mean(make_head("lda", layout=train.layout).fit(train.X[a], train.y[a]).predict(train.X[b]) == train.y[b])
                    for a, b in folds
                ]
            )  # fmt: skip
        assert means[first] == max(means.values())
        assert second != first
        table = PixelTable.from_store(store_path, spectra=False, planes=[first, second])
        draw = parse_split(SPLIT).draw(table.labels, seed)
        means[seed] = lda(table, draw.train, draw.test)
    assert [str(PlaneId(s.t, s.layer)) for s in found.chosen] == found.choices[0]


def test_the_accuracy_of_chosen_planes_is_on_test_pixels_with_all_before_them(swept, store_path):
    found, _ = swept
    oa = []
    for seed, chosen in enumerate(found.choices):
        planes = sorted(chosen, key=lambda name: [f"t{s.t}/{s.layer}" for s in found.alone].index(name))
        table = PixelTable.from_store(store_path, spectra=False, planes=planes)
        draw = parse_split(SPLIT).draw(table.labels, seed)
        oa.append(lda(table, draw.train, draw.test))
    assert found.chosen[1].oa == pytest.approx((np.mean(oa), np.std(oa, ddof=1)))


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
        shared = SharedTable.write(replace(table, y=classes[table.at], labels=labels), tmp_path / name / "table")
        planes = tuple(plane.id for plane in features.planes)
        chosen.append(
            _Sweeper(shared, labels, Record(tmp_path / name), "lda", planes, Inline(), silent).choose({0: draw}, 3)
        )
    assert chosen[0] == chosen[1]
    assert len(set(chosen[0][0])) == 3


def test_a_finished_sweep_is_not_done_again_and_workers_change_nothing(swept, store_path, tmp_path, monkeypatch):
    found, out = swept
    assert sweep(store_path, split=SPLIT, best=2, seeds=2, out=tmp_path, jobs=2) == found
    monkeypatch.setattr(_Sweeper, "run", lambda *_: pytest.fail("nothing is fitted"))
    assert sweep(store_path, split=SPLIT, best=2, seeds=2, out=out) == found


def test_a_head_that_needs_spectra_gets_them(store_path, tmp_path):
    found = sweep(store_path, head="film", split=SPLIT, best=0, seeds=1, planes=["t0/mid_block"], out=tmp_path)
    assert found.chosen == [] and len(found.alone) == 1


def test_files_of_a_sweep(swept, tmp_path):
    found, _ = swept
    write_sweep(found, tmp_path)
    assert json.loads((tmp_path / "sweep.json").read_text())["alone"][0]["layer"] == found.alone[0].layer
    with (tmp_path / "sweep.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["oa"]) for row in rows] == sorted((s.oa[0] for s in found.alone), reverse=True)
    first = next(row for row in rows if row["chosen"] == "1")
    assert f"t{first['t']}/{first['layer']}" == found.choices[0][0]
    assert float(first["oa_together"]) == found.chosen[0].oa[0]
    assert (tmp_path / "planes.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "planes.svg").read_bytes()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"head": "smv"}, HeadError, "no head is named 'smv'"),
        ({"seeds": 0}, HeadError, "at least one seed"),
        ({"split": "block:3"}, SplitError, "unknown split"),
        ({"planes": []}, StoreError, "has no plane to sweep"),
        ({"split": "per-class:1"}, HsifeatError, "the training pixels can't be divided by blocks:6.* choose none by --best 0"),
    ],
)  # fmt: skip
def test_wrong_sweeps(store_path, tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        sweep(store_path, out=tmp_path / "out", **options)
