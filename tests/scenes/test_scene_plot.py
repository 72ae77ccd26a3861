"""The picture of a scene, as Pillow reads it."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hsifeat.errors import SceneError, StoreError
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.colours import false_colour
from hsifeat.scenes.scene_plot import MAX_PX, scene_plot_path, write_scene_plot


def hsifeat(*arguments, cwd=None, **environment):
    command = [Path(sys.executable).with_name("hsifeat"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})


def run(*arguments):
    from hsifeat.commands.app import app

    completed = CliRunner().invoke(app, ["scenes", "show", "indian-pines", *arguments])
    assert completed.exit_code == 0, completed.output
    return completed.stdout


def scene(rows, cols, maps):
    rng = np.random.default_rng(0)
    labels = {f"map {n}": Labels(f"map {n}", rng.integers(0, 4, (rows, cols)), names) for n, names in enumerate(maps)}
    return Scene("a scene", rng.random((rows, cols, 5)), None, labels)


@pytest.mark.parametrize(
    ("rows", "cols", "maps"),
    [
        pytest.param(30, 20, [], id="no-labels"),
        pytest.param(20, 30, [{1: "corn $x^2"}], id="one"),
        pytest.param(9, 90, [{1: "corn"}, {1: "corn"}], id="wide"),
        pytest.param(9, 90, [{1: "corn"}, {1: "wheat"}], id="wide-other-classes"),
        pytest.param(90, 9, [{1: "corn"}, {1: "wheat"}], id="high-other-classes"),
        pytest.param(1, 1, [{1: "corn"}], id="one-pixel"),
        pytest.param(3, 2500, [{1: "corn"}], id="long"),
    ],
)
def test_pictures_of_scenes_of_every_shape(tmp_path, rows, cols, maps):
    write_scene_plot(scene(rows, cols, maps), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.width > 200 and image.height > 80 and image.format == "PNG"
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["x.png"]


def test_letters_that_no_font_has_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.formatting.installed_fallbacks", tuple)
    assert write_scene_plot(scene(30, 20, [{1: "corn"}]), tmp_path / "x.png") == ()
    (note,) = write_scene_plot(scene(30, 20, [{1: "corn", 2: "小麦"}, {1: "玉米"}]), tmp_path / "y.png")
    assert note.startswith("y.png: letters that no font of figures has are drawn as boxes")


def test_of_a_large_scene_every_nth_pixel_is_drawn():
    class Counted:
        shape, dtype, read = (3 * MAX_PX, 7, 3), np.dtype(np.uint16), 0

        def __getitem__(self, key):
            values = np.broadcast_to(np.arange(self.shape[0], dtype=np.uint16)[:, None, None], self.shape)[key]
            self.read = max(self.read, values.size)
            return values

    cube = Counted()
    picture = false_colour(cube, step=3)
    assert picture.shape == (MAX_PX, 3, 3)
    whole = false_colour(np.asarray(cube[:, :, :]))
    np.testing.assert_array_equal(picture, whole[::3, ::3])


def test_the_path_of_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = scene(5, 5, [])
    Image.new("L", (2, 2)).save("a scene.png")
    with pytest.raises(StoreError, match=r"a scene\.png exists, and is no picture that hsifeat wrote"):
        scene_plot_path(one, None)
    with pytest.raises(SceneError, match=r"a \.png file; found 'x\.jpg'"):
        scene_plot_path(one, Path("x.jpg"))
    with pytest.raises(SceneError, match="no such folder: nowhere"):
        scene_plot_path(one, Path("nowhere/x.png"))
    Path("a scene.png").unlink()
    path = scene_plot_path(one, None)
    write_scene_plot(one, path)
    assert scene_plot_path(one, None) == path == Path("a scene.png")
