"""The reflectance scale follows one rule in all formats: values are as stored, and a note states what was read."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

from hsifeat import open_scene
from hsifeat.scenes.readers.reflectance_scale import find_reflectance_scale

CUBE = np.random.default_rng(0).integers(0, 9000, (3, 4, 2)).astype(np.int16)


def written(folder, kind, factors, offsets):
    """Write a scene whose bands have these factors and offsets, in a format."""
    match kind:
        case "tif":
            path = folder / "x.tif"
            with rasterio.open(
                path,
                "w",
                driver="GTiff",
                width=4,
                height=3,
                count=2,
                dtype="int16",
                transform=rasterio.Affine(1, 0, 0, 0, -1, 0),
            ) as file:
                file.write(CUBE.transpose(2, 0, 1))
                file.scales, file.offsets = factors, offsets
        case "envi":
            path = folder / "x.hdr"
            CUBE.transpose(2, 0, 1).tofile(folder / "x.img")
            path.write_text(
                "ENVI\nsamples = 4\nlines = 3\nbands = 2\ndata type = 2\ninterleave = bsq\nbyte order = 0\n"
                f"data gain values = {{{factors[0]}, {factors[1]}}}\ndata offset values = {{{offsets[0]}, {offsets[1]}}}\n"
            )
            with rasterio.open(folder / "x.img") as file:
                assert file.scales == tuple(factors) and file.offsets == tuple(offsets)
        case "h5":
            path = folder / "x.h5"
            with h5py.File(path, "w") as file:
                file.create_dataset("img", data=CUBE).attrs.update({"scale_factor": factors, "add_offset": offsets})
        case _:
            path = folder / f"x.{kind}"
            attrs = {"scale_factor": factors[0], "add_offset": offsets[0]}
            data = xr.Dataset({"img": (("y", "x", "band"), CUBE, attrs)})
            data.to_netcdf(path, engine="h5netcdf") if kind == "nc" else data.to_zarr(
                path, zarr_format=3, consolidated=False
            )
    return path


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("kind", ["tif", "envi", "h5", "nc", "zarr"])
@pytest.mark.parametrize(
    ("factors", "offsets", "scale", "note"),
    [
        pytest.param([0.0001, 0.0001], [0, 0], 10000, "a stored 10000 is read as reflectance 1", id="shared"),
        pytest.param([0.0001, 0.0001], [-0.1, -0.1], 1, "because there is an offset", id="offset"),
        pytest.param([0.0001, 0.0002], [0, 0], 1, "because they differ between its bands", id="per-band"),
        pytest.param([10.0, 10.0], [0, 0], 1, "because the scale exceeds 1", id="above-1"),
        pytest.param([1.0, 1.0], [0, 0], 1, "", id="none"),
    ],
)
def test_formats_agree(tmp_path, kind, factors, offsets, scale, note):
    if kind in {"nc", "zarr"} and factors[0] != factors[1]:
        pytest.skip("CF has one factor for a variable")
    scene = open_scene(written(tmp_path, kind, factors, offsets))
    assert scene.scale == scale and note in " ".join(scene.notes)
    assert (" is read as reflectance" in " ".join(scene.notes) or "not applied" in " ".join(scene.notes)) == bool(note)
    np.testing.assert_array_equal(np.asarray(scene.cube), CUBE)


@pytest.mark.parametrize(
    ("unit", "description", "scale"),
    [
        pytest.param("%", "", 10000, id="percent"),
        pytest.param("W m-2 sr-1 um-1", "at-sensor signal", 1, id="unit"),
        pytest.param("", "radiance", 1, id="description"),
        pytest.param("", "surface reflectance from radiance", 100, id="reflectance"),
    ],
)
def test_units_and_descriptions(unit, description, scale):
    assert find_reflectance_scale([0.01], [0], "x", unit=unit, description=description)[0] == scale


def test_a_divisor_of_a_reflectance():
    assert find_reflectance_scale([10000], [0], "x", description="Reflectance_Data", divisors=True)[0] == 10000
    assert find_reflectance_scale([10000], [0], "x", description="Reflectance_Data")[0] == 1
