"""Saved heads predict the same, are replaced only as a whole, and are refused if a file is missing or damaged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from classifiers.heads.base import Head
from classifiers.heads.registry import make_head
from classifiers.persistence import load_head, save_head
from classifiers.state_file import import_skops
from hsifeat.errors import HeadError, HsifeatError
from hsifeat.files import write_file
from hsifeat.seals import seal_json
from tests.helpers.forged_models import labelled_rows, replace_file, save_mlp
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


@pytest.fixture
def model(tmp_path):
    return save_mlp(tmp_path / "model")


@pytest.mark.parametrize("layout", [LAYOUT, None], ids=["layout", "no layout"])
@pytest.mark.parametrize(("name", "params"), PARAMS)
def test_a_loaded_head_predicts_the_same(name, params, layout, tmp_path):
    X, y = labelled_rows()
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


@pytest.mark.parametrize(
    "labels",
    [
        pd.Series(["corn", "oat"] * 20), pd.Series(["corn", "oat"] * 20, dtype="string"),
        pd.Series(["corn", "oat"] * 20, dtype="category"), np.array(["corn", "oat"] * 20, object),
        pd.Series([4, 7] * 20, dtype="Int64"), np.array([4, 7] * 20, object),
    ],
    ids=["names", "strings", "categories", "objects", "nullable", "numbers"],
)  # fmt: skip
def test_a_head_that_was_fitted_to_a_column_of_pandas_is_loaded_again(tmp_path, labels):
    """The saved head was refused, with the advice not to trust it."""
    X = np.random.default_rng(0).normal(size=(40, 3)) + np.tile([[0.0], [9.0]], (20, 1))
    head = make_head("lda").fit(X, labels)
    save_head(head, tmp_path / "m")
    loaded, _ = load_head(tmp_path / "m")
    assert loaded.predict(X).tolist() == list(labels)


def test_class_weights_of_integer_labels_round_trip(tmp_path):
    X, _ = labelled_rows()
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


def test_a_manifest_with_a_changed_digit_or_without_a_seal_is_refused(model):
    text = (model / "model.json").read_text()
    (model / "model.json").write_text(text.replace('"random:0.1"', '"random:0.2"'))
    with pytest.raises(HeadError, match=r"model\.json is damaged or was edited: copy the whole folder again"):
        load_head(model)
    manifest = {key: value for key, value in json.loads(text).items() if key != "seal"}
    (model / "model.json").write_text(json.dumps(manifest))
    with pytest.raises(HeadError, match="is damaged or was edited"):
        load_head(model)


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
    replace_file(model, file, content)
    with pytest.raises(HeadError, match=rf"{file}"):
        load_head(model)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        pytest.param("head", "os.system", "no head is named 'os.system'", id="head"),
        pytest.param(
            "version",
            3,
            "is of format version 3; this hsifeat reads version 1: use the release that wrote it",
            id="version",
        ),
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
    X, y = labelled_rows()
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
    X, y = labelled_rows()
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


@pytest.mark.parametrize("linked", [True, False], ids=["link", "folder"])
@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_other_files_in_the_folder_of_a_model_are_kept(model, tmp_path, monkeypatch, linked, links):
    (model / "maps").mkdir()
    (model / "maps" / "a.txt").write_text("a map")
    (model / "notes.txt").write_text("notes")
    (model / "latest").symlink_to("maps/a.txt")
    (model / "state.skops").touch()
    target = tmp_path / "current"
    target.symlink_to(model, target_is_directory=True)
    if not links:
        monkeypatch.setattr("classifiers.persistence.os.link", lambda *_, **__: Path("/nowhere").stat())
    head = make_head("lda").fit([[0.0], [0.1], [5.0], [5.1]], [1, 1, 2, 2])
    save_head(head, target if linked else model)
    assert target.is_symlink() and load_head(target)[0].predict([[4.9]]).tolist() == [2]
    files = {str(path.relative_to(model)) for path in model.rglob("*")}
    assert files == {"model.json", "state.skops", "notes.txt", "maps", "maps/a.txt", "latest"}
    assert (model / "notes.txt").read_text() == "notes" and (model / "latest").readlink() == Path("maps/a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "model"]


def test_a_replacement_that_was_killed_between_its_renames_loses_no_model(model, monkeypatch):
    """The old model is under a hidden name then; the next load gives it back, also after other writes into the folder."""
    X, y = labelled_rows()
    before = {p.name: p.read_bytes() for p in model.iterdir()}

    class Killed(BaseException):
        pass

    def killed(self, target, plain=Path.rename):
        if self.suffix == ".new":
            raise Killed
        return plain(self, target)

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", killed)
        patch.setattr("os.getpid", lambda: 2**22 + 7)  # larger than any process number
        with pytest.raises(Killed):
            save_head(make_head("svm").fit(X, y), model)
    assert not model.exists()
    save_head(make_head("svm").fit(X, y), model.with_name("other"))
    write_file(model.with_name("notes.txt"), "")
    assert load_head(model)[1] == {"split": "random:0.1"}
    assert {p.name: p.read_bytes() for p in model.iterdir()} == before
