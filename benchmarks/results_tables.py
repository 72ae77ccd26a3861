"""Tables and headings of the page of results, in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SCENES = {"indian-pines": "Indian Pines", "houston": "Houston", "pavia-reduced": "Pavia", "landsat": "Landsat"}
FEW = ("per-class:5", "per-class:20")
CHOICE = [(scene, regime) for regime in FEW for scene in ("indian-pines", "houston", "pavia-reduced")]


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown with the cells of its head and of its lines."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def gain_text(difference: dict[str, Any]) -> str:
    """Return a mean difference in points and its interval, such as ``+0.2 [0.1, 0.4]``."""
    return f"{difference['mean']:+.1f} [{difference['low']:.1f}, {difference['high']:.1f}]"


def title(column: tuple[str, str]) -> str:
    """Return the heading of a column, such as ``Pavia, 5``."""
    scene, regime = column
    return f"{SCENES[scene]}, {regime.removeprefix('per-class:') if regime in FEW else f'`{regime}`'}"
