"""Conformance suite of heads: scikit-learn's estimator checks, and further properties that every registered head has."""

from __future__ import annotations

import re
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from classifiers.heads.lightgbm import LightGBMClassifier
from classifiers.heads.random_forest import ForestClassifier
from classifiers.heads.registry import head_class, make_head
from classifiers.heads.spectraldiff import SpectralDiffClassifier
from classifiers.heads.supertoken import SupertokenClassifier
from classifiers.heads.svm import SVMClassifier
from classifiers.heads.torch.head import TorchHead
from classifiers.heads.weighing import WeighingHead
from classifiers.table import PixelTable
from hsifeat.errors import HeadError
from hsifeat.scenes import Labels
from tests.helpers.heads import LAYOUT, NAMES, NETWORKS, quick, scores, toy

WEIGHING = [name for name in NAMES if issubclass(head_class(name), WeighingHead)]
BALANCING = [name for name in NAMES if "class_weight" in make_head(name).get_params()]

# Estimator checks that a head can't pass, with the reason; passing one of them counts as a failure.
EXCEPTIONS = {
    TorchHead: {
        "check_class_weight_classifiers": "at weights of 1e7 to 1 only one class has a gradient, and what a network "
        "predicts far from the rows of that class depends on its initial values; weights are tested below",
        "check_sample_weight_equivalence_on_dense_data": "a repeated row changes the batches; that a weight "
        "counts like repeated rows within a batch is tested in torch/test_training.py",
    },
    LightGBMClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "LightGBM bins features and fills leaves by row counts, regardless of weights",
    },
    ForestClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "the bootstrap draws rows regardless of their weights",
    },
    SVMClassifier: {
        "check_sample_weight_equivalence_on_dense_data": "the check's tolerance is below the stopping tolerance of libsvm",
    },
}


def exceptions(estimator) -> dict[str, str]:
    reasons = next((reasons for kind, reasons in EXCEPTIONS.items() if isinstance(estimator, kind)), {})
    # In the gated sum and in transformers, features pass a norm before the classifier, so rows far away are not far for it.
    transformers = (SpectralDiffClassifier, SupertokenClassifier)
    normalised = getattr(estimator, "fusion", "") == "gated" or isinstance(estimator, transformers)
    passing = {"check_class_weight_classifiers"} if normalised else set()
    if getattr(estimator, "exact_rows", None) == 0:  # a linear machine, which LIBLINEAR fits to a finer tolerance
        passing.add("check_sample_weight_equivalence_on_dense_data")
    return {check: reason for check, reason in reasons.items() if check not in passing}


# Networks pass scikit-learn's checks of accuracy after 8 epochs. Tests that ask for no accuracy need fewer.
ACCURATE, FEW, ONE_EPOCH = {"epochs": 8}, {"epochs": 3}, {"epochs": 1}
# Parameters that change the algorithm of a head.
VARIANTS = [
    quick("film", None, fusion="gated", members=1, epochs=8),
    quick("film", None, encoder="conv", members=1, epochs=5),
    quick("mlp", None, members=2, epochs=5),
    # At C = 10 the processor's rounding decides whether the check of class weights finds its 87 %.
    quick("svm", None, exact_rows=0, C=1.0),
]


