"""Spectra that many pixels share exactly, such as an undeclared fill value, are named by a note; `np.unique` is the oracle."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hsifeat import Scene, open_scene
from hsifeat.scenes import repeated_spectra
from hsifeat.scenes.valid_pixels import valid_pixels

FILLS = {
    "a value of its own in each band": [-9998, -9999, -9998, -9997, -9999],
    "lowest in no band alone": [1000, 900, 1100, 1000, 950],
    "one band has a usual value": [-9999, -9999, -9999, -9999, 1000],
    "highest": [32000, 32001, 32000, 32000, 32001],
    "one value": [-9999] * 5,
}


@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.dtype(">i4"), np.float64])
@pytest.mark.parametrize("fill", FILLS)
def test_a_spectrum_that_many_pixels_share_is_named(fill, dtype, tmp_path):
    """A hole of a fill value that differs from band to band is mapped as a class, so a note names it; the oracle is `np.unique`."""
    cube = np.random.default_rng(0).normal(1000, 200, (40, 30, 5)).astype(dtype)
    assert np.unique(cube.reshape(-1, 5), axis=0).shape == (1200, 5)
    np.save(tmp_path / "whole.npy", cube)
    assert open_scene(tmp_path / "whole.npy").validity_notes == ()
    cube[20:26, 4:9] = FILLS[fill]
    np.save(tmp_path / "x.npy", cube)
    (note,) = open_scene(tmp_path / "x.npy").validity_notes
    values, counts = np.unique(cube.reshape(-1, 5), axis=0, return_counts=True)
    most = values[counts.argmax()]
    assert f"{counts.max()} pixels" in note
    assert all(f"{value:.9g}" in note for value in (most.min(), most.max()))
    if match := re.search("`nodata=(.*?)`", note):  # what the note advises makes exactly the hole invalid
        assert np.array_equal(
            open_scene(tmp_path / "x.npy", nodata=float(match[1])).valid, (cube != FILLS[fill]).any(axis=2)
        )
    else:
        assert "set them to NaN" in note


def test_spectra_are_counted_over_blocks(monkeypatch):
    """Two pixels in blocks of their own are counted together, also if only the most frequent spectra are kept."""
    monkeypatch.setattr(repeated_spectra, "_PIXELS_AT_A_TIME", 64)
    cube = np.random.default_rng(0).integers(0, 2000, (12, 10, 4)).astype(np.int16)
    cube[2::3, 1] = [7, 9, 8, 7]
    cube[[0, 11], [3, 8]] = [-2, -1, -3, -1]
    spectra = repeated_spectra.RepeatedSpectra(4)
    for row in range(12):
        spectra.add(cube[row], np.arange(10) + 10 * row)
    found = [(one.pixels, one.lowest, one.highest, one.fill) for one in spectra.unusual(cube)]
    assert found == [(2, -3, -1, -3), (4, 7, 9, None)]


def test_spectra_of_few_bits_repeat_without_a_note():
    """Values of few bits and bands repeat by chance; `np.unique` says how often."""
    cube = np.random.default_rng(0).normal(20, 1, (60, 50, 4)).astype(np.uint8)
    assert np.unique(cube.reshape(-1, 4), axis=0, return_counts=True)[1].max() > 5
    assert valid_pixels(cube).notes("x", "drop") == ()


def test_real_scenes_have_no_repeated_spectra_and_no_fill_values(data_folder):
    """No false note, also with values of eight bits and four or eight bands, and in crops that are stretched as for display."""
    scenes = {
        "houston": open_scene(data_folder / "houston2018_subset/houston_dataset.mat", variable="hyprImg"),
        "jasper": open_scene(data_folder / "jasper_ridge/jasperRidge2_R198.img"),
        "landsat": open_scene(data_folder / "nc_landsat7/landsat_multiband.tif"),
        "pavia": Scene("pavia", np.load(data_folder / "paviau_reduced/paviau_reduced.npz")["hsi_80x50x103"]),
        "indian": open_scene("indian-pines"),
    }
    rng = np.random.default_rng(1)

    def no_fills(cube):
        validity = valid_pixels(cube)
        return validity.repeated == validity.fills == ()

    for name, scene in scenes.items():
        cube = np.where(scene.valid[..., None], np.asarray(scene.cube[:]), 0)
        assert no_fills(cube), name
        for bands in (4, 8):
            some = cube[..., :: max(scene.bands // bands, 1)][..., :bands]
            assert no_fills(np.round(some / (some.max() / 255)).astype(np.uint8)), (name, bands)
        low, high = np.percentile(cube[scene.valid][::20], [2, 98])
        for row, col in rng.integers(0, [scene.rows - 30, scene.cols - 20], (4, 2)):
            crop = np.s_[row : row + 30, col : col + 20]
            stretched = 1 + np.clip(np.round((cube[crop] - low) / (high - low) * 254), 0, 254)
            stretched[~scene.valid[crop]] = 0
            assert valid_pixels(cube[crop]).fills == valid_pixels(stretched.astype(np.uint8)).fills == (), (
                name,
                row,
                col,
            )
