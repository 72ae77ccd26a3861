"""Bands without values are named in a note, and a list of bands can leave them out."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from hsifeat import open_scene
from hsifeat.errors import ProjectionError, SceneError
from hsifeat.projection.fit import fit_projection

BANDS = 9


@pytest.fixture
def cube():
    return np.random.default_rng(0).uniform(0.1, 1, (6, 5, BANDS)).astype(np.float32)


def written(path, cube, nodata):
    rows, cols, bands = cube.shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=cols, count=bands, dtype="float32", nodata=nodata,
        crs="EPSG:32617", transform=Affine(10, 0, 500_000, 0, -10, 4_000_000),
    ) as file:  # fmt: skip
        file.write(cube.transpose(2, 0, 1))
        for band in range(bands):
            file.update_tags(band + 1, wavelength=str(450 + 50 * band), wavelength_units="nm")
    return path


@pytest.mark.parametrize("nodata", [np.nan, -9999, np.inf])
def test_bands_without_values_are_named_and_can_be_dropped(tmp_path, cube, nodata):
    full = cube.copy()
    cube[..., [2, 3, 4, 7]] = nodata
    cube[0, 0, 5] = nodata
    path = written(tmp_path / "x.tif", cube, nodata)
    advice = (
        r"the bands 2-4,7 \(counted from 0 as in `bad_bands`\) have no valid value: drop them with `bad_bands='2-4,7'`$"
    )
    with pytest.raises(ProjectionError, match=advice):
        fit_projection("pca:2", open_scene(path))
    scene = open_scene(path, bad_bands="2-4,7")
    kept = [0, 1, 5, 6, 8]
    np.testing.assert_array_equal(np.asarray(scene.cube)[1:], full[1:][..., kept])
    assert np.count_nonzero(~scene.valid) == 1 and scene.wavelengths_nm.tolist() == [450 + 50 * band for band in kept]
    assert scene.notes[-1] == "x: dropped 4 of 9 bands: 2-4,7"
    assert fit_projection("pca:2", scene).weights.shape[0] == 5


def test_a_scene_without_values_names_no_band(tmp_path, cube):
    path = written(tmp_path / "x.tif", np.full_like(cube, np.nan), np.nan)
    with pytest.raises(ProjectionError, match="or nothing but zeros$"):
        fit_projection("pca:2", open_scene(path))


def test_a_list_drops_bands_after_those_marked_in_the_file(tmp_path, cube, gdal):
    """The bands of a list are counted without those that the file marks."""
    gdal("gdal_translate", "-q", "-of", "ENVI", written(tmp_path / "x.tif", cube, -1), tmp_path / "x.img")
    header = tmp_path / "x.hdr"
    header.write_text(header.read_text() + "bbl = {0, 1, 1, 1, 1, 1, 1, 1, 1}\n")
    scene = open_scene(header, bad_bands="0, 6-7")
    np.testing.assert_array_equal(np.asarray(scene.cube), cube[..., [2, 3, 4, 5, 6]])
    assert scene.notes[-2:] == (
        "x.hdr: dropped 1 of 9 bands, which the file marks as bad",
        "x: dropped 3 of 8 bands: 0,6-7",
    )


def test_a_list_for_a_registry_scene():
    scene = open_scene("indian-pines", bad_bands="0-9,199")
    np.testing.assert_array_equal(scene.cube[:3, 4], open_scene("indian-pines").cube[:3, 4, 10:199])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("leave", "drop, keep, or a list such as 103-108,149; found 'leave'", id="word"),
        pytest.param("1,,2", "found '1,,2'", id="comma"),
        pytest.param("-1", "found '-1'", id="negative"),
        pytest.param("3-9", "has the bands 0 to 8; found 3-9", id="beyond"),
        pytest.param("5-2", "found 5-2", id="backwards"),
        pytest.param("0-8", "x: no band remains without 0-8", id="all"),
    ],
)
def test_invalid_lists_are_refused(tmp_path, cube, text, message):
    with pytest.raises(SceneError, match=message):
        open_scene(written(tmp_path / "x.tif", cube, -1), bad_bands=text)