# Values of a parameter with which a head that is no network can't learn, and with which it can.
BAD_THEN_GOOD = {
    # Without a layout, all columns are one group, of which one component does not separate the classes.
    "lda": {"layout": [None], "spectral_components": [1, 10]},
    "lightgbm": {"min_child_samples": [80, 3]},
    "logistic": {"max_iter": [1, 300]},
    "random-forest": {"min_samples_leaf": [80, 1]},
    "svm": {"gamma": [1e4, "scale"]},
}
# What depends on the algorithm, and asks for accuracy or does not; the other checks are of code that a variant shares with its head.
OF_ACCURACY = {"check_class_weight_classifiers", "check_classifiers_classes", "check_classifiers_train"}
OF_FITS = {
    "check_classifiers_one_label",
    "check_estimators_dtypes",
    "check_estimators_pickle",
    "check_fit2d_1feature",
    "check_fit2d_1sample",
    "check_fit_idempotent",
    "check_methods_sample_order_invariance",
    "check_methods_subset_invariance",
    "check_sample_weight_equivalence_on_dense_data",
}
# What depends on the class of a head and on its attributes.
OF_CLASSES = {
    "check_do_not_raise_errors_in_init_or_set_param",
    "check_dont_overwrite_attributes",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimators_overwrite_params",
    "check_estimators_unfitted",
    "check_get_params_invariance",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
}
# The other checks depend on how a head checks its rows and calls its algorithm, which networks share, for example.
SHARED_METHODS = (
    "fit",
    "_checked",
    "_fit_checked",
    "_fit_reduction",
    "_fit",
    "predict",
    "predict_proba",
    "decision_function",
)
_KINDS: dict[tuple[Any, ...], str] = {}
for name in NAMES:
    _KINDS.setdefault(tuple(getattr(head_class(name), method, None) for method in SHARED_METHODS), name)
OF_EACH_KIND = set(_KINDS.values())


def cases(head, is_wanted, epochs=None):
    """Yield the checks of a head whose names are wanted, with so many epochs if it is a network.

    scikit-learn trains on rows of float64 and on read-only rows of float64 and of float32; here the last are enough.
    """
    if epochs is not None and isinstance(head, TorchHead):
        head = clone(head).set_params(**epochs)
    for case in estimator_checks_generator(
        head, expected_failed_checks=exceptions(head), mark="xfail", xfail_strict=True
    ):
        _, check = getattr(case, "values", case)
        name = check.func.__name__
        if is_wanted(name) and (name != "check_classifiers_train" or "X_dtype" in check.keywords):
            yield case


def cases_of(name):
    """Yield the checks of a registered head: those that ask for accuracy, those of fits, and others, with one epoch."""
    # An ensemble is tested by the variants.
    head = quick(name, None, **({"members": 1} if name == "film" else {}))
    yield from cases(head, OF_ACCURACY.__contains__, ACCURATE)
    yield from cases(head, OF_FITS.__contains__, FEW)
    rest = OF_CLASSES.__contains__ if name not in OF_EACH_KIND else lambda check: check not in OF_ACCURACY | OF_FITS
    yield from cases(quick(name, None), rest, ONE_EPOCH)


def in_epochs(name, epochs, layout=LAYOUT, **params):
    """Return a head for fast training, a network with so many epochs."""
    return quick(name, layout, **params, **(epochs if name in NETWORKS else {}))


def case_id(value):
    """Name a head by the parameters that differ from the defaults, and a check by its name and options."""
    if isinstance(value, partial):
        return "-".join([value.func.__name__, *value.keywords])
    return re.sub(r"\s", "", str(value))


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        *chain.from_iterable(map(cases_of, NAMES)),
        *chain.from_iterable(cases(variant, OF_ACCURACY.__contains__) for variant in VARIANTS),
        *chain.from_iterable(cases(variant, OF_FITS.__contains__, FEW) for variant in VARIANTS),
    ],
    ids=case_id,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("name", NAMES)
def test_every_head_learns_separable_classes(name):
    X, y = toy(320)
    test, truth = toy(seed=1)
    assert cohen_kappa_score(truth, quick(name).fit(X, y).predict(test)) > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_bits_and_restores_the_random_state(name):
    X, y = toy()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    found = [scores(in_epochs(name, FEW).fit(X, y), X) for _ in range(2)]
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
    head = in_epochs(name, FEW)
    copy = clone(head.fit(X, y))
    assert copy.get_params() == head.get_params()
    assert not hasattr(copy, "classes_")
    np.testing.assert_array_equal(copy.fit(X, y).predict(X), head.predict(X))
    pipeline = make_pipeline(StandardScaler(), quick(name))
    assert cross_val_score(pipeline, X, y, cv=StratifiedKFold(2)).mean() > 0.85


