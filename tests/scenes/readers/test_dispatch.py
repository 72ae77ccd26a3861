"""Sources that every reader must handle alike: URLs, unusual paths, missing permissions."""

import os
import shlex
import stat

import numpy as np
import pytest
import rasterio

from hsifeat import open_scene
from hsifeat.errors import SceneError
from tests.helpers.scene_formats import CUBE, FORMATS, mat5


@pytest.mark.parametrize("source", ["https://example.org/a.tif", "s3://bucket/scene", "gs://bucket/a/b.zarr"])
def test_urls_are_refused(source):
    for call in (lambda: open_scene(source), lambda: open_scene([source, source])):
        with pytest.raises(SceneError, match="is a URL, and scenes are read from local files: download") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_unusual_paths_and_read_only_folders(tmp_path, name):
    """Spaces and non-ASCII letters, a folder that can't be written to, a link; nothing is left beside the file."""
    file, write = FORMATS[name]
    folder = tmp_path / "Ein Ordner: 高光谱 #1%20"
    folder.mkdir()
    write(folder / file, CUBE)
    before = sorted(folder.rglob("*"))
    link = tmp_path / "a link"
    link.symlink_to(folder, target_is_directory=True)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        for path in (folder / file, link / file):
            np.testing.assert_array_equal(np.asarray(open_scene(path).cube), CUBE)
        if file not in {"x.hdr", "x.zarr", "folder", "bands"}:
            (tmp_path / file).symlink_to(folder / file)
            np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / file).cube), CUBE)
        assert sorted(folder.rglob("*")) == before
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_file_without_read_permission(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read every file")
    mat5(tmp_path / "x.mat", CUBE)
    (tmp_path / "x.mat").chmod(0)
    with pytest.raises(SceneError, match=r"x\.mat can't be read"):
        open_scene(tmp_path / "x.mat")


@pytest.mark.parametrize(("driver", "name", "told"), [("PDS4", "a b.xml", "PDS4"), ("RRASTER", "x.grd", "R raster")])
def test_formats_that_are_not_opened_are_named_with_a_conversion(tmp_path, gdal, driver, name, told):
    FORMATS["tif"][1](tmp_path / "cube.tif", CUBE)
    gdal("gdal_translate", "-q", "-of", driver, tmp_path / "cube.tif", tmp_path / name)
    with pytest.raises(SceneError, match=f"is a {told} header, which names other files") as caught:
        open_scene(tmp_path / name)
    program, *words = shlex.split(str(caught.value).partition(" once by ")[2])
    gdal(program, "-q", *words)
    with rasterio.open(tmp_path / name) as source:
        np.testing.assert_array_equal(np.asarray(open_scene(words[-1]).cube), np.moveaxis(source.read(), 0, 2))
