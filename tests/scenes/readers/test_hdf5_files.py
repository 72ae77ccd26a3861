"""HDF5 datasets whose values are not all in the file."""

import h5py
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
