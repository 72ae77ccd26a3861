"""Benchmarks import what exists. A study repeats the fits of other code, unless their first draws are the same."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from hsifeat import Scene

ROOT = Path(__file__).parents[1]
PLAIN = "def double(x):\n    return 2 * x\n"
SAME = '"""A module."""\n\ndef double(x):  # twice\n    """Double a number."""\n    return (2 * x)\n'
OTHER = "def double(x):\n    return 3 * x\n"


@pytest.fixture(autouse=True)
def _benchmarks(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])


def test_a_digest_changes_with_the_code_and_not_with_its_comments(tmp_path):
    from code_digest import code_digest

    digests = []
    for text in (PLAIN, SAME, OTHER):
        (tmp_path / "module.py").write_text(text)
        digests.append(code_digest([tmp_path / "module.py"]))
    assert digests[0] == digests[1] != digests[2]


def test_a_head_depends_on_its_base_classes_and_the_reduction_but_not_on_other_heads(monkeypatch):
    import code_digest

    sources = {}
    for head in ("lda", "film"):
        monkeypatch.setattr(code_digest, "code_digest", lambda files, head=head: sources.update({head: list(files)}))
        code_digest.head_digest(head)
    names = {head: {str(file.relative_to(ROOT / "classifiers")) for file in files} for head, files in sources.items()}
    shared = {"heads/base.py", "heads/group_reducer.py", "scene_sample.py", "reduction.py"}
    assert shared | {"heads/lda.py", "heads/sklearn_head.py"} <= names["lda"]
    assert shared | {"heads/film.py", "heads/torch/training.py"} <= names["film"]
    assert "heads/film.py" not in names["lda"] and "heads/lda.py" not in names["film"]


def test_draws_of_other_code_are_repeated():
    from worth import draws_of_code

    records, codes = {"lda": {"0": 80.0}, "svm": {"0": 70.0}}, {"lda": "today", "svm": "before"}
    assert draws_of_code(records, codes, "lda", "today") == ({"0": 80.0}, {})
    assert draws_of_code(records, codes, "svm", "today") == ({}, {"0": 70.0})
    assert draws_of_code(records, codes, "mlp", "today") == ({}, {})
    assert codes == dict.fromkeys(("lda", "svm", "mlp"), "today") and records["svm"] == {}


@pytest.mark.parametrize(
    ("scores", "others", "kept"),
    [
        pytest.param({"0": 1.0, "1": 2.0}, {"0": 1.0, "1": 2.0, "2": 3.0}, {"0": 1.0, "1": 2.0, "2": 3.0}, id="same"),
        pytest.param({"0": 1.0, "1": 2.5}, {"0": 1.0, "1": 2.0, "2": 3.0}, {"0": 1.0, "1": 2.5}, id="different"),
        pytest.param({"0": 1.0}, {"0": 1.0, "1": 2.0, "2": 3.0}, {"0": 1.0}, id="too few draws"),
        pytest.param({"0": 1.0}, {"0": 1.0}, {"0": 1.0}, id="a single draw"),
        pytest.param({"0": 1.0}, {}, {"0": 1.0}, id="no other code"),
    ],
)
def test_draws_are_kept_if_the_first_ones_are_the_same(scores, others, kept):
    from worth import keep_rechecked

    keep_rechecked(scores, others)
    assert scores == kept


def test_black_pixels_of_a_companion_image_are_data(monkeypatch, tmp_path):
    """As in an extraction of the image. Otherwise, context has no values there, and no head can be fitted."""
    import natural32

    random = np.random.default_rng(0)
    companion = random.integers(1, 255, (32, 32, 3)).astype(np.uint8)
    companion[:8, :8] = 0
    monkeypatch.setattr(natural32, "FOLDER", tmp_path)
    study = object.__new__(natural32.Study)
    study.name, study.sees_companion = "small", True
    study.scene = Scene("small", random.random((16, 16, 4), np.float32), companion=companion)
    context = study._groups[natural32.CONTEXT]
    assert len(context) == 2 + len(natural32.CONTEXT_GROUPS) + 1
    assert all(np.isfinite(columns).all() for columns in context)


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda file: file.stem)
def test_names_that_a_benchmark_imports_exist(file):
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] in {"hsifeat", "classifiers"}:
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
