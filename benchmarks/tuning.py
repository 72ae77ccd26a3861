"""Compare the accuracy of heads with default parameters and with tuned parameters, for three splits and five seeds.

Run ``make demo-pretrain`` first, then ``.venv/bin/python benchmarks/tuning.py``. The script uses the demo's store and writes
``benchmarks/results/tuning.json``. Heads are tuned on the training pixels, and columns are reduced on a sample of the scene, like
`hsifeat fit --tune`. ``--quick`` uses one seed and writes no file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from scoring import RESULTS, ROOT, about_run, mean_sd

HEADS, SPLITS, SEEDS = ("lda", "logistic", "svm"), ("random:0.1", "blocks:12+4:0.1", "blocks:12+4:0.3"), 5


def main() -> None:
    """Run the benchmark and write its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, default=ROOT / "demo" / "trained.zarr")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if not options.store.exists():
        raise SystemExit(f"no {options.store}: make demo-pretrain first")
    content = study(options.store, 1 if options.quick else SEEDS)
    text = json.dumps({**about_run(("scikit-learn",)), **content}, indent=1) + "\n"
    if options.quick:
        print(text)
    else:
        (RESULTS / "tuning.json").write_text(text)


def study(store: Path, seeds: int) -> dict[str, Any]:
    """Score every head with default and with tuned parameters, for all splits and seeds."""
    from classifiers import PixelTable
    from classifiers.evaluate import Evaluator
    from classifiers.splits import parse_split
    from hsifeat import open_features
    from hsifeat.features.scene_set import open_scenes

    start = time.process_time()
    features = open_features(store)
    table = PixelTable.from_store(features, sample=True)
    rows = []
    for split in SPLITS:
        rule = parse_split(split)
        draws = [rule.draw(table.labels, seed) for seed in range(seeds)]
        for head in HEADS:
            plain, tuned = (
                [
                    Evaluator(open_scenes(features), table, head, seed, {}, tune).evaluate(rule, draw)[1]
                    for seed, draw in enumerate(draws)
                ]
                for tune in (False, True)
            )
            tunings = [evaluation.tuning for evaluation in tuned if evaluation.tuning is not None]
            searched = [tuning for tuning in tunings if tuning.choice is not None]
            before, after = (np.array([one.scores.oa for one in side]) for side in (plain, tuned))
            rows.append(
                {
                    "head": head,
                    "split": split,
                    "defaults": oa(before),
                    "tuned": oa(after),
                    "within_the_folds": oa([t.choice.accuracy for t in searched]) if len(searched) > 1 else None,
                    "better": int(np.count_nonzero(after > before)),
                    "worse": int(np.count_nonzero(after < before)),
                    "searched": len(searched),
                    "chosen": [None if t.choice is None else t.choice.params for t in tunings],
                }
            )
            print(rows[-1], flush=True)
    return {
        "what": "overall accuracy in percent on the test pixels, with the defaults of a head and tuned within the training pixels",
        "seeds": seeds,
        "total_cpu_seconds": round(time.process_time() - start, 1),
        "heads": rows,
    }


def oa(values: Any) -> dict[str, float]:
    """Return the mean of accuracies in percent, and also the standard deviation if there are several accuracies."""
    return mean_sd(values) if len(values) > 1 else {"mean": round(100 * float(values[0]), 2)}


if __name__ == "__main__":
    main()
