"""`hsifeat heads`: list the heads (classifiers)."""

from __future__ import annotations

from hsifeat.commands.shared_options import Json


def heads(as_json: Json = False) -> None:
    """List the heads (classifiers): their method, the kinds of columns that they need or can use, and advice.

    With --json, the list also contains the parameters of each head and their defaults.

    Example: `hsifeat heads`
    """
    from classifiers.heads.registry import describe_head, head_names
    from hsifeat.commands.terminal import show_rows

    rows = [describe_head(name) for name in head_names()]
    if not as_json:
        rows = [row | {kind: ", ".join(row[kind]) for kind in ("needs", "wants")} for row in rows]
    show_rows("heads", rows, ("name", "summary", "needs", "wants", "advice"), as_json)
