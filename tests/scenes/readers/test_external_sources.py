"""Files that refer to other files: h5py reads the reference inside the folder, and everything outside is refused."""

import h5py
import numpy as np
import pytest
import zarr
from spectral.io import envi

from hsifeat.errors import SceneError
from hsifeat.scenes import open_scene
from hsifeat.scenes.readers.single_file import read_file

VALUES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder with the scene and a source, and a folder outside with the same source."""
    for name in ("scene", "outside"):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "source.h5", "w") as file:
            file["cube"] = VALUES
        VALUES.tofile(tmp_path / name / "source.bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scene", tmp_path / "outside"


def write(path, kind, reference):
    with h5py.File(path, "w") as file:
        if kind == "link":
            file["group/cube"] = h5py.ExternalLink(reference, "/cube")
            file["other"] = VALUES
        elif kind == "virtual":
            layout = h5py.VirtualLayout(VALUES.shape, VALUES.dtype)
            layout[:] = h5py.VirtualSource(reference, "cube", shape=VALUES.shape)
            file.create_virtual_dataset("cube", layout)
        else:
            file.create_dataset("cube", VALUES.shape, VALUES.dtype, external=[(reference, 0, VALUES.nbytes)])


@pytest.mark.parametrize("suffix", [".h5", ".he5", ".mat", ".nc"])
@pytest.mark.parametrize("kind", ["link", "virtual", "storage"])
@pytest.mark.parametrize("how", ["absolute", "parent", "symlink", "nested"])
def test_references_out_of_the_folder_are_refused(folders, suffix, kind, how):
    folder, outside = folders
    source = "source.bin" if kind == "storage" else "source.h5"
    reference = {"absolute": str(outside / source), "parent": f"../outside/{source}"}.get(how, "inner.h5")
    if how == "symlink":
        (folder / "inner.h5").symlink_to(outside / source)
    if how == "nested":
        write(folder / "inner.h5", kind, str(outside / source))
        write(folder / f"s{suffix}", "virtual", "inner.h5")
    else:
        write(folder / f"s{suffix}", kind, reference)
    with pytest.raises(SceneError, match="refers to .*only files in its own folder are read|which is missing"):
        read_file(folder / f"s{suffix}", 3)


@pytest.mark.parametrize("suffix", [".h5", ".mat"])
def test_virtual_sources_in_the_folder_are_read(folders, suffix):
    write(folders[0] / f"s{suffix}", "virtual", "source.h5")
    with h5py.File(folders[0] / f"s{suffix}") as file:
        expected = file["cube"][:]
    assert expected.any()
    np.testing.assert_array_equal(np.asarray(read_file(folders[0] / f"s{suffix}", 3).array[:]), expected)


def test_a_missing_source_is_no_zeros(folders):
    write(folders[0] / "s.h5", "virtual", "source.h5")
    (folders[0] / "source.h5").unlink()
    with h5py.File(folders[0] / "s.h5") as file:
        assert not file["cube"][:].any(), "the HDF5 library says nothing"
    with pytest.raises(SceneError, match=r"s.h5 refers to source.h5 .*which is missing: copy it to"):
        open_scene(folders[0] / "s.h5")
    with h5py.File(folders[0] / "source.h5", "w") as file:
        file["else"] = VALUES
    with pytest.raises(SceneError, match="which has no such data set"):
        open_scene(folders[0] / "s.h5")


def test_a_circle_of_virtual_data_sets_ends(folders):
    write(folders[0] / "a.h5", "virtual", "b.h5")
    write(folders[0] / "b.h5", "virtual", "a.h5")
    with pytest.raises(SceneError, match="form a circle"):
        open_scene(folders[0] / "a.h5")


@pytest.mark.parametrize("key", ["c", "c/0/0/0"])
def test_links_out_of_a_zarr_folder_are_refused(folders, key):
    zarr.create_array(folders[0] / "s.zarr", data=VALUES, chunks=VALUES.shape)
    np.testing.assert_array_equal(np.asarray(read_file(folders[0] / "s.zarr", 3).array[:]), VALUES)
    (folders[0] / "s.zarr" / key).rename(folders[1] / "moved")
    (folders[0] / "s.zarr" / key).symlink_to(folders[1] / "moved")
    with pytest.raises(SceneError, match="is a link that leads out of"):
        read_file(folders[0] / "s.zarr", 3)


@pytest.mark.parametrize("is_linked", [False, True])
def test_links_beside_a_zarr_array_give_no_wavelengths(folders, is_linked):
    """The wavelengths of an array may lie in a group above the array, but not outside of the outermost group."""
    group = zarr.open_group(folders[0] / "s.zarr", mode="w")
    group.create_array("cube", data=VALUES, dimension_names=("y", "x", "band"))
    place = folders[1] / "w.zarr" if is_linked else folders[0] / "s.zarr" / "wavelength"
    vector = zarr.create_array(place, data=np.linspace(450.0, 900.0, 7), dimension_names=("band",))
    vector.attrs["units"] = "nm"
    if is_linked:
        (folders[0] / "s.zarr" / "wavelength").symlink_to(place)
    scene = open_scene(folders[0] / "s.zarr" / "cube")
    np.testing.assert_array_equal(scene.cube[:], VALUES)
    assert (scene.wavelengths_nm is None) == is_linked


def test_a_linked_data_file_of_an_envi_header_is_refused(folders):
    folder, outside = folders
    cube = np.ascontiguousarray(VALUES)
    envi.save_image(str(outside / "s.hdr"), cube, ext=".img")
    (folder / "s.hdr").symlink_to(outside / "s.hdr")
    (folder / "s.img").symlink_to(outside / "s.img")
    np.testing.assert_array_equal(np.asarray(open_scene(folder / "s.hdr").cube[:]), VALUES)
    (folder / "s.hdr").unlink()
    (folder / "s.hdr").write_bytes((outside / "s.hdr").read_bytes())
    with pytest.raises(
        SceneError, match=r"refers to s.img \(its data file\), and only files in its own folder are read"
    ):
        open_scene(folder / "s.hdr")


def test_data_sets_behind_links_are_found(tmp_path):
    cube = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["group/cube"] = cube
    for link, target, name in (("cube", "/group/cube", "cube"), ("all", "/group", "all/cube")):
        with h5py.File(tmp_path / f"{link}.h5", "w") as file:
            file[link] = h5py.ExternalLink("data.h5", target)
        scene = open_scene(tmp_path / f"{link}.h5", axes="rows,cols,bands")
        np.testing.assert_array_equal(scene.cube[:], cube)
        scene = open_scene(tmp_path / f"{link}.h5", axes="rows,cols,bands", variable=name)
        np.testing.assert_array_equal(scene.cube[:], cube)
