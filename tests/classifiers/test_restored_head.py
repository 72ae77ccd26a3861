"""Saved heads with forged fitted state are refused before they are used, and no code in their files runs."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from classifiers.heads.registry import make_head
from classifiers.persistence import load_head, save_head
from hsifeat.errors import HeadError
from tests.helpers.forged_models import fitted_state, labelled_rows, replace_file, replace_state, save_mlp
from tests.helpers.heads import LAYOUT, quick, scores


@pytest.fixture
def model(tmp_path):
    return save_mlp(tmp_path / "model")


def test_an_array_that_states_terabytes_is_damage_and_no_lack_of_memory(model):
    bomb, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(model / "state.skops") as old, zipfile.ZipFile(bomb, "w") as new:
        for name in old.namelist():
            new.writestr(name, header.getvalue() if name.endswith(".npy") else old.read(name))
    assert sum(name.endswith(".npy") for name in new.namelist()) > 0
    replace_file(model, "state.skops", bomb.getvalue())
    with pytest.raises(HeadError, match="state.skops can't be read .* shorter than its header says"):
        load_head(model)


@pytest.mark.parametrize("change", [{"file": "gone.npy"}, {"type": "json"}, {"content": 3}], ids=str)
def test_a_state_that_skops_can_not_restore_is_one_error(model, change):
    with zipfile.ZipFile(model / "state.skops") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files["schema.json"])
    for node in schema["content"].values():
        node.update(change)
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, content in (files | {"schema.json": json.dumps(schema)}).items():
            archive.writestr(name, content)
    replace_file(model, "state.skops", changed.getvalue())
    with pytest.raises(HeadError, match="state.skops can't be restored: .*; fit the model again$"):
        load_head(model)


class Evil:
    """An object whose code runs if pickle or skops restores it."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError("code of the file was run")


@pytest.mark.parametrize("attack", ["type", "function"])
def test_a_state_with_foreign_types_is_refused(model, attack):
    evil = Evil()
    evil.x = 1
    replace_state(model, {"classes_": np.array([1]), "reducer_": evil if attack == "type" else json.loads})
    with pytest.raises(HeadError, match=r"contains types that no head uses: .*; don't trust this model"):
        load_head(model)


def test_a_state_that_would_replace_methods_is_refused(model):
    replace_state(model, {"classes_": np.array([1]), "predict": 3})
    with pytest.raises(HeadError, match="does not hold the state of a fitted head"):
        load_head(model)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        pytest.param(
            lambda nodes: nodes["left_child"].__setitem__(0, 10**6), "outside of it or in a circle", id="child"
        ),
        pytest.param(lambda nodes: nodes["right_child"].__setitem__(0, 0), "outside of it or in a circle", id="circle"),
        pytest.param(
            lambda nodes: nodes["right_child"].__setitem__(0, -9), "outside of it or in a circle", id="before"
        ),
        pytest.param(lambda nodes: nodes["feature"].__setitem__(0, 10**6), "column that is not there", id="column"),
        pytest.param(lambda nodes: nodes["feature"].__setitem__(0, -2), "column that is not there", id="no column"),
    ],
)
def test_a_tree_that_would_read_outside_its_arrays_is_refused(harm, message, tmp_path):
    """scikit-learn follows a tree's numbers unchecked, so a forged one would crash the process or read its memory."""
    X, y = labelled_rows()
    head = quick("random-forest").fit(X, y)
    save_head(head, tmp_path / "model", meta={})
    tree = head.classifier_.estimators_[3].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    harm(state["nodes"])
    tree.__setstate__(state)
    replace_state(tmp_path / "model", fitted_state(head))
    with pytest.raises(HeadError, match=f"state that fitting can't produce: .*{message}.*; don't trust this model"):
        load_head(tmp_path / "model")


def test_a_tree_without_nodes_is_refused(tmp_path):
    X, y = labelled_rows()
    save_head(quick("random-forest").fit(X, y), tmp_path / "model", meta={})
    forged = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "model" / "state.skops") as old, zipfile.ZipFile(forged, "w") as new:
        for file in old.namelist():
            text = old.read(file)
            if file == "schema.json":
                text, found = re.subn(rb'("node_count": {[^}]*"content": )"\d+"', rb'\1"0"', text)
                assert found
            new.writestr(file, text)
    replace_file(tmp_path / "model", "state.skops", forged.getvalue())
    with pytest.raises(HeadError, match="in 0 nodes; don't trust this model"):
        load_head(tmp_path / "model")


