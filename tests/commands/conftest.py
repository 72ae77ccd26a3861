"""A store, a model and a scene file whose names hold control characters, markup, formulas and letters of three scripts."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.small import small_cube, small_labels

# The terminal would write to the clipboard, set its title and clear the screen.
ESCAPES = "\x1b]52;c;eA==\x07\x1b]0;owned\x1b\\\x1b[2J\x9b31m\r\x00"
NAMES = {1: f"corn{ESCAPES}", 2: "[/red]$x_{ [b]", 3: '=1+1<script>alert("x")</script>|`', 4: "水稻 é \u202e\ufffe"}
STORE_NAME = "=1+1 <b>é水[|red]\x1b[2J\x07"


@pytest.fixture(scope="session")
def hostile(backbone_folder, tmp_path_factory):
    """Paths of a store, a model, a scene, and labels, all with hostile names."""
    from hsifeat import fit_model, open_features
    from hsifeat.cache import catalogue
    from hsifeat.extraction.run import run
    from hsifeat.scenes import Labels, Scene
    from tests.helpers.extraction import prepare

    folder = tmp_path_factory.mktemp("hostile")
    store, model, cube = (folder / f"{STORE_NAME}{suffix}" for suffix in (".zarr", "", ".npy"))
    labels = Labels("[|red]=1<b>", small_labels(40, 40), NAMES)
    bands = [f"band {band}{ESCAPES}" for band in range(12)]
    scene = Scene(f"[/red]{ESCAPES}", small_cube(40, 40), None, {labels.name: labels}, band_names=bands)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "add_entry", lambda *_, **__: None)
        run(prepare(scene, backbone=backbone_folder, timesteps=[0], layers=["up_blocks.2"], tile=32, halo=8, out=store))
    fit_model(open_features(store), "lda", split="random:0.5").save(model)
    np.save(cube, small_cube(40, 40))
    truth = folder / "[red]=1<b>.csv"
    rows = [
        (row, col, NAMES[value].replace("\r", ""))
        for (row, col), value in np.ndenumerate(small_labels(40, 40))
        if value
    ]
    with truth.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("row", "col", "class"), *rows[::7]])
    return SimpleNamespace(store=store, model=model, cube=cube, truth=truth)
