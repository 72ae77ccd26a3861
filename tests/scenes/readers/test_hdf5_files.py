"""HDF5 files that are no NetCDF files: values that are not all in the file, dimension scales on some axes."""

import h5py
import numpy as np
import pytest

from hsifeat import open_scene
from hsifeat.errors import SceneError


def test_missing_chunks_are_noted_or_refused(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (8, 6, 4), "i2", chunks=(4, 6, 4), fillvalue=3)[:4] = 1
        file.create_dataset("b", (8, 6, 4), "i2", chunks=(4, 6, 4))
        file.create_dataset("c", (8, 6, 4), "i2")
    note = "x.h5: holds 1 of the 2 chunks of a; the others are read as its fill value"
    assert note in open_scene(tmp_path / "x.h5", variable="a").notes
    with pytest.raises(SceneError, match="holds none of the 2 chunks of b"):
        open_scene(tmp_path / "x.h5", variable="b")
    with pytest.raises(SceneError, match=r"holds 0 bytes of /c, which has 8 x 6 x 4 values of int16"):
        open_scene(tmp_path / "x.h5", variable="c")


@pytest.mark.parametrize("axes", [(2,), (0,), (0, 1)])
def test_dimension_scales_on_some_axes(tmp_path, axes):
    """h5py attaches scales to any axes; NetCDF names all of them."""
    cube, sizes = np.random.default_rng(0).random((6, 5, 4)).astype(np.float32), {"y": 6, "x": 5, "wavelength": 4}
    for name in ("x.h5", "x.nc"):
        with h5py.File(tmp_path / name, "w") as file:
            dataset = file.create_dataset("cube", data=cube)
            file["wavelength"] = [450.0, 550, 650, 900]
            for axis in axes:
                dim = list(sizes)[axis]
                scale = file.require_dataset(dim, sizes[dim], np.float64)
                scale.make_scale(dim)
                dataset.dims[axis].attach_scale(scale)
            file["wavelength"].attrs["units"] = "nm"
    scene = open_scene(tmp_path / "x.h5", variable="cube")
    np.testing.assert_array_equal(scene.cube, cube)
    np.testing.assert_array_equal(scene.wavelengths_nm, [450, 550, 650, 900])
    assert "x.h5: dimension scales name only some axes of cube; they are ignored" in scene.notes
    with pytest.raises(
        SceneError, match=r"name only some axes of cube, but NetCDF names all: give the file the suffix \.h5"
    ):
        open_scene(tmp_path / "x.nc", variable="cube")
