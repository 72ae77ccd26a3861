"""`hsifeat scenes`: the list in 120 columns, facts, the picture, as PIL reads it back."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hsifeat.errors import SceneError
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.colours import false_colour
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.scene_plot import MAX_PX, scene_plot_path, write_scene_plot


def hsifeat(*arguments, cwd=None, **environment):
    command = [Path(sys.executable).with_name("hsifeat"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})


def test_the_list_fits_into_120_columns():
    shown = hsifeat("scenes", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    table = [line for line in shown.stdout.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in table] == list(REGISTRY), "one line a scene: nothing is folded"
    assert max(map(len, table)) <= 120
    listed = {row["name"]: row for row in json.loads(hsifeat("scenes", "--json").stdout)}
    assert listed["indian-pines"]["here"] == "yes" and listed["ksc"]["here"] == "no"
    assert listed["ksc"]["checked"] is False and listed["ksc"]["class_names"]["13"] == "Water"


def run(*arguments):
    import cli

    ended = CliRunner().invoke(cli.app, ["scenes", "show", "indian-pines", *arguments])
    assert ended.exit_code == 0, ended.output
    return ended.stdout


def test_show_says_facts_and_writes_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run()
    assert "Soybean-mintill" in shown and shown.splitlines()[-1] == "picture: indian-pines.png"
    with Image.open("indian-pines.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    for colour in REGISTRY["indian-pines"].class_colours.values():
        assert tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5)) in colours
    assert run() == shown, "its own picture is written anew"
    Path("indian-pines.png").unlink()
    assert json.loads(run("--json"))["rows"] == 145 and not list(tmp_path.glob("*.png"))
    assert json.loads(run("--json", "--out", "a b.png"))["rows"] == 145 and Path("a b.png").exists()


def test_fetch_says_what_to_put_where(tmp_path):
    ended = hsifeat("scenes", "fetch", "salinas-a", HSIFEAT_SCENES=str(tmp_path))
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert f"put SalinasA_corrected.mat, SalinasA_gt.mat into {tmp_path / 'salinas-a'}" in ended.stderr
    ended = hsifeat("scenes", "fetch", "indian-pines", HSIFEAT_SCENES=str(tmp_path))
    assert ended.returncode == 0 and "indian-pines is on this machine" in ended.stdout


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
def test_every_shape_has_a_picture(tmp_path, rows, cols, maps):
    write_scene_plot(scene(rows, cols, maps), tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as image:
        assert image.width > 200 and image.height > 80 and image.format == "PNG"
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["x.png"]


def test_a_large_scene_is_drawn_by_every_nth_pixel():
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


def test_a_picture_goes_where_it_may(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = scene(5, 5, [])
    Image.new("L", (2, 2)).save("a scene.png")
    with pytest.raises(SceneError, match=r"a scene\.png exists and was not written by hsifeat.*--out"):
        scene_plot_path(one, None)
    with pytest.raises(SceneError, match=r"a \.png file; found 'x\.jpg'"):
        scene_plot_path(one, Path("x.jpg"))
    with pytest.raises(SceneError, match="no such folder: nowhere"):
        scene_plot_path(one, Path("nowhere/x.png"))
    Path("a scene.png").unlink()
    path = scene_plot_path(one, None)
    write_scene_plot(one, path)
    assert scene_plot_path(one, None) == path == Path("a scene.png")
