"""Bandwidths (fwhm) whose unit is missing, stale or another one than that of the wavelengths."""

import numpy as np
import pytest
import xarray as xr

from hsifeat import Scene


@pytest.mark.parametrize(
    ("wavelengths", "unit", "widths", "width_unit", "is_noted"),
    [
        pytest.param(1.0, "um", 1e-2, "um", True, id="stale-unit-of-wavelengths"),
        pytest.param(1e-3, "um", 10.0, "um", True, id="stale-unit-of-widths"),
        pytest.param(1e-3, None, 10.0, None, True, id="no-units"),
        pytest.param(1.0, None, 1e-2, "um", True, id="unit-of-widths-only"),
        pytest.param(1.0, "nm", 1e-2, None, True, id="unit-of-wavelengths-only"),
        pytest.param(1e-3, "um", 10.0, "nm", False, id="two-units"),
        pytest.param(1.0, "nm", 10.0, "nm", False, id="right"),
    ],
)
def test_a_wrong_unit_of_the_bandwidths_is_corrected(wavelengths, unit, widths, width_unit, is_noted):
    """Bandwidths were 1000 times wrong, if a unit was missing, or kept from before a conversion."""
    centres = np.linspace(450, 900, 10)
    coords = {
        "wavelength": ("band", centres * wavelengths, {} if unit is None else {"units": unit}),
        "fwhm": ("band", np.full(10, widths), {} if width_unit is None else {"units": width_unit}),
    }
    scene = Scene("s", xr.DataArray(np.ones((4, 5, 10)), dims=("y", "x", "band"), coords=coords))
    np.testing.assert_allclose(scene.wavelengths_nm, centres)
    np.testing.assert_allclose(scene.fwhm_nm, 10)
    assert any("up to 10 nm" in note for note in scene.notes) == is_noted


def spectrum(centres, widths, unit, width_unit, centre_factor=1.0):
    """Return wavelengths and widths of an array with these coordinates, in nm."""
    centres = np.asarray(centres, float)
    coords = {
        "wavelength": ("band", centres * centre_factor, {} if unit is None else {"units": unit}),
        "fwhm": (
            "band",
            np.broadcast_to(widths, len(centres)).astype(float),
            {} if width_unit is None else {"units": width_unit},
        ),
    }
    return Scene("s", xr.DataArray(np.ones((4, 5, len(centres))), dims=("y", "x", "band"), coords=coords)).fwhm_nm


@pytest.mark.parametrize(
    ("centres", "widths"),
    [
        ([443.0, 490, 560, 665, 842, 1610, 2190], 0.5),
        (np.arange(760, 770, 0.1), 0.3),
        ([532.0, 1064, 1550], 0.2),
        (np.arange(500, 900, 0.2), 10.0),
        ([8e3, 9e3, 1.1e4], 900.0),
        ([9e3, 1.05e4], [1.2e4, 1.3e4]),
        ([550.0], 600.0),
        ([550.0, 600], [700.0, 650]),
    ],
)
def test_narrow_and_wide_bands_of_known_units_are_kept(centres, widths):
    np.testing.assert_allclose(spectrum(centres, widths, "nm", "nm"), np.broadcast_to(widths, len(centres)))


@pytest.mark.parametrize(
    ("centres", "widths", "units", "factor"),
    [
        pytest.param(np.arange(1000, 2500, 10), np.linspace(2, 3, 150), ("um", None), 1e-3, id="narrow SWIR in nm"),
        pytest.param(np.arange(400, 2500, 5), np.linspace(2.4, 6, 420), ("um", None), 1e-3, id="hyperspectral in nm"),
        pytest.param(np.arange(400, 900, 10), [1.0] + [10.0] * 49, ("um", None), 1e-3, id="one narrow band"),
        pytest.param(np.arange(400, 900, 5), np.linspace(2, 3, 100), ("nm", "um"), 1.0, id="impossible unit"),
    ],
)
def test_widths_in_nm_beside_another_unit_are_kept_in_nm(centres, widths, units, factor):
    np.testing.assert_allclose(spectrum(centres, widths, *units, factor), widths, rtol=1e-6)


@pytest.mark.parametrize(
    ("centres", "widths"),
    [([490.0, 560, 665, 842, 1610], [0.065, 0.035, 0.03, 0.115, 0.09]), (np.arange(400, 1000, 0.74), 0.006)],
)
def test_widths_in_micrometres_without_a_unit_are_converted(centres, widths):
    np.testing.assert_allclose(spectrum(centres, widths, "nm", None), 1e3 * np.broadcast_to(widths, len(centres)))
