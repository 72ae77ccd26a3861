"""The files of a comparison: results.csv, report.html and, last, results.json, which vouches for the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from classifiers.comparison.report import write_report
from classifiers.comparison.results import Comparison
from classifiers.comparison.tables import read_json, to_json, write_csv, write_json
from hsifeat.errors import HsifeatError

CSV, JSON, PAGE = "results.csv", "results.json", "report.html"


def write_files(comparison: Comparison, folder: Path) -> bool:
    """Write a comparison's files, unless those that are there say the same already.

    Returns
    -------
    bool
        Whether anything was written.
    """
    if (folder / CSV).exists() and (folder / PAGE).exists() and _says_the_same(comparison, folder / JSON):
        return False
    (folder / JSON).unlink(missing_ok=True)
    write_csv(comparison, folder / CSV)
    write_report(comparison, folder / PAGE)
    write_json(comparison, folder / JSON)
    return True


def _says_the_same(comparison: Comparison, path: Path) -> bool:
    try:
        there = read_json(path)
    except HsifeatError:
        return False
    return _timeless(there) == _timeless(json.loads(to_json(comparison)))


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "provenance": {k: v for k, v in document["provenance"].items() if k != "created"}}
