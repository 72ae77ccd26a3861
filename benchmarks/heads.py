"""Measure processor seconds of fits and overall accuracy of all heads on the same planes, under a random and a disjoint split.

Run ``make demo-pretrain`` first, then ``.venv/bin/python benchmarks/heads.py``. The script uses the demo's store, with five
timesteps and four layers of Indian Pines, and writes ``benchmarks/results/heads.json``. Each head is fitted on its default
input set, and on spectra alone if it does not need planes. Heads whose neighbourhoods are wider than 3 px are left out,
because the table of all planes of the store would not fit in memory. Columns are reduced on a sample of the scene, as in
`hsifeat fit`. Both splits have the same number of training pixels and five seeds. Each head is also fitted on all training
pixels of the random split. A full run fails with exit status 1 and writes no file if it exceeds a limit of processor time.
``--quick`` uses one seed and writes no file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

from scoring import RESULTS, ROOT, about_run, draws_of, mean_sd, timed_accuracy

SPLITS, SEEDS = ("random:0.1", "blocks:12+4:0.1"), 5
WIDEST_PX = 3
ALL = "random:0.1, all training pixels"
# Limits of processor seconds: the whole benchmark, and one fit of film.
MAX_SECONDS, MAX_FILM_SECONDS = 600, 20


def main() -> None:
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=ROOT / "demo" / "trained.zarr")
    parser.add_argument("--heads", default="", help="Comma-separated names. [default: all]")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not options.store.exists():
        raise SystemExit(f"no {options.store}: make demo-pretrain first")
    content = study(options.store, [h for h in options.heads.split(",") if h], 1 if options.quick else SEEDS)
    text = json.dumps({**about_run(("torch", "scikit-learn", "lightgbm")), **content}, indent=1) + "\n"
    if options.quick or options.heads:
        print(text)
    else:
        check(content)
        (RESULTS / "heads.json").write_text(text)


def check(content: dict[str, Any]) -> None:
    """Exit with an error if a full run exceeded a time limit."""
    film = max(row["fit_seconds"] for row in content["heads"] if row["head"] == "film")
    for name, seconds, limit in (
        ("the benchmark", content["total_cpu_seconds"], MAX_SECONDS),
        ("a fit of film", film, MAX_FILM_SECONDS),
    ):
        if seconds > limit:
            raise SystemExit(f"{name} took {seconds:.1f} s of processor time; the limit is {limit} s")


def study(store: Path, heads: list[str], seeds: int) -> dict[str, Any]:
    """Fit and score every head on its input sets, for all splits and seeds."""
    from classifiers import PixelTable
    from classifiers.heads.registry import head_class, head_names
    from classifiers.input_sets import InputSet, layout_options, suited_input
    from classifiers.splits import parse_split
    from hsifeat import open_features

    start = time.process_time()
    features = open_features(store)
    rows = []
    for head in heads or [name for name in head_names() if head_class(name).patch_px <= WIDEST_PX]:
        spectral = [] if head_class(head).missing_kinds({"spectra"}) else [InputSet.parse("spectra")]
        for inputs in [suited_input(head, features), *spectral]:
            table = PixelTable.from_store(
                features,
                **layout_options([inputs], features),
                planes=None if inputs.uses_planes else [],
                sample=True,
            )
            thinned = draws_of(SPLITS, table.labels, seeds)
            whole = {(ALL, seed): parse_split(SPLITS[0]).draw(table.labels, seed) for seed in range(seeds)}
            for split in (*SPLITS, ALL):
                fits = [timed_accuracy(table, head, (thinned | whole)[split, seed], seed) for seed in range(seeds)]
                oas, seconds = zip(*fits, strict=True)
                score = mean_sd(oas) if seeds > 1 else {"mean": round(100 * oas[0], 2)}
                rows.append(
                    {
                        "head": head,
                        "input": str(inputs),
                        "split": split,
                        "oa": score,
                        "fit_seconds": round(median(seconds), 2),
                    }
                )
                print(rows[-1], flush=True)
    return {
        "what": "fit on the training pixels of a draw, overall accuracy in percent on its test pixels; medians of the fit's processor seconds",
        "planes": [str(plane.id) for plane in features.planes],
        "seeds": seeds,
        "total_cpu_seconds": round(time.process_time() - start, 1),
        "heads": rows,
    }


if __name__ == "__main__":
    main()
