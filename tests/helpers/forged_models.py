"""A small saved head, and functions that replace its files and update the checksums, as an attacker would."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.heads.base import Head
from classifiers.heads.registry import make_head
from classifiers.persistence import save_head
from classifiers.state_file import import_skops
from hsifeat.seals import seal_json
from tests.helpers.heads import LAYOUT


def labelled_rows() -> tuple[np.ndarray, np.ndarray]:
    """Return 90 rows in the columns of `LAYOUT`, and their class names."""
    rng = np.random.default_rng(0)
    y = np.array(["corn", "oats", "wheat"])[np.arange(90) % 3]
    return (rng.normal(size=(90, LAYOUT.width)) + (np.arange(90) % 3)[:, None]).astype(np.float32), y


def save_mlp(folder: Path) -> Path:
    """Fit a small MLP on `labelled_rows`, save it to a folder, and return the folder."""
    save_head(make_head("mlp", LAYOUT, epochs=2).fit(*labelled_rows()), folder, meta={"split": "random:0.1"})
    return folder


def replace_file(model: Path, name: str, content: bytes) -> None:
    """Replace a file of a saved head, and update its checksum and the seal of the manifest."""
    (model / name).write_bytes(content)
    manifest = json.loads((model / "model.json").read_text())
    manifest["files"][name] = hashlib.sha256(content).hexdigest()
    (model / "model.json").write_text(seal_json(manifest, "model.json"))


def replace_state(model: Path, state: dict[str, Any]) -> None:
    """Replace the fitted attributes of a saved head; see `replace_file`."""
    replace_file(model, "state.skops", import_skops().dumps(state))


def fitted_state(head: Head) -> dict[str, Any]:
    """Return the fitted attributes of a head, which are all attributes except the parameters."""
    return {key: value for key, value in vars(head).items() if key not in head.get_params()}
