"""From one to fifty labels per class, every head is as good as a plain scikit-learn pipeline of the same parts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from classifiers.heads.registry import make_head
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError
from tests.helpers.heads import NAMES, NETWORKS

CLASSES, TEST_ROWS, SEEDS = 6, 300, 2
LAYOUT = Layout(
    (
        ColumnGroup("spectra", 0, 60),
        ColumnGroup("plane", 60, 90, t=50, layer="up"),
        ColumnGroup("plane", 90, 120, t=100, layer="up"),
    )
)
# A head may be this much less accurate than its pipeline, on average over seeds.
TOLERANCE = 0.1
# Networks and boosting with three rows per leaf are worse than a linear classifier with one or two rows per class; chance is
# 0.17. Their pages advise to take lda with so few labels.
FEW_ROWS_TOLERANCE = 0.25
SPECTRA = Layout(LAYOUT.groups[:1])
BANDS = SPECTRA.width
AS_MANY_AS_BANDS = BANDS // CLASSES  # rows per class
FAST = ["lda", "svm", "logistic"]


def bands(per_class: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of smooth bands: classes differ in few latent directions, and strong common noise hides them."""
    fixed, rng = np.random.default_rng(5), np.random.default_rng(seed)
    y = np.repeat(np.arange(CLASSES), per_class)
    window = np.hanning(9)
    loads = np.stack([np.convolve(row, window, "same") for row in fixed.normal(size=(16, LAYOUT.width))])
    latent = rng.normal(size=(len(y), 16))
    latent[:, :4] *= 4  # illumination and the like
    latent[:, 6:] += 2.5 * fixed.normal(size=(CLASSES, 10))[y]
    return (latent @ loads + 0.3 * rng.normal(size=(len(y), LAYOUT.width))).astype(np.float32), y


def pipeline(name: str, rows: int):
    reduced = PCA(min(30, rows - 1), random_state=0)
    steps = {
        "lda": [LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")],
        "svm": [reduced, SVC(C=10)],
        "random-forest": [reduced, RandomForestClassifier(25, random_state=0)],
        "lightgbm": [reduced, RandomForestClassifier(25, random_state=0)],
    }.get(name, [reduced, LogisticRegression(C=100)])
    return make_pipeline(StandardScaler(), *steps)


def cheap_head(name: str, layout: Layout):
    cheap = {"epochs": 20, "n_estimators": 25, "members": 1}
    return make_head(
        name, layout, **{key: value for key, value in cheap.items() if key in make_head(name).get_params()}
    )


@pytest.mark.parametrize(
    ("name", "per_class"),
    [*itertools.product(NAMES, [1, 2, AS_MANY_AS_BANDS]), *itertools.product(FAST, [50])],
)
def test_few_labels(name, per_class):
    """Networks and trees are not fitted with 50 rows per class. This would take seconds, and errors show with fewer rows too."""
    new, truth = bands(TEST_ROWS // CLASSES, 99)
    found, expected = [], []
    for seed in range(SEEDS):
        X, y = bands(per_class, seed)
        head = cheap_head(name, LAYOUT)
        if name == "lda" and per_class == 1:
            with pytest.raises(HeadError, match="needs more rows than classes"):
                head.fit(X, y)
            return
        found.append(head.fit(X, y).score(new, truth))
        expected.append(pipeline(name, len(y)).fit(X.astype(np.float64), y).score(new, truth))
    tolerance = FEW_ROWS_TOLERANCE if per_class == 1 or (per_class == 2 and name in NETWORKS) else TOLERANCE
    assert np.mean(found) > np.mean(expected) - tolerance


@pytest.mark.parametrize("reduction", ["train", "scene"])
@pytest.mark.parametrize("per_class", [2, 5, AS_MANY_AS_BANDS - 1, AS_MANY_AS_BANDS, AS_MANY_AS_BANDS + 1, 50])
@pytest.mark.parametrize("name", FAST)
def test_rows_below_at_and_above_the_number_of_bands(name, per_class, reduction):
    """Spectra alone are as good as their pipeline, and other columns beside them do no harm."""
    new, truth = bands(TEST_ROWS // CLASSES, 99)
    scene = bands(40, 98)[0] if reduction == "scene" else None
    alone, beside, expected = [], [], []
    for seed in range(SEEDS):
        X, y = bands(per_class, seed)
        for scores, layout in ((alone, SPECTRA), (beside, LAYOUT)):
            unlabelled = None if scene is None else scene[:, : layout.width]
            head = cheap_head(name, layout).fit(X[:, : layout.width], y, unlabelled=unlabelled)
            scores.append(head.score(new[:, : layout.width], truth))
        plain = pipeline(name, len(y)).fit(X[:, :BANDS].astype(np.float64), y)
        expected.append(plain.score(new[:, :BANDS], truth))
    assert np.mean(alone) > np.mean(expected) - TOLERANCE
    assert np.mean(beside) > np.mean(alone) - TOLERANCE
