"""What a comparison was asked for, settled: kept with its numbers, and as a command that asks for the same."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from classifiers.comparison.sweep import HEAD
from classifiers.heads.registry import make_head
from hsifeat.features.features import Features, PlaneLike

# The seed of a head is that of its run, and its layout is the table's.
_OF_THE_RUN = {"layout", "random_state"}


def settled(
    stores: Mapping[str, Features],
    *,
    heads: Sequence[str],
    inputs: Sequence[str],
    splits: Sequence[str],
    seeds: int,
    curve: Sequence[int],
    sweep: str | None,
    labels: str | None,
    planes: Sequence[PlaneLike] | None,
) -> dict[str, Any]:
    """Return the arguments of `compare` as plain values: stores with their keys, heads with all their parameters."""
    return {
        "stores": [{"path": str(features.store.location), "key": features.key} for features in stores.values()],
        "heads": {
            head: {k: v for k, v in make_head(head).get_params(deep=False).items() if k not in _OF_THE_RUN}
            for head in heads
        },
        "inputs": list(inputs),
        "splits": list(splits),
        "seeds": seeds,
        "labels": labels,
        "planes": None if planes is None else [str(getattr(plane, "id", plane)) for plane in planes],
        "curve": list(curve),
        "sweep": sweep,
    }


def command_of(arguments: Mapping[str, Any], out: Path) -> str:
    """Write the command that asks for the same; '' where none does: a sweep by another head, a store in memory.

    >>> asked = {"stores": [{"path": "ip.zarr"}], "heads": {"svm": {}}, "inputs": ["planes"], "splits": ["official"]}
    >>> asked |= {"seeds": 2, "labels": None, "planes": ["t50/*"], "curve": [], "sweep": None}
    >>> command_of(asked, Path("my report"))
    "hsifeat bench ip.zarr --heads svm --inputs planes --splits official --seeds 2 --planes 't50/*' --no-sweep --out 'my report'"
    """
    paths = [store["path"] for store in arguments["stores"]]
    if arguments["sweep"] not in {None, HEAD} or any(path.startswith("memory:") for path in paths):
        return ""
    words = ["hsifeat", "bench", *paths]
    for name in ("heads", "inputs", "splits", "seeds", "labels", "planes", "curve"):
        value = arguments[name]
        if value is not None and value != []:
            words += [f"--{name}", str(value) if isinstance(value, str | int) else ",".join(map(str, value))]
    words += [] if arguments["sweep"] else ["--no-sweep"]
    return shlex.join([*words, "--out", str(out)])
