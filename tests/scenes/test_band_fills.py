"""Fill values in only some bands are named by a note; which pixels have them is known, because the tests write them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hsifeat import Scene, fit_projection, open_scene
from hsifeat.errors import ProjectionError
from hsifeat.scenes import band_fills
from hsifeat.scenes.valid_pixels import valid_pixels

RNG = np.random.default_rng(0)
REFLECTANCE = np.clip(RNG.normal(2000, 600, (40, 50, 6)), 200, 6000)
FAR = "a value is far outside the others of its band"


@pytest.mark.parametrize(
    ("fill", "scale", "dtype"),
    [(-9999, 1, np.int16), (65535, 1, np.uint16), (-9999, 1e-4, np.float32), (-1, 1e-4, np.float64), (0, 1, ">u2")],
)
def test_a_value_in_some_bands_of_some_pixels_is_named(fill, scale, dtype):
    cube = ((REFLECTANCE + (8000 if fill == 0 else 0)) * scale).astype(dtype)
    assert Scene("x", cube).validity_notes == ()
    holed = np.zeros(cube.shape, bool)
    holed[5:9, 7:12, [1, 4]] = True
    holed[30, 20:24, 4] = True
    cube[holed] = fill
    scene = Scene("x", cube)
    (note,) = scene.validity_notes
    assert scene.valid.all() and note.startswith(f"x: {FAR}")
    assert f"{fill} at up to {holed[..., 4].sum()} pixels in bands 1,4;" in note
    if match := re.search("`nodata=(.*?)`", note):  # what the note advises makes exactly the holes invalid
        advised = Scene("x", cube, nodata=(float(match[1]),))
        assert np.array_equal(advised.valid, ~holed.any(axis=2))
        (note,) = advised.validity_notes
        assert (
            f"{holed.any(axis=2).sum()} pixels have no data in some bands only (bands 1,4, counted from 0 as in `bad_bands`, which can leave them out)"
            in note
        )
    else:
        assert fill == 0


def test_values_of_several_bands_and_whole_spectra_are_named_once(monkeypatch):
    """A hole in all bands has its own note, in which its pixels are counted, also if the scene is read in many blocks."""
    monkeypatch.setattr("hsifeat.scenes.scene_blocks.VALUES_AT_A_TIME", 600)
    monkeypatch.setattr(band_fills, "_SAMPLE_PIXELS", 500)
    cube = REFLECTANCE.astype(np.int16)
    cube[:6, :6] = -9999
    assert [FAR in note for note in valid_pixels(cube).notes("x", "drop")] == [False]
    cube[20:24, 10, 2], cube[1, 40:47, 5] = -9999, 32767
    whole, some = valid_pixels(cube).notes("x", "drop")
    assert "36 pixels are -9999 in all bands" in whole
    named = re.findall(r"(-?\d+) at (\d+) pixels in band (\d)", some)
    assert sorted(named) == [("-9999", "4", "2"), ("32767", "7", "5")]
    assert valid_pixels(cube).notes("x", "keep") == ()


@pytest.mark.parametrize("declared", [np.nan, -9999.0])
def test_declared_values_in_some_bands_are_counted(declared):
    cube = REFLECTANCE.astype(np.float32)
    cube[3, 4:9, 2], cube[8, 8], cube[7, 1:3, :4] = declared, declared, declared
    missing = np.isnan(cube) | (cube == -9999)
    partly = missing.any(axis=2) & ~missing.all(axis=2)
    scene = Scene("x", cube, nodata=(-9999.0,))
    assert np.array_equal(scene.valid, ~missing.any(axis=2))
    (note,) = scene.validity_notes
    assert note == (
        f"x: {partly.sum()} pixels have no data in some bands only (bands 0-3, counted from 0 as in `bad_bands`, which can "
        "leave them out) and count as invalid"
    )


def test_clipped_and_coarse_values_get_no_note():
    for values in (
        np.clip(REFLECTANCE, 1500, 2500),
        np.round(REFLECTANCE / 500),
        REFLECTANCE > 2000,
        np.full(REFLECTANCE.shape, 7),
    ):
        assert valid_pixels(values.astype(np.int16)).fills == ()


def test_notes_number_bands_as_the_option_does(tmp_path):
    """Bands that were dropped by number, or put in the order of another scene, were numbered anew in the advice to drop them."""
    rng, nm = np.random.default_rng(0), np.arange(500.0, 1100, 100)
    cube = rng.random((40, 50, 6)).astype(np.float32)
    cube[:3, :, 1] = np.nan
    cube[..., 3] = 7
    np.save(tmp_path / "x.npy", cube)
    scene = open_scene(tmp_path / "x.npy", bad_bands="0,4")
    for one in (scene, Scene("x", cube, wavelengths_nm=nm).matched_to(nm[::-1], 6, "first")):
        (note,) = [text for text in one.validity_notes if "in some bands only" in text]
        assert "(bands 1, counted from 0 as in `bad_bands`" in note
        (note,) = fit_projection("all", one).notes
        assert ": 3 (counted from 0 as in `bad_bands`); they carry no information" in note
    assert open_scene(tmp_path / "x.npy", bad_bands="0,1,4").valid.all()


def test_notes_on_fills_large_values_and_empty_bands_number_bands_as_the_option_does(tmp_path):
    cube = np.random.default_rng(0).random((40, 50, 6)).astype(np.float32)
    cube[5, :6, 3], cube[9, 9, 5] = -9, 1e9
    np.save(tmp_path / "x.npy", cube)
    scene = open_scene(tmp_path / "x.npy", bad_bands="0,1")
    assert any("-9 at 6 pixels in band 3; if such" in note for note in scene.validity_notes), scene.validity_notes
    (note,) = fit_projection("all", scene).notes
    assert "of the bands 5 (counted from 0 as in `bad_bands`); in band 5, it is 9.99e+08" in note
    twice = scene.with_bands([1, 1, 2, 3])
    assert any("-9 at 6 pixels in band 3; if such" in note for note in twice.validity_notes)
    cube[..., 4] = np.nan
    np.save(tmp_path / "y.npy", cube)
    with pytest.raises(ProjectionError, match=r"the bands 4 \(.*have no valid value: drop them with `bad_bands='4'`"):
        fit_projection("all", open_scene(tmp_path / "y.npy", bad_bands="0,1"))