@pytest.mark.parametrize("name", [name for name in NAMES if name not in NETWORKS or name in ("film", "mlp")])
def test_grid_search_over_spatial_folds(name):
    """Of two values of a parameter, the search selects the value with which the head learns.

    The folds keep blocks of pixels apart. Because all networks share the code for a search, two networks are enough: one uses the
    layout, and the other does not.
    """
    rows, cols = (at.ravel() for at in np.mgrid[:24, :24])
    classes = 1 + (rows // 4 + cols // 4) % 4
    X, y = toy(4 * len(rows))
    X = X[np.argsort(y, kind="stable")].reshape(4, len(rows), -1)[classes - 1, np.arange(len(rows))]
    labels = Labels("fields", classes.reshape(24, 24), {c: str(c) for c in range(1, 5)})
    table = PixelTable(X, classes, rows, cols, np.zeros(len(rows), int), LAYOUT, labels, ("fields",))
    bad_then_good = {"learning_rate": [1e-9, 1e-2]} if name in NETWORKS else BAD_THEN_GOOD[name]
    search = GridSearchCV(quick(name), bad_then_good, cv=table.cv("blocks:4+0:0.3", 2)).fit(table.X, table.y)
    assert search.best_params_ == {key: values[-1] for key, values in bad_then_good.items()}
    assert search.best_score_ > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_string_labels(name):
    X, y = toy()
    names = np.array(["corn", "oats", "soybean", "wheat"])
    head = in_epochs(name, FEW).fit(X, names[y])
    assert head.classes_.tolist() == names.tolist()
    np.testing.assert_array_equal(head.predict(X), names[in_epochs(name, FEW).fit(X, y).predict(X)])


@pytest.mark.parametrize("name", WEIGHING)
def test_a_row_of_weight_zero_counts_as_absent(name):
    X, y = toy()
    there = np.arange(len(y)) % 5 > 0
    noise = np.where(there[:, None], X, 1e3)
    weighed = in_epochs(name, FEW).fit(noise, np.where(there, y, 7), sample_weight=there.astype(float))
    alone = in_epochs(name, FEW).fit(X[there], y[there], sample_weight=np.ones(there.sum()))
    assert weighed.classes_.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(scores(weighed, X), scores(alone, X))


@pytest.mark.parametrize("name", WEIGHING)
def test_heavy_rows_outweigh_light_ones(name):
    """Each row occurs with two labels. The label with the higher weight is predicted."""
    X, y = toy(120)
    twice, labels = np.r_[X, X], np.r_[y, (y + 1) % 4]
    for heavy in (0, 1):
        weight = np.where(np.repeat([0, 1], len(y)) == heavy, 10.0, 1.0)
        found = quick(name).fit(twice, labels, sample_weight=weight).predict(X)
        assert np.mean(found == (y + heavy) % 4) > 0.8


@pytest.mark.parametrize("name", BALANCING)
def test_balanced_class_weights_raise_the_recall_of_a_rare_class(name):
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
def test_a_class_with_one_row(name):
    X, y = toy(65)
    y[0] = 9
    head = in_epochs(name, FEW).fit(X, y)
    assert head.classes_.tolist() == [0, 1, 2, 3, 9]
    assert np.isfinite(scores(head, X)).all()


@pytest.mark.parametrize("name", NAMES)
def test_values_that_differ_in_digits_that_float32_lacks_are_refused(name):
    X, y = toy()
    for shifted in (1e8 + X.astype(float), 1e-300 * X.astype(float), np.full_like(X, 0.1)):
        with pytest.raises(HeadError, match=r"are constant up to the rounding errors of float32 .* subtract the mean"):
            in_epochs(name, FEW).fit(shifted.astype(np.float32), y)


@pytest.mark.parametrize("name", NAMES)
def test_constant_columns_have_no_effect(name):
    X, y = toy()
    X[:, ::5] = 3.25
    head = in_epochs(name, FEW).fit(X, y)
    new = X.copy()
    new[:, ::5] = -1e6  # nothing was learned from them
    np.testing.assert_array_equal(head.predict(new), head.predict(X))


@pytest.mark.parametrize("name", NAMES)
def test_a_width_other_than_the_layout_s_is_refused(name):
    X, y = toy()
    message = rf"{LAYOUT.width - 1} columns but the layout describes {LAYOUT.width}"
    with pytest.raises(HeadError, match=message):
        in_epochs(name, ONE_EPOCH).fit(X[:, :-1], y)
    head = in_epochs(name, ONE_EPOCH).fit(X, y)
    with pytest.raises(HeadError, match=message):
        head.predict(X[:, :-1])


@pytest.mark.parametrize("name", NAMES)
def test_invalid_tables_are_refused(name):
    X, y = toy()
    with pytest.raises(HeadError, match="all 160 rows are of one class, 0; give at least two classes"):
        in_epochs(name, ONE_EPOCH).fit(X, np.zeros_like(y))
    with pytest.raises(HeadError, match="inconsistent numbers of samples"):
        in_epochs(name, ONE_EPOCH).fit(X, y[:-1])
    with pytest.raises(HeadError, match=r"0 sample\(s\)"):
        in_epochs(name, ONE_EPOCH).fit(X[:0], y[:0])
    head = in_epochs(name, ONE_EPOCH).fit(X, y)
    with pytest.raises(HeadError, match=r"0 sample\(s\)"):
        head.predict(X[:0])
    fill = np.where(np.arange(X.size).reshape(X.shape) == 500, -3.4028235e38, X).astype(np.float32)
    for call in (head.predict, lambda rows: in_epochs(name, ONE_EPOCH).fit(rows, y)):
        row, column = divmod(500, X.shape[1])
        with pytest.raises(
            HeadError, match=rf"-3\.40282347e\+38 in row {row} and column {column}, .* `nodata=-3\.40282347e\+38`"
        ):
            call(fill)
        for value, message in ((np.nan, "contains NaN"), (np.inf, "contains infinity"), (-np.inf, "contains infinity")):
            row, column = divmod(500, X.shape[1])
            with pytest.raises(
                HeadError, match=f"the table {message} in row {row} and column {column}, .* and 0 other"
            ):
                call(np.where(np.arange(X.size).reshape(X.shape) == 500, value, X))
        with pytest.raises(
            HeadError, match=r"found an array of shape \(160,\)\. Reshape your data: X\.reshape\(1, -1\) is"
        ):
            call(X[:, 0])
    with pytest.raises(
        HeadError, match="labels must be classes, as integers or strings: Unknown label type: continuous"
    ):
        in_epochs(name, ONE_EPOCH).fit(X, X[:, 0])


@pytest.mark.parametrize("name", WEIGHING)
def test_invalid_weights_are_refused(name):
    X, y = toy()
    for weight, message in (
        (-np.ones(160), "Negative values"),
        (np.full(160, np.nan), "NaN"),
        (np.ones(159), "sample_weight"),
        (np.zeros(160), "at least one non-zero"),
        (y == 2, "all 40 rows are of one class, 2"),
    ):
        with pytest.raises(HeadError, match=message):
            in_epochs(name, ONE_EPOCH).fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("name", NAMES)
def test_predictions_do_not_depend_on_the_other_rows(name):
    X, y = toy(300)
    head = in_epochs(name, FEW).fit(X, y)
    np.testing.assert_allclose(
        np.concatenate([scores(head, part) for part in np.split(X, 3)]), scores(head, X), atol=2e-6
    )
