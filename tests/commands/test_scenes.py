"""`hsifeat scenes`: the table in 120 columns, the summary and picture of a scene, and downloads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.registry import REGISTRY


def hsifeat(*arguments, cwd=None, **environment):
    command = [Path(sys.executable).with_name("hsifeat"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment})


def test_the_table_fits_into_120_columns():
    shown = hsifeat("scenes", COLUMNS="120")
    assert shown.returncode == 0, shown.stderr
    table = [line for line in shown.stdout.splitlines() if line.startswith("│")]
    assert [line.split()[1] for line in table] == list(REGISTRY), "one line a scene: nothing is folded"
    assert max(map(len, table)) <= 120
    listed = {row["name"]: row for row in json.loads(run("--json"))}
    assert listed["indian-pines"]["here"] == "yes" and listed["ksc"]["here"] == "no"
    assert listed["ksc"]["checked"] is False and listed["ksc"]["class_names"]["13"] == "Water"


def run(*arguments):
    """Run `hsifeat scenes` in this process and return its output."""
    from hsifeat.commands.app import app

    result = CliRunner().invoke(app, ["scenes", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def show(*arguments):
    return run("show", "indian-pines", *arguments)


def test_show_prints_a_summary_and_writes_a_picture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = show()
    assert "Soybean-mintill" in shown and shown.splitlines()[-1] == "picture: indian-pines.png"
    with Image.open("indian-pines.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(2**24)}
    for colour in REGISTRY["indian-pines"].class_colours.values():
        assert tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5)) in colours
    assert show() == shown, "its own picture is written anew"
    Path("indian-pines.png").unlink()
    assert json.loads(show("--json"))["rows"] == 145 and not list(tmp_path.glob("*.png"))
    assert json.loads(show("--json", "--out", "a b.png"))["rows"] == 145 and Path("a b.png").exists()


def test_fetch_gives_instructions_for_manual_downloads(tmp_path, monkeypatch):
    completed = hsifeat("scenes", "fetch", "salinas-a", HSIFEAT_SCENES=str(tmp_path))
    assert completed.returncode == 1 and "Traceback" not in completed.stderr
    assert f"put SalinasA_corrected.mat, SalinasA_gt.mat into {tmp_path / 'salinas-a'}" in completed.stderr
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path))
    assert "indian-pines is on this machine" in run("fetch", "indian-pines")


def scene(rows, cols, maps):
    rng = np.random.default_rng(0)
    labels = {f"map {n}": Labels(f"map {n}", rng.integers(0, 4, (rows, cols)), names) for n, names in enumerate(maps)}
    return Scene("a scene", rng.random((rows, cols, 5)), None, labels)
