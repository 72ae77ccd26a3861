"""Parameter values are checked against the declared types, with messages that say what is allowed."""

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid
from sklearn.tree import DecisionTreeClassifier

from classifiers import ForestClassifier, LightGBMClassifier, LogisticClassifier, SVMClassifier
from classifiers.heads.parameters import check_params, format_value
from classifiers.heads.registry import head_class, make_head
from classifiers.heads.weighing import WeighingHead
from hsifeat.commands.option_types import value_of
from hsifeat.errors import HeadError
from tests.helpers.heads import NAMES, quick, toy

WIDTHS = "a list of numbers, such as 64,32, each a whole number from 1 to 65536"


@pytest.mark.parametrize("name", NAMES)
def test_defaults_and_search_spaces_are_allowed(name):
    defaults = head_class(name)().get_params(deep=False)
    assert make_head(name, **defaults).get_params(deep=False) == defaults
    for candidate in ParameterGrid(head_class(name).search_space):
        make_head(name, **candidate)
    for value in defaults.values():  # what messages say of a default is read back as that
        assert value_of(format_value(value)) == value


@pytest.mark.parametrize(
    ("name", "param", "value"),
    [
        ("mlp", "hidden", (64,)),
        ("film", "hidden", None),
        ("mlp", "epochs", np.int64(3)),
        ("mlp", "learning_rate", 1),
        ("lightgbm", "feature_fraction", np.float64(0.5)),
        ("random-forest", "max_features", 3),
        ("svm", "gamma", "auto"),
        ("svm", "class_weight", {1: 2, 2: 0.5}),
        ("svm", "class_weight", "balanced"),
        ("svm", "random_state", None),
        ("mlp", "random_state", np.random.RandomState(3)),
    ],
)
def test_allowed_values(name, param, value):
    assert getattr(make_head(name, **{param: value}), param) is value


def test_lists_become_tuples():
    assert make_head("mlp", hidden=[64, 32]).hidden == (64, 32)


@pytest.mark.parametrize(
    ("name", "param", "value", "message"),
    [
        ("mlp", "hidden", 64, f"hidden of the head mlp is 64; allowed: {WIDTHS}; the default is hidden=128,32"),
        ("mlp", "hidden", (64, 0), f"hidden of the head mlp is (64, 0); allowed: {WIDTHS};"),
        ("film", "hidden", "wide", f"hidden of the head film is 'wide'; allowed: {WIDTHS}, or none; the default is hidden=none"),
        ("mlp", "epochs", "ten", "epochs of the head mlp is 'ten'; allowed: a whole number from 1 to 100000; the default is epochs=60"),
        ("mlp", "epochs", 2.5, "epochs of the head mlp is 2.5; allowed: a whole number from 1 to 100000;"),
        ("mlp", "epochs", True, "epochs of the head mlp is True; allowed: a whole number from 1 to 100000;"),
        ("mlp", "epochs", 0, "epochs of the head mlp is 0; allowed: a whole number from 1 to 100000;"),
        ("film", "batch_size", 1, "batch_size of the head film is 1; allowed: a whole number from 2 to 1000000; the default is batch_size="),
        ("mlp", "patience", -1, "patience of the head mlp is -1; allowed: a whole number from 1 to 100000; the default is patience="),
        ("mlp", "validation_fraction", 1, "validation_fraction of the head mlp is 1; allowed: a number from 0 below 1, or none; the default is"),
        ("mlp", "validation_fraction", float("nan"), "is nan; allowed: a number from 0 below 1, or none;"),
        ("mlp", "learning_rate", 0, "learning_rate of the head mlp is 0; allowed: a number from 1e-09 to 1000000000; the default is learning_rate=0.003"),
        ("svm", "C", float("nan"), "C of the head svm is nan; allowed: a number from 1e-09 to 1000000000; the default is C=10.0"),
        ("svm", "plane_components", "all", "is 'all'; allowed: a whole number from 1 to 1000000, or none; the default is plane_components=50"),
        ("svm", "class_weight", "foo", "class_weight of the head svm is 'foo'; allowed: weights by label such as {"),
        ("svm", "random_state", -1, "is -1; allowed: a whole number from 0 below 4294967296, or RandomState, or none;"),
        ("svm", "spectral_weight", 1e300, "spectral_weight of the head svm is 1e+300; allowed: a number from 0 to 1000000; the default is"),
        ("svm", "class_weight", {"1": 1e300}, "allowed: weights by label such as {"),
        ("lda", "shrinkage", 2, "shrinkage of the head lda is 2; allowed: a number from 0 to 1, or auto;"),
        ("random-forest", "max_features", 1.5, "allowed: a whole number from 1 to 1000000, or a number from 1e-06 to 1, or sqrt, or log2, or none;"),
    ],
)  # fmt: skip
def test_values_that_are_not_allowed_are_refused(name, param, value, message):
    with pytest.raises(HeadError) as refused:
        make_head(name, **{param: value})
    assert message in str(refused.value)


