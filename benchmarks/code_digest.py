"""Digest of the code on which the accuracy of a head depends. A study repeats its fits when the digest changes."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from pathlib import Path

import grimp

from classifiers.heads.registry import head_class

ROOT = Path(__file__).parents[1]


def head_digest(head: str, *modules: str) -> str:
    """Return a digest of the code of a head, of the code that samples a scene, and of other modules of `classifiers`.

    The digest also covers all modules of `classifiers` that these modules import, directly or indirectly. It does not cover
    the modules that read stores, because stored features have keys of their own.
    """
    graph = grimp.build_graph("classifiers", cache_dir=None)
    roots = {head_class(head).__module__, "classifiers.scene_sample", *modules}
    names = roots.union(*map(graph.find_upstream_modules, roots))
    return code_digest(_source(name) for name in sorted(names))


def code_digest(files: Iterable[Path]) -> str:
    """Return a digest of Python files. The digest does not depend on comments, docstrings or formatting."""
    digest = hashlib.sha256()
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
                ast.get_docstring(node, clean=False) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
        digest.update(f"{file.name}\0{ast.unparse(tree)}\0".encode())
    return digest.hexdigest()[:12]


def _source(module: str) -> Path:
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
