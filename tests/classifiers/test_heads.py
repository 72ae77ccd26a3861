"""Every head passes scikit-learn's own checks, and the promises that those don't know of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.utils.estimator_checks import parametrize_with_checks

from classifiers.heads.film import FiLMClassifier
from classifiers.heads.lightgbm import LightGBMClassifier
from classifiers.heads.mlp import MLPClassifier
from classifiers.heads.registry import head_names, make_head
from classifiers.heads.svm import SVMClassifier
from classifiers.heads.torch_head import TorchHead
from classifiers.heads.torch_training import Training, set_aside, train
from classifiers.layout import ColumnGroup, Layout
from hsifeat.errors import HeadError

LAYOUT = Layout(
    (ColumnGroup("spectra", 0, 8), ColumnGroup("plane", 8, 20, 50, "up"), ColumnGroup("plane", 20, 32, 100, "up"))
)
CHEAP = [
    FiLMClassifier(epochs=40),
    FiLMClassifier(encoder="conv", epochs=20),
    LightGBMClassifier(n_estimators=20, n_jobs=1),
    MLPClassifier(epochs=40),
    SVMClassifier(),
]
BUILT_IN = ["film", "lightgbm", "mlp", "svm"]


def toy(rows: int = 240, classes: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    means = np.random.default_rng(99).normal(size=(classes, LAYOUT.width))
    return (2 * means[y] + rng.normal(size=(rows, LAYOUT.width))).astype(np.float32), y


def expected_failures(estimator) -> dict[str, str]:
    if not isinstance(estimator, TorchHead):
        return {}
    return {
        "check_class_weight_classifiers": "at weights of 1e7 to 1 only one class has a gradient, and what a network "
        "says far from that class's rows is left to its initial values; that weights work is tested below"
    }


@parametrize_with_checks(CHEAP, expected_failed_checks=expected_failures)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_built_in_heads_are_registered():
    assert set(BUILT_IN) <= set(head_names())


@pytest.mark.parametrize("name", BUILT_IN)
def test_learns_a_separable_toy(name):
    X, y = toy()
    test, truth = toy(seed=1)
    head = make_head(name, LAYOUT).fit(X, y)
    assert cohen_kappa_score(truth, head.predict(test)) > 0.9


@pytest.mark.parametrize("name", BUILT_IN)
def test_learns_nothing_from_permuted_labels(name):
    X, y = toy(600)
    test, truth = toy(1200, seed=1)
    head = make_head(name, LAYOUT).fit(X, np.random.default_rng(5).permutation(y))
    assert abs(cohen_kappa_score(truth, head.predict(test))) < 0.1


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_same_seed_gives_the_same_bits_and_leaves_the_callers_random_state(name):
    X, y = toy()
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is watched
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    scores = []
    for _ in range(2):
        head = make_head(name, LAYOUT).fit(X, y)
        scores.append(head.decision_function(X) if name == "svm" else head.predict_proba(X))
    np.testing.assert_array_equal(*scores)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads
    np.testing.assert_equal(np.random.random(), np.random.RandomState(1).random())  # noqa: NPY002


@pytest.mark.parametrize("name", ["film", "mlp"])
def test_another_seed_gives_another_network(name):
    X, y = toy()
    one, two = (make_head(name, LAYOUT, random_state=s, epochs=2).fit(X, y).predict_proba(X) for s in (0, 1))
    assert np.abs(one - two).max() > 1e-3


@pytest.mark.parametrize("name", BUILT_IN)
def test_string_labels(name):
    X, y = toy()
    names = np.array(["corn", "oats", "soybean", "wheat"])
    head = make_head(name, LAYOUT).fit(X, names[y])
    assert head.classes_.tolist() == names.tolist()
    numbers = make_head(name, LAYOUT).fit(X, y)
    np.testing.assert_array_equal(head.predict(X), names[numbers.predict(X)])


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_class_of_one_row(name):
    X, y = toy(65)
    y[0] = 9
    head = make_head(name, LAYOUT).fit(X, y)
    assert head.classes_.tolist() == [0, 1, 2, 3, 9]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_width_that_does_not_fit_the_layout(name):
    X, y = toy()
    with pytest.raises(HeadError, match=r"31 columns but the layout describes 32"):
        make_head(name, LAYOUT).fit(X[:, :31], y)
    head = make_head(name, LAYOUT).fit(X, y)
    with pytest.raises(HeadError, match=r"31 columns but the layout describes 32"):
        head.predict(X[:, :31])


@pytest.mark.parametrize("name", BUILT_IN)
def test_what_is_no_table_is_refused(name):
    X, y = toy()
    with pytest.raises(HeadError, match="one class"):
        make_head(name, LAYOUT).fit(X, np.zeros_like(y))
    X[3, 3] = np.nan
    with pytest.raises(HeadError, match="NaN"):
        make_head(name, LAYOUT).fit(X, y)


@pytest.mark.parametrize("name", BUILT_IN)
def test_grid_search(name):
    X, y = toy(120)
    bad_then_good = {"svm": {"gamma": [1e4, 1.0]}, "lightgbm": {"min_child_samples": [1000, 3]}}
    params = bad_then_good.get(name, {"learning_rate": [1e-9, 1e-2]})
    extra = {"svm": {}, "lightgbm": {"n_estimators": 20}}.get(name, {"epochs": 10})
    search = GridSearchCV(make_head(name, LAYOUT, **extra), params, cv=StratifiedKFold(2)).fit(X, y)
    assert search.best_params_ == {key: values[1] for key, values in params.items()}


@pytest.mark.parametrize("name", ["film", "mlp", "lightgbm", "svm"])
def test_balanced_classes_raise_the_recall_of_a_rare_one(name):
    rng = np.random.default_rng(0)
    y = (np.arange(500) % 25 == 0).astype(int)
    X = rng.normal(size=(500, LAYOUT.width)) + 0.4 * y[:, None]
    less = {"n_estimators": 20} if name == "lightgbm" else {"C": 0.3} if name == "svm" else {"epochs": 8}
    found = [make_head(name, LAYOUT, class_weight=w, **less).fit(X, y).predict(X).sum() for w in (None, "balanced")]
    assert found[1] > found[0]


def test_a_class_of_weight_three_trains_like_its_rows_given_three_times():
    X, y = toy(60, classes=2)
    thrice = np.r_[np.arange(60), np.flatnonzero(y), np.flatnonzero(y)]
    states = []
    for rows, weight in ((np.arange(60), np.array([1.0, 3.0])), (thrice, None)):
        training = Training(30, 1000, 1e-2, 0.0, patience=9, validation_fraction=0, class_weight=weight)
        states.append(
            train(lambda: torch.nn.Linear(32, 2), (X[rows],), y[rows], training, seed=0, device=torch.device("cpu"))[0]
        )
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-3, atol=1e-4)


def test_unknown_names():
    with pytest.raises(HeadError, match="no head is named 'flim'; nearest: film"):
        make_head("flim")
    with pytest.raises(HeadError, match="head 'svm' has no parameter 'epochs'; allowed: C, class_weight, gamma"):
        make_head("svm", epochs=3)
    with pytest.raises(HeadError, match="no device is named 'gpu'; allowed: auto, cpu, cuda"):
        make_head("mlp", LAYOUT, device="gpu").fit(*toy())
    with pytest.raises(HeadError, match=r"class_weight 'even' can't be used: .* labels \[0, 1, 2, 3\]"):
        make_head("mlp", LAYOUT, class_weight="even").fit(*toy())
    with pytest.raises(HeadError, match="epochs is 0; give 1 or more"):
        make_head("mlp", LAYOUT, epochs=0).fit(*toy())


def test_the_validation_part_is_stratified_and_left_out_when_classes_are_small():
    codes = np.repeat([0, 1, 2], [400, 300, 7])
    fitted, validation = set_aside(codes, 0.1, seed=0)
    assert np.bincount(codes[validation], minlength=3).tolist() == [40, 30, 0]
    assert sorted([*fitted, *validation]) == list(range(707))
    fitted, validation = set_aside(np.repeat([0, 1, 2], 30), 0.1, seed=0)
    assert len(validation) == 0
    assert len(fitted) == 90


def test_early_stopping_stops_and_keeps_the_best_epoch():
    """Labels are noise, so the validation loss soon rises; the kept weights give the lowest one reported."""
    rng = np.random.default_rng(0)
    X, codes = rng.normal(size=(200, 30)).astype(np.float32), rng.integers(0, 2, 200)
    training = Training(200, 32, 1e-2, 0.0, patience=5, validation_fraction=0.2)

    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(30, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))

    seen = []
    weights, epochs = train(build, (X,), codes, training, seed=3, device=torch.device("cpu"), listener=seen.append)
    losses = [float(e.detail.removeprefix("validation loss ")) for e in seen if getattr(e, "detail", "")]
    assert epochs == len(losses) == int(np.argmin(losses)) + 1 + 5 < 200
    network = build()
    network.load_state_dict({k: torch.tensor(v) for k, v in weights.items()})
    held_out = set_aside(codes, 0.2, seed=3)[1]
    loss = torch.nn.functional.cross_entropy(network(torch.tensor(X[held_out])), torch.tensor(codes[held_out]))
    assert loss.item() == pytest.approx(min(losses), abs=6e-4)