def test_heads_of_other_packages_may_declare_any_types():
    class Theirs:
        def __init__(self, depth=3, kernel: "np.ndarray | None" = None):
            pass

    class Unresolved:
        def __init__(self, depth: "OnlyForTypeCheckers"):  # noqa: F821 - what it is about
            pass

    check_params("theirs", Theirs, {"depth": "any", "kernel": np.eye(2)})
    check_params("unresolved", Unresolved, {"depth": "any"})
    with pytest.raises(HeadError, match=r"kernel of the head theirs is 3; allowed: ndarray, or none"):
        check_params("theirs", Theirs, {"kernel": 3})


@pytest.mark.parametrize(
    ("param", "value"),
    [("epochs", "3"), ("epochs", 0), ("batch_size", -1), ("patience", float("nan")), ("validation_fraction", "3")],
)
def test_fit_refuses_what_a_constructor_took(param, value):
    """scikit-learn's constructors check nothing; its own estimators refuse such values in `fit`."""
    head = head_class("mlp")(**{param: value})
    assert getattr(head, param) is value
    with pytest.raises(HeadError, match=rf"{param} of the head MLPClassifier is .*; allowed: a (whole )?number from"):
        head.fit(np.eye(4), [1, 1, 2, 2])


@pytest.mark.parametrize("name", NAMES)
def test_odd_values_of_every_parameter_are_refused(name):
    """No value of a command line that is not a number of a usual size reaches a fit, which would not end or be ignored."""
    texts = ["nan", "inf", "-inf", "1e18", "1e300", str(10**18), "text", ""]
    for param, default in head_class(name)().get_params(deep=False).items():
        values = map(value_of, texts if default is None or not isinstance(default, str) else texts[:-2])
        for value in values if param != "layout" else ():
            with pytest.raises(HeadError, match=f"{param} of the head {name} is .*; allowed: "):
                make_head(name, **{param: value})


@pytest.mark.parametrize(("name", "param"), [("lightgbm", "min_child_samples"), ("random-forest", "min_samples_leaf")])
def test_leaves_of_more_than_half_of_the_rows_are_refused(name, param):
    X, y = toy(40)
    quick(name, **{param: 20}).fit(X, y)
    with pytest.raises(HeadError, match=f"{param} is 21, but no tree can divide 40 training rows .* at most 20"):
        quick(name, **{param: 21}).fit(X, y)
    tree = DecisionTreeClassifier(min_samples_leaf=21).fit(X, y)  # scikit-learn accepts it, and learns nothing
    assert tree.get_n_leaves() == 1


@pytest.mark.parametrize("name", [name for name in NAMES if issubclass(head_class(name), WeighingHead)])
def test_class_weights_leave_two_classes(name):
    X, y = toy(40)
    for weights in (dict.fromkeys(range(4), 0), {0: 1, 1: 0, 2: 0, 3: 0}):
        with pytest.raises(HeadError, match="leaves fewer than two classes: give at least two a weight above 0"):
            quick(name, class_weight=weights).fit(X, y)


def test_values_of_the_constructor_are_checked_when_a_head_is_fitted():
    """As in scikit-learn, the constructor accepts any value."""
    X, y = toy()
    for head in (
        LightGBMClassifier(num_leaves=1), LightGBMClassifier(feature_fraction=0.0), SVMClassifier(whitening=2.0),
        ForestClassifier(n_estimators=0), LogisticClassifier().set_params(C=0.0),
    ):  # fmt: skip
        with pytest.raises(HeadError, match=rf"of the head {type(head).__name__} is .*; allowed: .*; the default is"):
            head.fit(X, y)
