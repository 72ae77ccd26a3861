"""The files beside a report: one row a run as CSV, everything but the pictures as JSON.

**CSV.** One row for each run, sorted by entry, split and seed; numbers are written so that they read back exactly, and
two comparisons of the same runs differ in the two columns of seconds alone.

====================  ===============================================================================================
``store``             name of the store; empty for features that come from the spectra alone
``features``          ``spectra``, ``spectra+window``, ``planes`` or ``spectra+planes``
``head``              name of the head
``split``             the split as it was asked for, e.g. ``blocks:12+4:0.1``
``seed``              seed of the split and the head
``train_pixels``      number of training pixels
``test_pixels``       number of test pixels
``left_out``          numbers of the classes left out of the averages, separated by ``;``
``oa``, ``aa``        overall accuracy and mean recall, fractions of 1
``kappa``             Cohen's kappa
``fit_seconds``       wall time of fitting
``predict_seconds``   wall time of predicting the test pixels
``recall_<class>``    recall of each class of the scene by its number; empty where the run has no test pixels of it
====================  ===============================================================================================

**JSON, schema version 1.** An object of

- ``schema_version``: 1;
- ``scene``: name, rows, cols, bands, labels;
- ``class_names``, ``class_colours``: by class number, which JSON writes as text;
- ``stores``: for each its name, key, path, recipe and planes (t, layer, stride, channels, size_bytes);
- ``results``: the runs as `RunResult.to_json` writes them, sorted as in the CSV; ``confusion`` counts test pixels by
  true (outer) and predicted (inner) class in the order of ``classes``;
- ``summary``: for each entry and split ``store``, ``features``, ``head``, ``split``, ``seeds`` (how many), mean
  ``train_pixels`` and ``test_pixels``, ``left_out``, ``classes``, ``[mean, standard deviation]`` of ``oa``, ``aa``,
  ``kappa`` and of each class in ``recall``, median ``fit_seconds`` and ``predict_seconds``, summed ``confusion``;
- ``splits``: for each its name ``split``; by what heads are given, as ``spectra+planes of ip``, ``context`` in words, and
  in ``seen`` the mean share of test pixels whose context holds a training pixel; ``median_px`` and ``least_px``, the
  distance from a test pixel to the nearest training pixel; ``notes``;
- ``provenance``: command, created, versions, machine.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.comparison.results import Comparison, RunResult, Summary
from hsifeat.errors import HsifeatError
from hsifeat.files import write_whole

SCHEMA_VERSION = 1
_SCORES = ("oa", "aa", "kappa", "fit_seconds", "predict_seconds")


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write one row a run to `path`; the columns are those of the module's table."""
    classes = sorted(c for c in comparison.class_names if c)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    entry, counts = ["store", "features", "head", "split", "seed"], ["train_pixels", "test_pixels", "left_out"]
    writer.writerow([*entry, *counts, *_SCORES, *(f"recall_{c}" for c in classes)])
    for result in _sorted(comparison):
        row = result.to_json()
        recall = dict(zip(row["classes"], row["recall"], strict=True))
        left_out = ";".join(str(c) for c in row["left_out"])
        writer.writerow(
            [row[name] for name in (*entry, *counts[:2])]
            + [left_out]
            + [repr(float(row[name])) for name in _SCORES]
            + [repr(float(recall[c])) if c in recall else "" for c in classes]
        )
    write_whole(path, text.getvalue().encode())


def write_json(comparison: Comparison, path: Path) -> None:
    """Write everything but the pictures to `path`, under schema version 1."""
    write_whole(path, to_json(comparison))


def to_json(comparison: Comparison) -> str:
    """Return what `write_json` writes."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "scene": comparison.scene,
        "class_names": comparison.class_names,
        "class_colours": comparison.class_colours,
        "stores": comparison.stores,
        "results": [result.to_json() for result in _sorted(comparison)],
        "summary": [_summary(s) for s in comparison.summary],
        "splits": [asdict(drawn) for drawn in comparison.drawn],
        "provenance": comparison.provenance,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, default=_plain) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; `RunResult.from_json` makes its results into values again.

    Raises
    ------
    HsifeatError
        When the file is no comparison or of another schema version.
    """
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise HsifeatError(f"{path} can't be read as the JSON of a comparison: {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version != SCHEMA_VERSION:
        raise HsifeatError(
            f"{path} has schema version {version}; this hsifeat reads version {SCHEMA_VERSION}: "
            "give the results.json of a comparison, or make it again"
        )
    return dict(document)


def _sorted(comparison: Comparison) -> list[RunResult]:
    return sorted(comparison.results, key=lambda result: result.run)


def _summary(summary: Summary) -> dict[str, Any]:
    row = asdict(summary)
    return {**row.pop("entry"), **row}


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value)
