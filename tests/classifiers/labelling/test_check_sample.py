"""Checks at random places: uniform, independent of the labels, and scored like the finished map."""

import sqlite3

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from classifiers.labelling.check_answers import JoinedPixelError, join_answers, read_answers, record_answer
from classifiers.labelling.check_sample import draw_check_places, score_check
from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.quick_map import QuickMapper
from hsifeat.errors import HsifeatError


def test_every_pixel_is_as_likely(columns):
    draws = np.concatenate([draw_check_places(columns, 40, seed=seed) for seed in range(200)])
    counts = np.histogram2d(*draws.T, bins=[np.linspace(0, 75, 6), np.linspace(0, 53, 2)])[0].ravel()
    assert chisquare(counts).pvalue > 0.001
    first = draw_check_places(columns, 10, seed=3)
    np.testing.assert_array_equal(draw_check_places(columns, 25, seed=3)[:10], first)
    area = np.zeros((75, 53), bool)
    area[3, :4] = True
    assert sorted(map(tuple, draw_check_places(columns, 9, among=area).tolist())) == [(3, col) for col in range(4)]
    for wrong in ({"count": -1}, {"count": "5"}, {"count": 5, "seed": "a"}):
        with pytest.raises(HsifeatError, match="is an integer from 0; found"):
            draw_check_places(columns, **wrong)
    assert sorted(map(tuple, draw_check_places(columns, 10**6).tolist())) == list(np.ndindex(75, 53))


def test_the_score_is_that_of_the_finished_map(columns, clicks, context):
    truth = context.labels().classes
    places = draw_check_places(columns, 60, among=truth > 0)
    checks = np.zeros_like(truth)
    checks[tuple(places.T)] = truth[tuple(places.T)]
    both = np.where(np.arange(clicks.size).reshape(clicks.shape) == places[0] @ [53, 1], truth, clicks)
    mapper = QuickMapper(columns)
    score = score_check(mapper, both, checks)
    found = mapper.predict(mapper.fit(np.where(checks > 0, 0, clicks))).classes
    hits = int((found == truth)[tuple(places.T)].sum())
    assert score.scores.oa == pytest.approx(hits / 60)
    expected = binomtest(hits, 60).proportion_ci(method="wilson")
    assert score.interval == pytest.approx((expected.low, expected.high))
    assert "60 check places" in score.describe({})

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        score_check(mapper, both, checks, check=stop)


def test_a_few_checks_give_no_score(columns, clicks):
    checks = np.zeros_like(clicks)
    checks.ravel()[:9] = 1
    score = score_check(QuickMapper(columns), clicks, checks)
    assert score.scores is None
    assert "9 random places are labelled, and 10 are needed" in score.describe({})


def test_answers_survive_and_are_no_labels_until_they_join(tmp_path):
    """Random answers, labels, undo and redo of two people equal a replay in plain Python, also after the file is opened again."""
    rng, path = np.random.default_rng(4), tmp_path / "labels.sqlite"
    answers, labels, steps = {}, {}, []
    with LabelDatabase(path) as database:
        shared = database.open_set("scene", (6, 5)).id
        for name in ("oak", "elm"):
            database.add_class(shared, "ada", name)
        for _ in range(60):
            pixel, number = int(rng.integers(30)), int(rng.integers(3))
            if rng.random() < 0.6:
                record_answer(database, shared, "bob", pixel, number)
                answers[pixel] = number
            else:
                database.paint(shared, "ada", LabelEdit.of_class("pixel", np.array([pixel]), number))
                steps.append((pixel, number))
        assert database.undo(shared, "ada") and not database.undo(shared, "bob")
        record_answer(database, shared, "ada", 0, 1)
        answers[0] = 1
        assert database.redo(shared, "ada")
    labels = dict(steps)
    with LabelDatabase(path) as database:
        found = read_answers(database, shared)
        assert {int(pixel): int(found.classes.flat[pixel]) for pixel in found.asked} == answers
        assert found.skipped == list(answers.values()).count(0)
        assert len(database.versions(shared)) == len(steps) + 2
        assert dict(enumerate(database.class_map(shared)[1].flat)) == {
            pixel: labels.get(pixel, 0) for pixel in range(30)
        }
        named = {pixel: number for pixel, number in answers.items() if number}
        assert join_answers(database, shared, "bob") == len(named)
        assert read_answers(database, shared).count == 0
        with pytest.raises(JoinedPixelError, match="is a label now, from which the map learns"):
            record_answer(database, shared, "ada", next(iter(named)), 1)
        assert read_answers(database, shared).asked.tolist() == sorted(answers)
        joined = labels | named
        assert dict(enumerate(database.class_map(shared)[1].flat)) == {
            pixel: joined.get(pixel, 0) for pixel in range(30)
        }
        assert database.undo(shared, "bob")
        assert read_answers(database, shared).count == len(named)


def test_an_answer_and_the_labels_of_all_answers_are_one_step_each(tmp_path):
    """While answers become labels, another process can't answer."""
    with LabelDatabase(tmp_path / "labels.sqlite") as database, LabelDatabase(tmp_path / "labels.sqlite") as other:
        shared = database.open_set("scene", (6, 5)).id
        database.add_class(shared, "ada", "oak")
        record_answer(database, shared, "ada", 7, 1)
        with pytest.raises(RuntimeError), database.transaction():
            join_answers(database, shared, "ada")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                sqlite3.connect(tmp_path / "labels.sqlite", timeout=0).execute("BEGIN IMMEDIATE")
            raise RuntimeError
        assert read_answers(other, shared).count == 1 and other.labels(shared).counts == {}


def test_only_answers_are_read(tmp_path, monkeypatch):
    with LabelDatabase(tmp_path / "labels.sqlite") as database:
        shared = database.open_set("scene", (6, 5)).id
        database.add_class(shared, "ada", "oak")
        for pixel in range(20):
            database.paint(shared, "ada", LabelEdit.of_class("pixel", np.array([pixel]), 1))
        record_answer(database, shared, "ada", 7, 1)
        rows, select = [], database._file.select
        monkeypatch.setattr(database._file, "select", lambda *query: rows.extend(found := select(*query)) or found)
        assert read_answers(database, shared).count == 1
        assert [row["kind"] for row in rows if "kind" in set(row.keys())] == ["check"]
