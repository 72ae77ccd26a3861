"""Convert results to a data frame with one row per run, write them as CSV or JSON, and read them from JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ValidationError

from classifiers.comparison.results.base_records import JsonOnly, Record
from classifiers.comparison.results.bench_results import SCHEMA_VERSION, BenchResults
from classifiers.comparison.results.scores import RunResult
from hsifeat.errors import HsifeatError, error_summary
from hsifeat.files import write_file
from hsifeat.formatting import escape_formula, printable
from hsifeat.seals import open_json, seal_json

if TYPE_CHECKING:
    import pandas as pd

_SEAL_NAME = "results.json"


def to_frame(results: BenchResults) -> pd.DataFrame:
    """Return a data frame with one row per run, sorted by entry, split and seed.

    The columns are the fields of `RunResult`. Each field of the entry and each metric has its own column. A metric with
    one value per class has a column ``<metric>_<class>`` for every class of the label map. For a class without test
    pixels, scores are NaN and the number of pixels is 0. If there are several scenes, each scene has its own columns of
    scores, such as ``oa_in_<scene>``. Tuples of numbers become text, separated by ``;``.
    """
    import pandas as pd

    classes = sorted(number for number in results.class_names if number)
    scalars, by_class = [], []
    for run in sorted_runs(results.runs):
        cells = _cells(run)
        scalars.append({name: value for name, value in cells.items() if not isinstance(value, dict)})
        by_class.append({
            f"{name}_{number}": value.get(number, 0 if name == "pixels" else np.nan)
            for name, value in cells.items()
            if isinstance(value, dict)
            for number in classes
        })  # fmt: skip
    return pd.DataFrame([{**row, **more} for row, more in zip(scalars, by_class, strict=True)])


def _cells(record: Record) -> dict[str, Any]:
    """Return the cells of a row of `to_frame`, by column name.

    A cell with one value for each class is a dictionary that maps the class number to the value.
    """
    cells: dict[str, Any] = {}
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        if any(isinstance(item, JsonOnly) for item in field.metadata):
            continue
        if name == "scenes":
            for score in value:
                cells[f"test_pixels_in_{printable(score.scene)}"] = score.test_pixels
                cells |= {f"{key}_in_{printable(score.scene)}": number for key, number in score.scores.items()}
        elif isinstance(value, BaseModel):
            cells |= _cells(value)  # type: ignore[arg-type]  # all nested models are records
        elif isinstance(value, tuple):
            cells[name] = ";".join(map(str, value))
        elif isinstance(value, dict) and name != "pixels":
            # JSON has one type of numbers, so counts that were read from it are floats.
            cells |= {
                key: int(one) if key.startswith("test_pixels") and np.isfinite(one) else one
                for key, one in value.items()
            }
        else:
            cells[name] = np.nan if value is None else value
    return cells


def sorted_runs(runs: tuple[RunResult, ...]) -> list[RunResult]:
    """Sort runs by store, input, head, split and seed."""
    return sorted(runs, key=lambda run: (run.entry.store, run.entry.inputs, run.entry.head, run.split, run.seed))


def write_csv(results: BenchResults, path: Path) -> None:
    """Write the data frame of `to_frame` as CSV, with numbers at full precision.

    Text that a spreadsheet would take for a formula is escaped.
    """
    frame = to_frame(results).map(lambda cell: escape_formula(cell) if isinstance(cell, str) else cell)
    write_file(path, frame.to_csv(index=False, lineterminator="\n"))


def write_json(results: BenchResults, path: Path) -> None:
    """Write results as JSON, without images."""
    write_file(path, seal_json(json.loads(results.model_dump_json()), _SEAL_NAME) + "\n")


def read_json(path: Path) -> BenchResults:
    """Read results from a file written by `write_json`.

    Raises
    ------
    HsifeatError
        If the file is unreadable or damaged. If the file has another schema version or does not match the schema.
    """
    document = open_json(path, _SEAL_NAME, advice="give an undamaged results.json of a report", required=False)
    version = document.get("schema_version")
    if version != SCHEMA_VERSION:
        raise HsifeatError(
            f"{path} has schema version {version}; this hsifeat reads version {SCHEMA_VERSION}: "
            "give the results.json of a report, or run the benchmark again"
        )
    try:
        return BenchResults.model_validate(document)
    except ValidationError as error:
        raise HsifeatError(f"{path} is not a results.json of hsifeat bench: {error_summary(error)}") from error


def schema_text() -> str:
    """Return the text of ``docs/results.schema.json``, the JSON schema of ``results.json``."""
    return json.dumps(BenchResults.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":  # python -m classifiers.comparison.results.results_io > docs/results.schema.json
    import sys

    sys.stdout.write(schema_text())
