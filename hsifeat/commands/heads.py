"""`hsifeat heads`: list the classifiers."""

from __future__ import annotations

from hsifeat.commands.shared_options import Json


def heads(as_json: Json = False) -> None:
    """List the heads: name, method, the kinds of columns that each needs or can use, and when to choose it.

    With --json also their parameters and defaults.

    Example: `hsifeat heads`
    """
    from classifiers.heads.registry import describe_head, head_names
    from hsifeat.commands.terminal import show_rows

    rows = [describe_head(name) for name in head_names()]
    if not as_json:
        rows = [row | {kind: ", ".join(row[kind]) for kind in ("needs", "wants")} for row in rows]
    show_rows("heads", rows, ("name", "summary", "needs", "wants", "advice"), as_json)
