"""Scenes of the studies `worth.py` and `natural32.py`: Indian Pines, and the data sets in the folder of test data. Layers of context."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from hsifeat import Labels, Scene, open_labels, open_scene

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("HSIFEAT_TEST_DATA", ROOT.parent / "shared" / "data"))
# Layers of the context stores of the study natural32. They are named, so that other default layers of the backbone change
# neither these stores nor scores that are added later.
_PROFILE_SIZES_PX = (3, 5, 7, 9, 13, 17)
CONTEXT_LAYERS = (
    *(f"mean-{side}" for side in (5, 25, 45)),
    *(f"profile-{side}" for side in _PROFILE_SIZES_PX),
    *(f"reconstruction-{side}" for side in _PROFILE_SIZES_PX),
    *(f"reconstruction-{side}-mean-9" for side in _PROFILE_SIZES_PX),
)


def indian_pines() -> Scene:
    """Open Indian Pines with its ground truth."""
    return open_scene("indian-pines")


def official_indian_pines() -> Scene:
    """Open Indian Pines with the train and test maps of the official split. SpectralFormer and its successors use this split."""
    folder = DATA / "indian_pines_official_split"
    files = {"train": "Hong_IndianTR123_temp123.tif", "test": "Hong_IndianTE123_temp123.tif"}
    maps = [Labels(name, open_labels(folder / file).classes) for name, file in files.items()]
    return replace(open_scene("indian-pines"), labels={one.name: one for one in maps})


def houston() -> Scene:
    """Open the Houston 2018 subset. A pixel is labelled if all label cells in it agree."""
    path = DATA / "houston2018_subset" / "houston_dataset.mat"
    return open_scene(path, variable="hyprImg", labels=path)


def houston_companion() -> Scene:
    """Open the Houston 2018 subset with its companion image of 0.25 m."""
    from scipy.io import loadmat

    return replace(houston(), companion=loadmat(DATA / "houston2018_subset" / "houston_dataset.mat")["rgbImg"])


def reduced_pavia() -> Scene:
    """Open reduced Pavia University. A pixel is labelled if one class covers at least 60 % of it."""
    content = np.load(DATA / "paviau_reduced" / "paviau_reduced.npz")
    labels = Labels("purity60", content["label_80x50_purity60"].astype(np.uint8))
    return Scene(
        "reduced-pavia-university",
        content["hsi_80x50x103"],
        1000 * content["wavelength_um"].astype(np.float64).ravel(),
        labels={labels.name: labels},
    )


def landsat() -> Scene:
    """Open the five-band Landsat scene of North Carolina with its label raster."""
    folder = DATA / "nc_landsat7"
    scene = open_scene(folder / "landsat_multiband.tif")
    labels = open_labels(folder / "landsat96_labelled_pixels.tif", scene)
    return replace(scene, labels={labels.name: labels})


SCENES = {
    "indian-pines": indian_pines,
    "indian-pines-official": official_indian_pines,
    "houston": houston,
    "houston-companion": houston_companion,
    "pavia-reduced": reduced_pavia,
    "landsat": landsat,
}
