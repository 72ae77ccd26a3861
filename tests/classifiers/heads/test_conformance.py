"""What every registered head keeps: scikit-learn's own checks, and the promises that those don't know of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads.base import WeighingHead
from classifiers.heads.lightgbm import LightGBMClassifier
from classifiers.heads.random_forest import ForestClassifier
from classifiers.heads.registry import head_class, make_head
from classifiers.heads.svm import SVMClassifier
from classifiers.heads.torch.head import TorchHead
from classifiers.layout import ColumnGroup, Layout
from classifiers.table import PixelTable
from hsifeat.errors import HeadError
from hsifeat.scenes import Labels
from tests.helpers.heads import LAYOUT, NAMES, NETWORKS, quick, scores, toy

WEIGHING = [name for name in NAMES if issubclass(head_class(name), WeighingHead)]
BALANCING = [name for name in NAMES if "class_weight" in make_head(name).get_params()]

# scikit-learn's own checks that a head can't pass, and why; one that it passes after all is a failure.
EXCEPTIONS = {
    TorchHead: {
        "check_class_weight_classifiers": "at weights of 1e7 to 1 only one class has a gradient, and what a network "
        "says far from that class's rows is left to its initial values; that weights work is tested below",
        "check_sample_weight_equivalence_on_dense_data": "a row given twice makes other batches; that a weight counts "
        "like rows in one batch is tested in test_torch_training",
    },
    LightGBMClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "LightGBM bins and fills leaves by rows, whatever they weigh",
    },
    ForestClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "rows are drawn at random, heavy ones as often as light ones",
    },
    SVMClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "libsvm stops within a tolerance that the check's is below",
    },
}


def exceptions(estimator) -> dict[str, str]:
    found = next((found for kind, found in EXCEPTIONS.items() if isinstance(estimator, kind)), {})
    # The gated sum's classifier sees what batch norm leaves of the features, and there far rows are not far.
    passed = {"check_class_weight_classifiers"} if getattr(estimator, "fusion", "") == "gated" else set()
    return {check: why for check, why in found.items() if check not in passed}


# Parameters that make another estimator of a head.
VARIANTS = [
    quick("film", None, fusion="gated", epochs=15),
    quick("film", None, encoder="conv", epochs=15),
    quick("mlp", None, members=2),
    quick("svm", None, exact_rows=0),
]


@parametrize_with_checks(
    [*(quick(name, None) for name in NAMES), *VARIANTS], expected_failed_checks=exceptions, xfail_strict=True
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_built_in_heads_are_registered():
    assert {"film", "lda", "lightgbm", "logistic", "mlp", "random-forest", "svm"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_learns_a_separable_toy(name):
    X, y = toy(320)
    test, truth = toy(seed=1)
    assert cohen_kappa_score(truth, quick(name).fit(X, y).predict(test)) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_and_leaves_the_callers_random_state(name):
    X, y = toy()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    found = [scores(quick(name).fit(X, y), X) for _ in range(2)]
    np.testing.assert_array_equal(*found)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    np.testing.assert_equal(np.random.random(), np.random.RandomState(1).random())  # noqa: NPY002


@pytest.mark.parametrize("name", [*NETWORKS, "lightgbm", "random-forest"])
def test_another_seed_gives_another_fit(name):
    X, y = toy()
    few = {"epochs": 2} if name in NETWORKS else {}
    one, two = (scores(quick(name, random_state=seed, **few).fit(X, y), X) for seed in (0, 1))
    assert np.abs(one - two).max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
def test_clones_pipelines_and_cross_validation(name):
    X, y = toy()
    head = quick(name)
    copy = clone(head.fit(X, y))
    assert copy.get_params() == head.get_params()
    assert not hasattr(copy, "classes_")
    np.testing.assert_array_equal(copy.fit(X, y).predict(X), head.predict(X))
    pipeline = make_pipeline(StandardScaler(), quick(name))
    assert cross_val_score(pipeline, X, y, cv=StratifiedKFold(2)).mean() > 0.85


@pytest.mark.parametrize("name", NAMES)
def test_grid_search_over_spatial_folds(name):
    """The search takes what learns over what can't, by folds that keep blocks of pixels apart."""
    rows, cols = (at.ravel() for at in np.mgrid[:24, :24])
    classes = 1 + (rows // 4 + cols // 4) % 4
    X, y = toy(4 * len(rows))
    X = X[np.argsort(y, kind="stable")].reshape(4, len(rows), -1)[classes - 1, np.arange(len(rows))]
    labels = Labels("fields", classes.reshape(24, 24), {c: str(c) for c in range(1, 5)})
    table = PixelTable(X, classes, rows, cols, np.zeros(len(rows), int), LAYOUT, labels, ("fields",))
    bad_then_good = {
        "lda": {"plane_components": [1, 10], "spectral_components": [1]},
        "lightgbm": {"min_child_samples": [1000, 3]},
        "logistic": {"max_iter": [1, 300]},
        "random-forest": {"min_samples_leaf": [1000, 1]},
        "svm": {"gamma": [1e4, "scale"]},
    }.get(name, {"learning_rate": [1e-9, 1e-2]})
    search = GridSearchCV(quick(name), bad_then_good, cv=table.cv("blocks:4+0:0.3", 2)).fit(table.X, table.y)
    assert search.best_params_ == {key: values[-1] for key, values in bad_then_good.items()}
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_string_labels(name):
    X, y = toy()
    names = np.array(["corn", "oats", "soybean", "wheat"])
    head = quick(name).fit(X, names[y])
    assert head.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(head.predict(X), names[quick(name).fit(X, y).predict(X)])


@pytest.mark.parametrize("name", WEIGHING)
def test_a_row_of_weight_zero_is_as_if_it_were_not_there(name):
    X, y = toy()
    there = np.arange(len(y)) % 5 > 0
    noise = np.where(there[:, None], X, 1e3)
    weighed = quick(name).fit(noise, np.where(there, y, 7), sample_weight=there.astype(float))
    alone = quick(name).fit(X[there], y[there], sample_weight=np.ones(there.sum()))
    assert weighed.classes_.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(scores(weighed, X), scores(alone, X))


@pytest.mark.parametrize("name", WEIGHING)
def test_heavy_rows_are_learned_before_light_ones(name):
    """Every row is there under two labels, of which one weighs more."""
    X, y = toy(120)
    twice, labels = np.r_[X, X], np.r_[y, (y + 1) % 4]
    for heavy in (0, 1):
        weight = np.where(np.repeat([0, 1], len(y)) == heavy, 10.0, 1.0)
        found = quick(name).fit(twice, labels, sample_weight=weight).predict(X)
        assert np.mean(found == (y + heavy) % 4) > 0.8


@pytest.mark.parametrize("name", BALANCING)
def test_balanced_classes_raise_the_recall_of_a_rare_one(name):
    rng = np.random.default_rng(0)
    y = (np.arange(500) % 25 == 0).astype(int)
    X = rng.normal(size=(500, LAYOUT.width)) + 0.15 * y[:, None]
    less = {
        "svm": {"C": 0.3},
        "logistic": {"C": 0.1},
        "random-forest": {"min_samples_leaf": 20},
        "lightgbm": {"n_estimators": 3},
    }.get(name, {"epochs": 4} if name in NETWORKS else {})
    found = [quick(name, class_weight=weight, **less).fit(X, y).predict(X).sum() for weight in (None, "balanced")]
    assert found[1] > found[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_class_of_one_row(name):
    X, y = toy(65)
    y[0] = 9
    head = quick(name).fit(X, y)
    assert head.classes_.tolist() == [0, 1, 2, 3, 9]
    assert np.isfinite(scores(head, X)).all()


@pytest.mark.parametrize("name", NAMES)
def test_columns_that_never_vary(name):
    X, y = toy()
    X[:, ::5] = 3.25
    head = quick(name).fit(X, y)
    new = X.copy()
    new[:, ::5] = -1e6  # nothing was learned from them
    np.testing.assert_array_equal(head.predict(new), head.predict(X))
    still = quick(name).fit(np.full_like(X, 0.1), y)
    assert np.isfinite(scores(still, X)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_width_that_does_not_fit_the_layout(name):
    X, y = toy()
    message = rf"{LAYOUT.width - 1} columns but the layout describes {LAYOUT.width}"
    with pytest.raises(HeadError, match=message):
        quick(name).fit(X[:, :-1], y)
    head = quick(name).fit(X, y)
    with pytest.raises(HeadError, match=message):
        head.predict(X[:, :-1])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_table_is_refused(name):
    X, y = toy()
    with pytest.raises(HeadError, match="all 160 rows are of one class, 0; give at least two classes"):
        quick(name).fit(X, np.zeros_like(y))
    with pytest.raises(HeadError, match="inconsistent numbers of samples"):
        quick(name).fit(X, y[:-1])
    with pytest.raises(HeadError, match=r"0 sample\(s\)"):
        quick(name).fit(X[:0], y[:0])
    head = quick(name).fit(X, y)
    with pytest.raises(HeadError, match=r"0 sample\(s\)"):
        head.predict(X[:0])
    for call in (head.predict, lambda rows: quick(name).fit(rows, y)):
        for value, message in ((np.nan, "contains NaN"), (np.inf, "contains infinity"), (-np.inf, "contains infinity")):
            with pytest.raises(HeadError, match=message):
                call(np.where(np.arange(X.size).reshape(X.shape) == 500, value, X))
        with pytest.raises(
            HeadError, match=r"found an array of shape \(160,\)\. Reshape your data: X\.reshape\(1, -1\) is"
        ):
            call(X[:, 0])
    with pytest.raises(
        HeadError, match="labels must be classes, as integers or strings: Unknown label type: continuous"
    ):
        quick(name).fit(X, X[:, 0])


@pytest.mark.parametrize("name", WEIGHING)
def test_weights_that_are_none_are_refused(name):
    X, y = toy()
    for weight, message in (
        (-np.ones(160), "Negative values"),
        (np.full(160, np.nan), "NaN"),
        (np.ones(159), "sample_weight"),
        (np.zeros(160), "at least one non-zero"),
        (y == 2, "all 40 rows are of one class, 2"),
    ):
        with pytest.raises(HeadError, match=message):
            quick(name).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_predicted_by_itself(name):
    X, y = toy(300)
    head = quick(name).fit(X, y)
    np.testing.assert_allclose(
        np.concatenate([scores(head, part) for part in np.split(X, 3)]), scores(head, X), atol=2e-6
    )


def test_lda_is_that_of_scikit_learn_with_shrinkage():
    """Few rows beside the columns, where the shrinkage decides; one group of columns needs no reducing."""
    X, y = toy(90, apart=0.3)
    new, _ = toy(50, seed=1, apart=0.3)
    layout = Layout((ColumnGroup("spectra", 0, LAYOUT.width),))
    head = make_head("lda", layout).fit(X, y)
    scaler = StandardScaler().fit(X.astype(np.float64))
    plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    plain.fit(scaler.transform(X) / np.sqrt(LAYOUT.width), y)
    expected = plain.predict_proba(scaler.transform(new) / np.sqrt(LAYOUT.width))
    np.testing.assert_allclose(head.predict_proba(new), expected, atol=1e-4)


def test_lda_of_a_row_a_class():
    X, _ = toy(4)
    with pytest.raises(
        HeadError, match="needs more rows than classes; found 4 rows of 4 classes: give a class two rows"
    ):
        make_head("lda", LAYOUT).fit(X, np.arange(4))


def test_unknown_names():
    with pytest.raises(HeadError, match="no head is named 'flim'; nearest: film"):
        make_head("flim")
    with pytest.raises(HeadError, match="head 'svm' has no parameter 'epochs'; allowed: C, class_weight, exact_rows"):
        make_head("svm", epochs=3)
    with pytest.raises(HeadError, match="no device is named 'gpu'; allowed: auto, cpu, cuda"):
        quick("mlp", device="gpu").fit(*toy())
    with pytest.raises(HeadError, match=r"class_weight {7: 1} can't be used: .* labels \[0, 1, 2, 3\]"):
        quick("mlp", class_weight={7: 1}).fit(*toy())
    with pytest.raises(HeadError, match="epochs is 0; give 1 or more"):
        quick("mlp", epochs=0).fit(*toy())


def test_many_rows_are_mapped_to_a_sample_of_them():
    """Against scikit-learn's Nyström map and linear machine, made by hand on columns that need no reducing."""
    X, y = toy(300)
    X = StandardScaler().fit_transform(X.astype(np.float64)) / np.sqrt(X.shape[1])
    plain = {"spectral_components": None, "sampled_rows": 60, "random_state": 3}
    head = make_head("svm", exact_rows=299, **plain).fit(X, y)
    mapped = Nystroem(gamma=1.0, n_components=60, random_state=3).fit(X)
    machine = LinearSVC(C=10, dual=False, random_state=3).fit(mapped.transform(X), y)
    np.testing.assert_allclose(head.decision_function(X), machine.decision_function(mapped.transform(X)), rtol=1e-4)
    assert head.kernel_map_.n_components == 60
    exact = make_head("svm", exact_rows=300, **plain).fit(X, y)
    assert exact.kernel_map_ is None
    assert np.mean(exact.predict(X) == head.predict(X)) > 0.95


def test_the_kernel_is_exact_up_to_20000_rows():
    rng = np.random.default_rng(0)
    y = np.arange(20_001) % 2
    X = rng.normal(size=(20_001, 3)) + 20 * y[:, None]
    assert make_head("svm").fit(X[:-1], y[:-1]).kernel_map_ is None
    assert make_head("svm").fit(X, y).kernel_map_.n_components == 500
