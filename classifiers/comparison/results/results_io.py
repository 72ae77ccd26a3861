"""The files of numbers beside a report: one row a run as CSV, everything but the pictures as JSON.

**CSV.** One row for each run, sorted by entry, split and seed; numbers are written so that they read back exactly, and
two comparisons of the same runs differ in the two columns of seconds alone.

====================  ===============================================================================================
``store``             name of the store; empty for features that come from the spectra alone
``features``          what the head is given, as ``--inputs`` names it, e.g. ``spectra+planes``
``head``              name of the head
``split``             the split as it was asked for, e.g. ``blocks:12+4:0.1``
``seed``              seed of the split and the head
``train_pixels``      number of training pixels
``test_pixels``       number of test pixels
``left_out``          numbers of the classes left out of the averages of this run, separated by ``;``
``oa``, ``aa``        overall accuracy and mean recall, fractions of 1
``kappa``             Cohen's kappa
``fit_seconds``       wall time of fitting
``predict_seconds``   wall time of predicting the test pixels
``recall_<class>``    recall of each class of the scene by its number; empty where the run has no test pixels of it
``f1_<class>``        F1 of each class, likewise
``pixels_<class>``    number of its test pixels, 0 where there are none
====================  ===============================================================================================

**JSON.** As `classifiers.comparison.results.schema` says field by field.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from classifiers.comparison.results.model import Comparison
from classifiers.comparison.results.run import RunResult, Summary
from classifiers.comparison.results.schema import SCHEMA_VERSION, Results
from hsifeat.errors import HsifeatError
from hsifeat.files import write_file

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("store", "features", "head", "split", "seed", "train_pixels", "test_pixels", "left_out",
            "oa", "aa", "kappa", "fit_seconds", "predict_seconds")  # fmt: skip


def to_frame(comparison: Comparison) -> pd.DataFrame:
    """Return a table with a row a run; the columns are those of the module's table."""
    import pandas as pd

    classes = sorted(c for c in comparison.class_names if c)
    rows = []
    for result in _sorted(comparison):
        facts = result.to_json()
        row = {name: facts[name] for name in _COLUMNS}
        row["left_out"] = ";".join(map(str, facts["left_out"]))
        for score, missing in (("recall", np.nan), ("f1", np.nan), ("pixels", 0)):
            known = dict(zip(facts["classes"], facts[score], strict=bool(facts[score])))
            row |= {f"{score}_{c}": known.get(c, missing) for c in classes}
        rows.append(row)
    names = [f"{score}_{c}" for score in ("recall", "f1", "pixels") for c in classes]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *names])


def write_csv(comparison: Comparison, path: Path) -> None:
    """Write one row a run to `path`; the columns are those of the module's table."""
    write_file(path, comparison.frame.to_csv(index=False, lineterminator="\n"))


def write_json(comparison: Comparison, path: Path) -> None:
    """Write everything but the pictures to `path`."""
    write_file(path, to_json(comparison))


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
        "pairs": [asdict(pair) for pair in comparison.pairs],
        "verdicts": comparison.verdicts,
        "gaps": [asdict(gap) for gap in comparison.gaps],
        "curves": [asdict(point) for point in comparison.curves],
        "mixing": [{"entry": asdict(entry), "weights": weights} for entry, weights in comparison.mixing.items()],
        "sweep": None if comparison.sweep is None else asdict(comparison.sweep),
        "changes": [asdict(change) for change in comparison.changes],
        "costs": comparison.costs,
        "provenance": comparison.provenance,
    }
    return json.dumps(document, indent=1, ensure_ascii=False, default=_plain) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; `RunResult.from_json` makes its results into values again.

    Raises
    ------
    HsifeatError
        When the file is no comparison, damaged, or of another schema version.
    """
    from pydantic import ValidationError

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
    try:
        Results.model_validate(document)
    except ValidationError as error:
        wrong = error.errors()[0]
        field = ".".join(map(str, wrong["loc"]))
        raise HsifeatError(f"{path} is no comparison that hsifeat bench wrote: {field}: {wrong['msg']}") from error
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