@pytest.fixture(scope="module")
def boosted(tmp_path_factory):
    X, y = labelled_rows()
    folder = tmp_path_factory.mktemp("boosted") / "model"
    save_head(quick("lightgbm").fit(X, y), folder)
    return folder


@pytest.mark.parametrize(
    ("pattern", "new", "message"),
    [
        pytest.param(r"left_child=\S+", "left_child=0", "outside of it or in a circle", id="circle"),
        pytest.param(r"left_child=\S+", "left_child=1000000", "outside of it or in a circle", id="child"),
        pytest.param(r"right_child=\S+", "right_child=-1000", "outside of it or in a circle", id="leaf"),
        pytest.param(r"split_feature=\S+", "split_feature=99999", "a column that is not there", id="column"),
        pytest.param(r"split_feature=\S+", "split_feature=-1", "a column that is not there", id="no column"),
        pytest.param(r"num_leaves=\d+", "num_leaves=1000000000", "leaves", id="leaves"),
        pytest.param(r"num_leaves=\d+", "num_leaves=-3", "leaves", id="negative leaves"),
        pytest.param(r"num_cat=0", "num_cat=5", "categorical splits", id="categories"),
        pytest.param(r"decision_type=\S+", "decision_type=1", "categorical or unknown splits", id="decision"),
        pytest.param(r"leaf_value=\S+", "leaf_value=nan", "leaf_value is not a list", id="nan"),
        pytest.param(r"leaf_value=\S+", "leaf_value=1e999", "leaf_value has a number out of range", id="infinite"),
        pytest.param(r"threshold=\S+", "threshold=0x10", "threshold is not a list", id="hexadecimal"),
        pytest.param(r"num_class=\d+", "num_class=0", "num_class is 0, not 3", id="no class"),
        pytest.param(r"num_tree_per_iteration=\d+", "num_tree_per_iteration=2", "num_tree_per_iteration", id="trees"),
        pytest.param(r"max_feature_idx=\d+", "max_feature_idx=2147483647", "max_feature_idx", id="columns"),
        pytest.param(r"objective=\S+", "objective=binary", "objective is binary", id="objective"),
        pytest.param(r"Tree=1\n", "Tree=7\n", "tree 1 has the number '7'", id="number"),
        pytest.param(r"tree_sizes=[^\n]*\n", "tree_sizes=1 1 1\n", None, id="sizes are written anew"),
        pytest.param(r"\nend of trees", "", None, id="without an end"),
    ],
)
def test_a_booster_that_would_crash_the_process_is_refused(boosted, tmp_path, pattern, new, message):
    """LightGBM's parser follows the numbers unchecked: most of these end the process by a signal, or never."""
    model = Path(shutil.copytree(boosted, tmp_path / "model"))
    X, _ = labelled_rows()
    expected = scores(load_head(boosted)[0], X)
    text, count = re.subn(pattern, new, (model / "booster.txt").read_text(), count=1)
    assert count
    replace_file(model, "booster.txt", text.encode())
    if message is None:
        with contextlib.suppress(HeadError):
            np.testing.assert_array_equal(scores(load_head(model)[0], X), expected)
        return
    with pytest.raises(HeadError, match=f"state that fitting can't produce: .*{message}.*; don't trust this model"):
        load_head(model)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("_n_support", np.array([10**9, 1, 1], np.int32)),
        ("_dual_coef_", np.zeros((1, 1))),
        ("_intercept_", np.zeros(1)),
        ("support_vectors_", np.zeros((2, 3))),
        ("_probA", np.zeros(9)),
        ("_gamma", float("nan")),
        ("classes_", np.arange(2)),
        ("kernel", "poly"),
        ("_sparse", True),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_support_vector_machine_of_other_sizes_is_refused(tmp_path, name, value):
    """libsvm reads its arrays without checking their sizes."""
    X, y = labelled_rows()
    head = make_head("svm").fit(X, y)
    save_head(head, tmp_path / "model")
    setattr(head.svc_, name, value)
    replace_state(tmp_path / "model", fitted_state(head))
    with pytest.raises(HeadError, match="state that fitting can't produce: .*; don't trust this model"):
        load_head(tmp_path / "model")


def test_another_classifier_of_scikit_learn_in_the_place_of_the_heads_is_refused(tmp_path):
    from sklearn.svm import SVC

    X, y = labelled_rows()
    head = make_head("lda", LAYOUT).fit(X, y)
    save_head(head, tmp_path / "model")
    head.classifier_ = SVC().fit(X, y)
    replace_state(tmp_path / "model", fitted_state(head))
    with pytest.raises(HeadError, match=r"contains types that no head uses: sklearn\.svm\._classes\.SVC"):
        load_head(tmp_path / "model")
