"""Bands of two scenes, matched by wavelength: scenes with bands in another order, and equal wavelengths."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray

from hsifeat.errors import SceneError
from hsifeat.scenes import Scene, open_scene
from hsifeat.scenes.band_matching import SceneBands, match_bands

# Two detectors that overlap at 650 nm.
NM = np.array([450.0, 550, 650, 650, 750])
CUBE = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def scene(order):
    return Scene("other", CUBE[..., order], wavelengths_nm=NM[order])


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]], ids=["same", "reversed"])
def test_bands_with_equal_wavelengths_keep_their_order(order):
    matched = scene(order).matched_to(NM, 5, "first")
    np.testing.assert_array_equal(np.asarray(matched.cube), CUBE)
    assert not any("told apart" in note for note in matched.notes)


@pytest.mark.parametrize("direction", [1, -1])
def test_equal_bands_keep_their_order_in_a_scene_with_more_bands(direction):
    wider, cube = np.array([400, *NM, 900]), np.pad(CUBE, ((0, 0), (0, 0), (1, 1)))
    other = Scene("other", cube[..., ::direction], wavelengths_nm=wider[::direction])
    np.testing.assert_array_equal(np.asarray(other.matched_to(NM, 5, "first").cube), CUBE)
    assert match_bands(SceneBands("b", 7, wider), SceneBands("a", 7, wider)) is None


@pytest.mark.parametrize(
    "order",
    [
        pytest.param([1, 0, 3, 2, 4], id="shuffled"),
        pytest.param([0, 1, 2, 4], id="one of the two"),
        pytest.param([0, 1, 2, 2, 3, 4], id="three for two"),
    ],
)
def test_a_note_names_bands_that_cannot_be_told_apart(order):
    matched = scene(order).matched_to(NM, 5, "first")
    assert matched.wavelengths_nm.tolist() == NM.tolist()
    (note,) = [note for note in matched.notes if "told apart" in note]
    assert "bands with equal wavelengths (650 nm)" in note and "the bands of first" in note


def test_the_reference_may_have_one_of_several_equal_bands():
    matched = scene([0, 1, 2, 3, 4]).matched_to(NM[[0, 1, 2, 4]], 4, "first")
    assert matched.bands == 4 and any("(650 nm) can't be told apart" in note for note in matched.notes)


@pytest.mark.parametrize(
    ("own", "other", "unknown"), [(None, NM, "other"), (NM, None, "first"), (None, None, None), (NM, NM, None)]
)
def test_a_note_says_that_bands_are_matched_by_their_order(own, other, unknown):
    matched = Scene("other", CUBE, wavelengths_nm=own).matched_to(other, 5, "first")
    np.testing.assert_array_equal(np.asarray(matched.cube), CUBE)
    notes = [note for note in matched.notes if "in their order" in note]
    assert len(notes) == (unknown is not None)
    assert not unknown or f"because the wavelengths of {unknown} are unknown" in notes[0]


@pytest.mark.parametrize(
    ("wanted", "found", "pairs"),
    [
        ([500.0, 500.1, 600], [499.0, 601], "one band is .*: 499 nm for 500, 500.1 nm$"),
        ([500.0, 504, 600, 603, 606], [502.0, 604], "2 bands are each .*: 502 nm for 500, 504 nm; 604 nm for 600, 603, 606 nm$"),
        ([500.0, 500.1, 600], [500.0, 500.1, 601], None),
    ],
)  # fmt: skip
def test_a_note_names_bands_that_are_taken_for_several_bands(wanted, found, pairs):
    cube = np.arange(4 * len(found), dtype=np.float32).reshape(2, 2, -1)
    matched = Scene("other", cube, wavelengths_nm=np.array(found)).matched_to(np.array(wanted), len(wanted), "first")
    nearest = [min(range(len(found)), key=lambda band: abs(found[band] - nm)) for nm in wanted]
    np.testing.assert_array_equal(np.asarray(matched.cube), cube[..., nearest])
    said = [note for note in matched.notes if "the nearest to several bands of first" in note]
    assert len(said) == (pairs is not None)
    if pairs:
        assert re.search(pairs, said[0]), said


@pytest.mark.parametrize("direction", [1, -1])
def test_bands_that_were_matched_are_not_matched_again(direction):
    """A scene of 8 nm bands, matched to 5 nm bands twice, got other bands and notes on bands of equal wavelength."""
    wanted, nm = np.arange(400.0, 601, 5), np.arange(400.0, 601, 8)[::direction]
    cube = np.broadcast_to(nm, (2, 2, len(nm))).copy()
    once = Scene("other", cube, wavelengths_nm=nm).matched_to(wanted, len(wanted), "first")
    again = once.matched_to(wanted, len(wanted), "first")
    assert again.notes == once.notes
    np.testing.assert_array_equal(np.asarray(again.cube), np.asarray(once.cube))
    # Of two bands that are equally near, the one with the lower wavelength is taken.
    lowest = [min(nm, key=lambda one: (abs(one - centre), one)) for centre in wanted]
    np.testing.assert_array_equal(np.asarray(once.cube)[0, 0], lowest)


NAMES = ("B2", "B3", "B4", "B8", "B5")


def named(order, names=NAMES, nm=None):
    return Scene("other", CUBE[..., order], wavelengths_nm=nm, band_names=[names[band] for band in order])


@pytest.mark.parametrize(
    ("names", "nm", "note"),
    [
        pytest.param(NAMES, None, None, id="same"),
        pytest.param((), None, None, id="unknown"),
        pytest.param(NAMES, NM, "because the wavelengths of other are unknown$", id="same, one with wavelengths"),
        pytest.param(
            ("B2", "B3", "B4", "B5", "B8"),
            None,
            "the wavelengths of first and other are unknown, although their names differ: 'B8' is taken for 'B5' of first, which has the "
            "same names in another order$",
            id="other order",
        ),
        pytest.param(("B2", "B3", "B4", "B5", "B8"), NM, "wavelengths of other are unknown.*'B8' is taken for 'B5'", id="one with wavelengths"),
        pytest.param(("blue", "green", "red", "nir", "edge"), None, "'B2' is taken for 'blue' of first$", id="others"),
        pytest.param(("B2", "B3", "B4", "B4", "B5"), None, "'B8' is taken for 'B4' of first$", id="twice"),
    ],
)  # fmt: skip
def test_bands_without_wavelengths_keep_their_order_and_a_note_names_others(names, nm, note):
    matched = named([0, 1, 2, 3, 4]).matched_to(nm, 5, "first", names)
    np.testing.assert_array_equal(np.asarray(matched.cube), CUBE)
    assert [bool(re.search(note, one)) for one in matched.notes] == [True] if note else not matched.notes


@pytest.mark.parametrize("suffix", ["array", "x.nc", "x.zarr"])
def test_texts_of_the_coordinate_of_bands_are_names(tmp_path, suffix):
    array = xarray.DataArray(CUBE, dims=("y", "x", "band"), coords={"band": list(NAMES)}).isel(band=[3, 0, 1, 2, 4])
    if suffix == "array":
        found = Scene("x", array)
    else:
        write = {"x.nc": xarray.Dataset.to_netcdf, "x.zarr": xarray.Dataset.to_zarr}[suffix]
        write(array.to_dataset(name="r"), tmp_path / suffix, **({"zarr_format": 2} if suffix == "x.zarr" else {}))
        found = open_scene(tmp_path / suffix)
    assert found.band_names == ("B8", "B2", "B3", "B4", "B5")


def test_wavelengths_take_precedence_over_names():
    nm = np.arange(500.0, 1000, 100)
    matched = named([4, 3, 2, 1, 0], nm=nm).matched_to(nm, 5, "first", NAMES)
    np.testing.assert_array_equal(np.asarray(matched.cube), CUBE[..., ::-1])


def test_names_of_another_number_of_bands_are_an_error():
    with pytest.raises(SceneError, match="4 band_names for 5 bands"):
        named([0, 1, 2, 3, 4]).matched_to(None, 5, "first", NAMES[:4])
    with pytest.raises(SceneError, match="has 5 bands and first has 4"):
        named([0, 1, 2, 3, 4]).matched_to(None, 4, "first", NAMES[:4])
