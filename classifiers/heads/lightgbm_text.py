"""Check a model in LightGBM's text format before LightGBM reads it.

LightGBM does not check the numbers in the text, so a hostile text can crash the process or cause an endless loop. This
module therefore parses the text, checks the bounds of all numbers, and writes a new text from the numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

_HEADER = ("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective")
_INTEGER = re.compile(r"-?[0-9]{1,10}")
_NUMBER = re.compile(r"-?[0-9]{1,400}(\.[0-9]{1,400})?(e[-+]?[0-9]{1,3})?")
_WORDS = re.compile(r"[\w.:+\-\[\] ]*", re.ASCII)
# Bits of `decision_type`: 1 for a categorical split, 2 for "missing values go left", 4 and 8 for the kind of missing values.
_DECISION_TYPES = frozenset({0, 2, 4, 6, 8, 10})
# Types of the fields of a tree that have one value per split, then of the fields that have one value per leaf. A tree has
# one split fewer than leaves.
_SPLITS = {"split_feature": int, "split_gain": float, "threshold": float, "decision_type": int, "left_child": int,
           "right_child": int, "internal_value": float, "internal_weight": float, "internal_count": int}  # fmt: skip
_LEAVES = {"leaf_value": float, "leaf_weight": float, "leaf_count": int}
_ORDER = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child", "leaf_value",
          "leaf_weight", "leaf_count", "internal_value", "internal_weight", "internal_count")  # fmt: skip


def checked_text(text: str, columns: int, classes: int) -> str:
    """Check all numbers in the text of a fitted booster, and return a new text with the same trees.

    Parameters
    ----------
    text : str
        Text from `lightgbm.Booster.model_to_string`, possibly from an untrusted source.
    columns : int
        Number of columns of the training table.
    classes : int
        Number of classes.

    Returns
    -------
    str
        The header and the trees, without the training parameters, which a prediction does not use.

    Raises
    ------
    ValueError
        If a field is missing or repeated. If a field does not belong to a model of numeric columns and several classes.
        If a number is out of bounds.
    """
    head, *blocks = text.partition("\nend of trees")[0].split("\nTree=")
    header = _header(head, columns, classes)
    if len(blocks) % classes or not blocks:
        raise ValueError(f"there are {len(blocks)} trees for {classes} classes")
    trees = [_tree(number, block, columns) for number, block in enumerate(blocks)]
    sizes = " ".join(str(len(tree)) for tree in trees)
    return "\n".join([*header, f"tree_sizes={sizes}", "", ""]) + "".join(trees) + "end of trees\n"


def _header(text: str, columns: int, classes: int) -> Iterator[str]:
    lines = text.split("\n")
    fields = _fields(lines[1:])
    expected = {
        "num_class": str(classes),
        "num_tree_per_iteration": str(classes),
        "label_index": "0",
        "max_feature_idx": str(columns - 1),
        "objective": f"multiclass num_class:{classes}",
    }
    if lines[0] != "tree" or not re.fullmatch(r"v[0-9]", fields.get("version", "")):
        raise ValueError("the text does not begin like a LightGBM model")
    for name, value in expected.items():
        if fields.get(name) != value:
            raise ValueError(f"{name} is {fields.get(name, 'missing')[:40]}, not {value}")
    yield "tree"
    yield from (f"{name}={fields[name]}" for name in _HEADER)
    for name in ("feature_names", "feature_infos"):
        words = fields.get(name, "").split(" ")
        if len(words) != columns or not _WORDS.fullmatch(fields.get(name, "")):
            raise ValueError(f"{name} has {len(words)} entries for {columns} columns, or foreign characters")
        yield f"{name}={' '.join(words)}"


def _tree(number: int, text: str, columns: int) -> str:
    """Check the numbers of one tree, and return a new text of the tree."""
    lines = text.split("\n")
    fields = _fields(lines[1:])
    leaves = _numbers(fields, "num_leaves", int, 1)[0]
    if lines[0] != str(number) or not 1 <= leaves <= len(text):
        raise ValueError(f"tree {number} has the number {lines[0][:20]!r} and {leaves} leaves")
    if fields.get("num_cat") != "0" or fields.get("is_linear", "0") != "0":
        raise ValueError(f"tree {number} has categorical splits or linear leaves, which no head fits")
    values = {name: _numbers(fields, name, kind, leaves - 1) for name, kind in _SPLITS.items()}
    # LightGBM writes no weights and counts for a single leaf.
    leaf_fields = [*_LEAVES][: None if leaves > 1 else 1]
    values |= {name: _numbers(fields, name, _LEAVES[name], leaves) for name in leaf_fields}
    _check_links(number, leaves, columns, values)
    shrinkage = _numbers(fields, "shrinkage", float, 1)
    rows = [f"{name}={' '.join(map(repr, values[name]))}" for name in _ORDER if name in values]
    return "\n".join(
        [
            f"Tree={number}",
            f"num_leaves={leaves}",
            "num_cat=0",
            *rows,
            "is_linear=0",
            f"shrinkage={shrinkage[0]!r}",
            "",
            "",
            "",
        ]
    )


def _check_links(number: int, leaves: int, columns: int, values: dict[str, list[Any]]) -> None:
    """Check that each leaf and each split except the root has exactly one parent, and that split columns exist."""
    for split, (left, right) in enumerate(zip(values["left_child"], values["right_child"], strict=True)):
        for child in (left, right):
            if not (-leaves <= child < 0 or split < child < leaves - 1):
                raise ValueError(f"the branches of tree {number} lead outside of it or in a circle")
    children = [*values["left_child"], *values["right_child"]]
    if leaves > 1 and len(set(children)) != len(children):
        raise ValueError(f"two branches of tree {number} meet")
    if any(not 0 <= column < columns for column in values["split_feature"]):
        raise ValueError(f"tree {number} splits on a column that is not there")
    if not set(values["decision_type"]) <= _DECISION_TYPES:
        raise ValueError(f"tree {number} has categorical or unknown splits")


def _fields(lines: list[str]) -> dict[str, str]:
    fields = {}
    for line in filter(None, lines):
        name, equals, value = line.partition("=")
        if not equals or name in fields:
            raise ValueError(f"the line {line[:40]!r} is not LightGBM's, or repeated")
        fields[name] = value
    return fields


def _numbers(fields: dict[str, str], name: str, kind: Callable[[str], Any], count: int) -> list[Any]:
    words = fields.get(name, "").split()
    pattern = _INTEGER if kind is int else _NUMBER
    if len(words) != count or not all(map(pattern.fullmatch, words)):
        raise ValueError(f"{name} is not a list of {count} numbers")
    numbers = [kind(word) for word in words]
    if not all(map(math.isfinite, numbers)) or (kind is int and any(abs(value) >= 2**31 for value in numbers)):
        raise ValueError(f"{name} has a number out of range")
    return numbers
