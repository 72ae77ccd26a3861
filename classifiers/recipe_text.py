"""Texts on recipes: the kinds of features that a model was trained on, and where two recipes differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

_MAX_LISTED = 5
_CONTEXT, _IMPORTED, _PLANES = "context features", "imported features", "planes of a diffusion model"


def feature_kinds(recipe: Mapping[str, Any]) -> list[str]:
    """Return the kind of features of each store that a recipe describes.

    The recipe of `StackedFeatures` describes several stores.

    >>> feature_kinds({"stores": {"1": {"backbone": {"kind": "unet2d"}}, "2": {"backbone": {"kind": "context"}}}})
    ['planes of a diffusion model', 'context features']
    """
    stores = recipe["stores"].values() if "stores" in recipe else [recipe]
    kinds = {"context": _CONTEXT, "imported": _IMPORTED}
    return [kinds.get(store.get("backbone", {}).get("kind"), _PLANES) for store in stores]


def kinds_text(kinds: Sequence[str]) -> str:
    """List kinds of features. If a kind occurs several times, the number of its stores is added.

    >>> kinds_text(["context features", "planes of a diffusion model", "planes of a diffusion model"])
    'context features and planes of a diffusion model from 2 stores'
    """
    counts = Counter(kinds)
    return " and ".join(f"{kind} from {count} stores" if count > 1 else kind for kind, count in counts.items())


def kinds_advice(kinds: Sequence[str]) -> str:
    """Return advice for an error message: the stores that a model trained on features of these `kinds` needs."""
    context = "; hsifeat extract SCENE --backbone context makes context features" if _CONTEXT in kinds else ""
    wanted = "a store of such features" if len(kinds) == 1 else f"{len(kinds)} stores of one scene in this order"
    return f"name {wanted}{context}"


def difference_text(differences: Sequence[tuple[str, Any, Any]], first: str, second: str) -> str:
    """List the fields in which two recipes differ.

    If at most five fields differ, the text has their values. If more fields differ, the text begins with ``other`` and has
    no values; where several fields belong to one part of the recipe, such as ``backbone``, it names only the part.

    Parameters
    ----------
    differences : sequence of tuple
        Name of each differing field, and its value in both recipes, from `Features.differences`.
    first, second : str
        Words that follow the values of the first and of the second recipe, such as ``here`` and ``in training``.

    Examples
    --------
    >>> difference_text([("tiling.tile_px", 16, 32)], "here", "in training")
    'tiling.tile_px: 16 here, 32 in training'
    >>> difference_text([(f"backbone.{name}", 0, 1) for name in "abcdef"] + [("noise.seed", 0, 1)], "here", "in training")
    'other backbone, noise.seed'
    """
    if len(differences) <= _MAX_LISTED:
        return ", ".join(f"{field}: {str(a)[:20]} {first}, {str(b)[:20]} {second}" for field, a, b in differences)
    parts: dict[str, list[str]] = {}
    for field, *_ in differences:
        head, _, tail = field.partition(".")
        # If the recipe describes several stores, a field is named stores.N.FIELD.
        key = ".".join([head, *tail.split(".")[:2]]) if head == "stores" else head
        parts.setdefault(key, []).append(field)
    return "other " + ", ".join(fields[0] if len(fields) == 1 else part for part, fields in parts.items())
