"""The learning curve: scores of the labels as they were after some of the edits."""

import numpy as np
import pytest

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.labels_db import LabelDatabase
from classifiers.labelling.learning_curve import learning_curve
from classifiers.labelling.quick_map import QuickMapper
from classifiers.labelling.score import score_labels


def test_points_are_the_scores_of_earlier_labels(columns, clicks, tmp_path):
    mapper = QuickMapper(columns, smooth="none")
    with LabelDatabase(tmp_path / "labels.sqlite") as database:
        found = database.open_set("scene", clicks.shape)
        assert list(learning_curve(mapper, database, found.id)) == []
        for number in range(1, 5):
            database.add_class(found.id, "ada", f"class {number}")
        pixels = np.random.default_rng(0).permutation(np.flatnonzero(clicks))
        parts = np.array_split(pixels, 12)
        for part in parts:
            edit = LabelEdit("brush", np.sort(part), clicks.ravel()[np.sort(part)].astype(np.uint16))
            database.paint(found.id, "ada", edit)
        curve = list(learning_curve(mapper, database, found.id))
    assert [count for count, _ in curve] == [sum(map(len, parts[:edits])) for edits in (12, 8, 5, 4, 2)]
    for edits, (_, score) in zip((12, 8), curve, strict=False):
        earlier = np.zeros_like(clicks)
        earlier.ravel()[np.concatenate(parts[:edits])] = clicks.ravel()[np.concatenate(parts[:edits])]
        assert score.scores.oa == pytest.approx(score_labels(mapper, earlier).scores.oa)
