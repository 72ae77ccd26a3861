"""Saved heads predict the same; missing, damaged or forged files are refused, and no code in them is run."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from classifiers.heads.base import Head
from classifiers.heads.registry import make_head
from classifiers.persistence import load_head, save_head
from classifiers.state_file import import_skops
from hsifeat.errors import HeadError, HsifeatError
from hsifeat.seals import seal_json
from tests.helpers.frozen_models import FOLDER, PREDICTIONS
from tests.helpers.heads import LAYOUT, NAMES, NETWORKS, quick, scores

skops_io = import_skops()
PARAMS = [
    *((name, {}) for name in NAMES),
    ("film", {"fusion": "gated", "hidden": (16, 8)}),
    ("lightgbm", {"feature_fraction": np.float64(0.5)}),
    ("mlp", {"epochs": np.int64(3), "members": 11, "vote": "majority"}),
    ("svm", {"C": 3.0, "class_weight": {"corn": 2.0, "oats": 1.0, "wheat": 1.0}}),
    ("svm", {"exact_rows": 50, "sampled_rows": 20}),
]


def table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.array(["corn", "oats", "wheat"])[np.arange(90) % 3]
    return (rng.normal(size=(90, LAYOUT.width)) + (np.arange(90) % 3)[:, None]).astype(np.float32), y


@pytest.fixture
def model(tmp_path):
    save_head(make_head("mlp", LAYOUT, epochs=2).fit(*table()), tmp_path / "model", meta={"split": "random:0.1"})
    return tmp_path / "model"


def rewrite(model, file: str, content: bytes) -> None:
    """Change a file as someone would who knows of the digests and the seal."""
    (model / file).write_bytes(content)
    manifest = json.loads((model / "model.json").read_text())
    manifest["files"][file] = hashlib.sha256(content).hexdigest()
    (model / "model.json").write_text(seal_json(manifest, "model.json"))


@pytest.mark.parametrize("layout", [LAYOUT, None], ids=["layout", "no layout"])
@pytest.mark.parametrize(("name", "params"), PARAMS)
def test_a_loaded_head_predicts_the_same(name, params, layout, tmp_path):
    X, y = table()
    head = quick(name, layout, **{"epochs": 3} | params if name in NETWORKS else params).fit(X, y)
    save_head(head, tmp_path / "deep" / "model", meta={"store": "ip.zarr", "planes": [1, 2]})
    loaded, meta = load_head(tmp_path / "deep" / "model")
    assert type(loaded) is type(head)
    assert loaded.get_params() == head.get_params()
    assert meta == {"store": "ip.zarr", "planes": [1, 2]}
    np.testing.assert_array_equal(scores(loaded, X), scores(head, X))
    np.testing.assert_array_equal(loaded.predict(X), head.predict(X))
    assert vars(loaded).keys() == vars(head).keys()
    if layout is not None:
        with pytest.raises(HeadError, match=f"{LAYOUT.width - 1} columns but the layout describes {LAYOUT.width}"):
            loaded.predict(X[:, :-1])


def test_class_weights_of_integer_labels_round_trip(tmp_path):
    X, _ = table()
    y = np.arange(90) % 3
    save_head(make_head("svm", class_weight={0: 2.0, 1: 1.0, 2: 5}).fit(X, y), tmp_path / "model", meta={})
    assert load_head(tmp_path / "model")[0].class_weight == {0: 2.0, 1: 1.0, 2: 5}


def test_the_folder_is_readable_and_contains_no_pickle(model):
    assert sorted(p.name for p in model.iterdir()) == ["model.json", "state.skops", "weights.safetensors"]
    manifest = json.loads((model / "model.json").read_text())
    assert manifest["head"] == "mlp"
    assert manifest["classes"] == ["corn", "oats", "wheat"]
    assert manifest["layout"][2] == {"kind": "patch", "start": 16, "stop": 88, "size": 3}
    assert manifest["layout"][3] == {"kind": "plane", "start": 88, "stop": 94, "t": 50, "layer": "up"}
    assert {"python", "torch", "scikit-learn"} <= set(manifest["libraries"])
    types = skops_io.get_untrusted_types(file=model / "state.skops")
    assert [one for one in types if not one.startswith("sklearn.")] == [
        "classifiers.heads.group_reducer.GroupReducer",
        "classifiers.layout.ColumnGroup",
        "classifiers.layout.Layout",
    ]


def test_a_manifest_with_a_changed_digit_is_refused_and_one_of_version_1_is_read(model):
    text = (model / "model.json").read_text()
    (model / "model.json").write_text(text.replace('"random:0.1"', '"random:0.2"'))
    with pytest.raises(HeadError, match=r"model\.json is damaged or was edited: copy the whole folder again"):
        load_head(model)
    manifest = {key: value for key, value in json.loads(text).items() if key != "seal"}
    (model / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(HeadError, match="is damaged or was edited"):
        load_head(model)
    (model / "model.json").write_text(json.dumps(manifest | {"version": 1}))
    assert load_head(model)[1] == {"split": "random:0.1"}


@pytest.mark.parametrize("file", ["model.json", "state.skops", "weights.safetensors"])
def test_a_truncated_or_missing_file(model, file):
    content = (model / file).read_bytes()
    (model / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(HeadError, match=rf"{file} (is damaged|does not match its checksum in model.json)"):
        load_head(model)
    (model / file).unlink()
    with pytest.raises(HeadError, match=rf"{file}"):
        load_head(model)


@pytest.mark.parametrize("file", ["state.skops", "weights.safetensors"])
@pytest.mark.parametrize("content", [b"", b"PK\x05\x06", b"not what it says"])
def test_foreign_content_with_a_matching_digest_is_refused(model, file, content):
    rewrite(model, file, content)
    with pytest.raises(HeadError, match=rf"{file}"):
        load_head(model)


def test_an_array_that_states_terabytes_is_damage_and_no_lack_of_memory(model):
    bomb, header = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**13,)})
    with zipfile.ZipFile(model / "state.skops") as old, zipfile.ZipFile(bomb, "w") as new:
        for name in old.namelist():
            new.writestr(name, header.getvalue() if name.endswith(".npy") else old.read(name))
    assert sum(name.endswith(".npy") for name in new.namelist()) > 0
    rewrite(model, "state.skops", bomb.getvalue())
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
    rewrite(model, "state.skops", changed.getvalue())
    with pytest.raises(HeadError, match="state.skops can't be restored: .*; fit the model again$"):
        load_head(model)


class Evil:
    """What an attacker would have built: pickling or skops would call into it."""

    def __setstate__(self, state: object) -> None:
        raise AssertionError("code of the file was run")


@pytest.mark.parametrize("attack", ["type", "function"])
def test_a_state_with_foreign_types_is_refused(model, attack):
    evil = Evil()
    evil.x = 1
    state = {"classes_": np.array([1]), "reducer_": evil if attack == "type" else json.loads}
    rewrite(model, "state.skops", skops_io.dumps(state))
    with pytest.raises(HeadError, match=r"contains types that no head uses: .*; don't trust this model"):
        load_head(model)


def test_a_state_that_would_replace_methods_is_refused(model):
    rewrite(model, "state.skops", skops_io.dumps({"classes_": np.array([1]), "predict": 3}))
    with pytest.raises(HeadError, match="does not hold the state of a fitted head"):
        load_head(model)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("head", "os.system", "no head is named 'os.system'", id="head"),
        pytest.param("version", 3, "is of format version 3; this hsifeat reads the versions 1 and 2", id="version"),
        pytest.param("format", "other", "does not belong to a model of hsifeat", id="format"),
        pytest.param("files", {"../../secret": "0"}, "which is not a model file", id="file outside"),
        pytest.param("params", {"depth": 3}, "head 'mlp' has no parameter 'depth'", id="parameter"),
        pytest.param("layout", [{"kind": "plane"}], "is damaged", id="layout"),
    ],
)
def test_a_forged_manifest_is_refused(model, key, value, message):
    manifest = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(seal_json(manifest | {key: value}, "model.json"))
    with pytest.raises(HeadError, match=message):
        load_head(model)


def test_a_model_is_replaced_only_by_a_complete_one(model, monkeypatch):
    X, y = table()
    before = {p.name: p.read_bytes() for p in model.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(HsifeatError, match="no space left"):
            save_head(make_head("svm").fit(X, y), model, meta={})
    assert {p.name: p.read_bytes() for p in model.iterdir()} == before
    save_head(make_head("svm").fit(X, y), model, meta={})
    assert sorted(p.name for p in model.iterdir()) == ["model.json", "state.skops"]
    assert [p.name for p in model.parent.iterdir()] == ["model"]


def test_heads_and_folders_that_cannot_be_saved(tmp_path):
    X, y = table()
    head = make_head("svm").fit(X, y)
    (tmp_path / "thesis").mkdir()
    with pytest.raises(HeadError, match="exists and is not a model"):
        save_head(head, tmp_path / "thesis", meta={})
    with pytest.raises(HeadError, match="the svm head is not fitted"):
        save_head(make_head("svm"), tmp_path / "model", meta={})
    with pytest.raises(HeadError, match="can't be written as JSON"):
        save_head(head, tmp_path / "model", meta={"split": object()})
    seeded = make_head("mlp", epochs=1, random_state=np.random.RandomState(0)).fit(X, y)
    with pytest.raises(HeadError, match=r"can't be written as JSON: .*RandomState"):
        save_head(seeded, tmp_path / "model", meta={})
    head.note, head._cache = 1, 2
    with pytest.raises(HeadError, match="the svm head has the attributes note, _cache, which are neither"):
        save_head(head, tmp_path / "model", meta={})
    assert not (tmp_path / "model").exists()

    class Home(Head):
        pass

    with pytest.raises(HeadError, match="is not a registered head"):
        save_head(Home(), tmp_path / "model", meta={})
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]
    with pytest.raises(HeadError, match=r"is not a model: it has no model\.json"):
        load_head(tmp_path / "thesis")


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
    X, y = table()
    head = quick("random-forest").fit(X, y)
    save_head(head, tmp_path / "model", meta={})
    tree = head.classifier_.estimators_[3].tree_
    state = tree.__getstate__()
    state["nodes"] = state["nodes"].copy()
    harm(state["nodes"])
    tree.__setstate__(state)
    fitted = {key: value for key, value in vars(head).items() if key not in head.get_params()}
    rewrite(tmp_path / "model", "state.skops", skops_io.dumps(fitted))
    with pytest.raises(HeadError, match=f"state that fitting can't produce: .*{message}.*; don't trust this model"):
        load_head(tmp_path / "model")


def test_a_tree_without_nodes_is_refused(tmp_path):
    X, y = table()
    save_head(quick("random-forest").fit(X, y), tmp_path / "model", meta={})
    forged = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "model" / "state.skops") as old, zipfile.ZipFile(forged, "w") as new:
        for file in old.namelist():
            text = old.read(file)
            if file == "schema.json":
                text, found = re.subn(rb'("node_count": {[^}]*"content": )"\d+"', rb'\1"0"', text)
                assert found
            new.writestr(file, text)
    rewrite(tmp_path / "model", "state.skops", forged.getvalue())
    with pytest.raises(HeadError, match="in 0 nodes; don't trust this model"):
        load_head(tmp_path / "model")


def test_a_forest_of_many_rows_stays_small():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6000, LAYOUT.width)).astype(np.float32), rng.integers(0, 5, 6000)
    head = quick("random-forest", n_estimators=5, max_leaf_nodes=64).fit(X, y)
    assert max(tree.tree_.node_count for tree in head.classifier_.estimators_) == 127


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_model_predicts_as_when_it_was_saved(name):
    """The folder was written once, by `tests.helpers.frozen_models`; later versions must still open it."""
    frozen = json.loads(PREDICTIONS.read_text())
    head, meta = load_head(FOLDER / name)
    X = np.array(frozen["rows"], np.float32)
    assert meta == {"split": "random:0.1"}
    assert head.predict(X).tolist() == frozen["predictions"][name]["labels"]
    np.testing.assert_allclose(scores(head, X), frozen["predictions"][name]["scores"], rtol=1e-5, atol=1e-7)


@pytest.fixture(scope="module")
def boosted(tmp_path_factory):
    X, y = table()
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
    X, _ = table()
    expected = scores(load_head(boosted)[0], X)
    text, count = re.subn(pattern, new, (model / "booster.txt").read_text(), count=1)
    assert count
    rewrite(model, "booster.txt", text.encode())
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
    X, y = table()
    head = make_head("svm").fit(X, y)
    save_head(head, tmp_path / "model")
    setattr(head.svc_, name, value)
    fitted = {key: value for key, value in vars(head).items() if key not in head.get_params()}
    rewrite(tmp_path / "model", "state.skops", skops_io.dumps(fitted))
    with pytest.raises(HeadError, match="state that fitting can't produce: .*; don't trust this model"):
        load_head(tmp_path / "model")


def test_another_classifier_of_scikit_learn_in_the_place_of_the_heads_is_refused(tmp_path):
    from sklearn.svm import SVC

    X, y = table()
    head = make_head("lda", LAYOUT).fit(X, y)
    save_head(head, tmp_path / "model")
    head.classifier_ = SVC().fit(X, y)
    fitted = {key: value for key, value in vars(head).items() if key not in head.get_params()}
    rewrite(tmp_path / "model", "state.skops", skops_io.dumps(fitted))
    with pytest.raises(HeadError, match=r"contains types that no head uses: sklearn\.svm\._classes\.SVC"):
        load_head(tmp_path / "model")


def test_a_replacement_that_was_killed_between_its_renames_loses_no_model(model, monkeypatch):
    """The old model is under a hidden name then; the next load or save gives it back, and deletes what is left."""
    X, y = table()
    before = {p.name: p.read_bytes() for p in model.iterdir()}

    class Killed(BaseException):
        pass

    def killed(self, target, plain=Path.rename):
        if self.suffix == ".new":
            raise Killed
        return plain(self, target)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", killed)
        with pytest.raises(Killed):
            save_head(make_head("svm").fit(X, y), model)
    assert not model.exists()
    assert load_head(model)[1] == {"split": "random:0.1"}
    assert {p.name: p.read_bytes() for p in model.iterdir()} == before
