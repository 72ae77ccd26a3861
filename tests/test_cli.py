"""The command line as users meet it: the whole way on a small scene, and one clear message for each mistake."""

import asyncio
import json
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hsifeat.errors import OutOfMemoryError
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.small import small_cube, small_labels

HSIFEAT = Path(sys.executable).with_name("hsifeat")


@pytest.fixture
def hsifeat(cli, tmp_path, monkeypatch):
    """Run a command in a folder of its own; return its output, or its messages if it must fail."""
    monkeypatch.chdir(tmp_path)
    return cli


@pytest.fixture
def files(tmp_path):
    """A scene and its labels in files, in a folder that holds nothing else."""
    scipy.io.savemat(tmp_path / "my scene.mat", {"img": small_cube(), "note": "hello"})
    np.save(tmp_path / "truth.npy", small_labels())
    return tmp_path


def test_whole_way_on_a_user_file(hsifeat, files, backbone_folder):
    scene = ["my scene.mat", "--labels", "truth.npy"]
    tiles = ["--tile", 32, "--halo", 8, "--timesteps", 300]
    output = hsifeat("extract", *scene, "--backbone", backbone_folder, *tiles, "--out", "s.zarr", "--dry-run")
    assert "forward passes: 20 remaining of 20, tiles of 32 px" in output
    assert "t300/up_blocks.2" in output
    assert re.search(r"time: about \S.* on cpu", output)
    assert not (files / "s.zarr").exists()
    assert "store: s.zarr" in hsifeat("extract", *scene, "--backbone", backbone_folder, *tiles, "--out", "s.zarr")
    assert "to do" not in hsifeat(
        "extract", *scene, "--backbone", backbone_folder, *tiles, "--out", "s.zarr", "--dry-run"
    )

    output = hsifeat("fit", "--head", "svm", "--split", "blocks:9+0:0.3", "--set", "C=5", "--out", "model")
    assert "svm on s: trained on" in output
    assert "blocks:9+0:0.3, carry over: OA " in output
    output = hsifeat("predict", "model", "s", "--out", "map.npy")
    assert "trained on spectra+planes of s (key " in output and "labels truth of my scene, columns reduced" in output
    assert "blocks:9+0:0.3: OA " in output and "map of s: map.npy (smoothed by " in output
    classes = np.load(files / "map.npy")
    assert classes.shape == (75, 53) and set(np.unique(classes)) <= {1, 2, 3, 4}
    assert "map.png (not smoothed)" in hsifeat("predict", "model", "--smooth", "none", "--out", "map.png")
    assert (files / "map.png").read_bytes().startswith(b"\x89PNG")
    tuning = ["--tune", "--set", "shrinkage=0.3", "--set", "plane_components=25"]
    output = hsifeat("fit", "--head", "lda", "--split", "blocks:9+0:0.5", *tuning, "--out", "tuned")
    assert "tuned by 5 folds of whole regions (4 of 4 classes" in output
    assert output.count(", gain ") == 3 and "compare these numbers with each other, not with test scores" in output
    params = json.loads((files / "tuned" / "model.json").read_text())["params"]
    choice = json.loads((files / "tuned" / "model.json").read_text())["meta"]["tuning"]["choice"]["params"]
    assert params["shrinkage"] == 0.3 and params["plane_components"] == 25 and params.items() >= choice.items()
    output = hsifeat("predict", "model", "--out", "p.tif", "--probabilities", status=1)
    assert "SVMClassifier has no class probabilities: fit a head that has them" in output
    hsifeat("fit", "--head", "lightgbm", "--set", "n_estimators=20", "--inputs", "spectra", "--out", "trees")
    assert "probabilities of s: p.npy" in hsifeat("predict", "trees", "--out", "p.npy", "--probabilities")
    assert np.load(files / "p.npy").shape == (75, 53, 4)

    splits = ["--splits", "random:0.2,blocks:9+1:0.3", "--seeds", 1]
    output = hsifeat(
        "bench", "s.zarr", "--heads", "lda", "--inputs", "spectra,planes", *splits, "--no-sweep", "--jobs", 1
    )
    assert "OA blocks:9+1:0.3" in output and "classes left out: none" in output
    results = json.loads((files / "report" / "results.json").read_text())
    assert len(results["runs"]) == 2 * 2
    page = (files / "report" / "report.html").read_text()
    assert "lda" in page and "http-equiv" in page
    assert (files / "report" / "results.csv").read_text().count("\n") == 1 + 4


def test_listings(hsifeat, backbone_folder):
    assert json.loads(hsifeat("scenes", "--json"))[0]["name"] == "indian-pines"
    shown = json.loads(hsifeat("scenes", "show", "indian-pines", "--json"))
    assert shown["bands"] == 200 and len(shown["labels"]["ground-truth"]) == 16
    layers = {row["name"]: row for row in json.loads(hsifeat("layers", backbone_folder, "--json"))}
    assert layers["up_blocks.1"]["alias"] == "output_blocks.3"
    assert "up_blocks.1.resnets.0.conv1" not in layers
    assert "up_blocks.1.resnets.0.conv1" in hsifeat("layers", backbone_folder, "--all", "--json")
    assert json.loads(hsifeat("backbones", "--json"))
    heads = {head["name"]: head for head in json.loads(hsifeat("heads", "--json"))}
    assert heads["film"]["needs"] == ["spectra", "context or plane"] and heads["mtmsd"]["wants"] == ["mean"]
    assert heads["svm"]["parameters"]["C"] == 10 and not heads["svm"]["probabilities"]
    assert "few labels" in hsifeat("heads")
    facts = json.loads(hsifeat("info", "--json"))[0]
    assert facts["torch"] and facts["cores"] >= 1


@pytest.mark.parametrize(
    "verb",
    [
        "backbones",
        "layers",
        "pretrain",
        "timesteps",
        "extract",
        "heads",
        "fit",
        "predict",
        "export",
        "bench",
        "sweep",
        "info",
        "scenes",
    ],
)
def test_every_verb_has_help_with_an_example(hsifeat, verb):
    assert f"hsifeat {verb}" in hsifeat(verb, "--help").replace("\n", " ")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        pytest.param(["extract", "nowhere.mat", "--backbone", "b"], 1, "no such file: nowhere.mat", id="missing-file"),
        pytest.param(["extract", "two.mat", "--backbone", "b"], 1, "has 2 arrays of 3 dimensions; it holds a 3 x 4 x 5, b 3 x 4 x 5", id="candidates"),
        pytest.param(["extract", "my scene.mat", "--labels", "wrong.npy", "--backbone", "b"], 1, "labels are 9 x 9 pixels, but the scene my scene is 75 x 53", id="labels"),
        pytest.param(["extract", "my scene.mat", "--backbone", "BACKBONE", "--layers", "up_block.1"], 1, "unknown layer 'up_block.1'; nearest: up_blocks.1", id="layer"),
        pytest.param(["extract", "my scene.mat", "--backbone", "BACKBONE", "--timesteps", "0,1000"], 1, "timestep 1000 is out of range", id="timestep"),
        pytest.param(["extract", "my scene.mat", "--backbone", "BACKBONE", "--timesteps", "ten"], 2, "expected whole numbers, or auto:N such as auto:5; found 'ten'", id="timestep-text"),
        pytest.param(["extract", "cut.mat", "--backbone", "b"], 1, "cut.mat can't be read, it may be truncated", id="truncated"),
        pytest.param(["extract", "my scene.mat", "--backbone", "BACKBONE", "--out", "STORE"], 1, "holds planes of another recipe", id="recipe"),
        pytest.param(["extract"], 2, "Missing argument 'SCENE'", id="usage"),
        pytest.param(["fit", "--head", "film"], 1, "no complete store on this machine", id="no-store"),
        pytest.param(["fit", "STORE", "--head", "flim"], 1, "no head is named 'flim'; nearest: film", id="head"),
        pytest.param(["fit", "STORE", "--head", "svm", "--set", "CC=1"], 1, "has no parameter 'CC'", id="parameter"),
        pytest.param(["fit", "STORE", "--head", "svm", "--set", "C=-1"], 1, "C of the head svm is -1; allowed: a number from 1e-09 to 1000000000; the default is C=10.0", id="parameter-value"),
        pytest.param(["fit", "STORE", "--head", "mlp", "--set", "epochs=ten"], 1, "epochs of the head mlp is 'ten'; allowed: a whole number", id="parameter-kind"),
        pytest.param(["fit", "STORE", "--head", "film", "--inputs", "spectra"], 1, "the head film needs context or planes, which the input spectra lacks", id="inputs"),
        pytest.param(["fit", "STORE", "--head", "svm", "--planes", ","], 2, "--planes takes PLANE,PLANE; found ','", id="no-planes"),
        pytest.param(["fit", "STORE", "--head", "svm", "--seed", "99999999999"], 2, "--seed", id="seed"),
        pytest.param(["fit", "STORE", "--head", "svm", "--out", "truth.npy/x"], 1, "truth.npy/x", id="file-as-folder"),
        pytest.param(["extract", "my scene.mat", "--backbone", "BACKBONE", "--tile", "32", "--halo", "8", "--out", "truth.npy/x"], 1, "truth.npy", id="file-as-folder-of-a-store"),
        pytest.param(["fit", "STORE", "--head", "svm", "--set", "C"], 2, "--set takes name=value", id="assignment"),
        pytest.param(["predict", "nowhere", "STORE", "--out", "m.png"], 1, "nowhere", id="no-model"),
        pytest.param(["predict", "nowhere", "STORE", "--out", "m.jpg"], 1, ".npy or .mat; found 'm.jpg'", id="map-suffix"),
        pytest.param(["predict", "nowhere", "STORE", "--out", "none/m.tif"], 1, "no such folder: none", id="map-folder"),
        pytest.param(["predict", "nowhere", "STORE", "--out", "m.png", "--probabilities"], 1, "write .tif, .npy or .mat; found 'm.png'", id="probabilities-picture"),
        pytest.param(["bench", "STORE", "--splits", "block:1"], 1, "unknown split 'block:1'; allowed: random:F", id="split"),
        pytest.param(["pretrain", "my scene.mat", "--network", "unet", "--out", "x"], 1, "unknown network 'unet'", id="network"),
        pytest.param(["pretrain", "my scene.mat", "--steps", "0", "--out", "x"], 2, "Invalid value for '--steps'", id="budget"),
        pytest.param(["layers", "nowhere"], 1, "no such file or folder: nowhere", id="backbone"),
    ],
)  # fmt: skip
def test_wrong_input_has_one_clear_message(hsifeat, files, backbone_folder, store_path, arguments, status, message):
    scipy.io.savemat(files / "two.mat", {"a": np.ones((3, 4, 5)), "b": np.ones((3, 4, 5))})
    (files / "cut.mat").write_bytes((files / "my scene.mat").read_bytes()[:9000])
    np.save(files / "wrong.npy", np.ones((9, 9), int))
    before = sorted(p.name for p in files.iterdir())
    paths = {"BACKBONE": backbone_folder, "STORE": store_path}
    output = hsifeat(*(paths.get(a, a) for a in arguments), status=status)
    assert message in output.replace("│ ", "")
    after = sorted(p.name for p in files.iterdir() if p.name != "cache")
    assert after == before, "an error leaves files behind"


def test_debug_shows_the_traceback(files):
    process = subprocess.run([HSIFEAT, "layers", "nowhere", "--debug"], capture_output=True, text=True, check=False)
    assert process.returncode == 1 and "Traceback" in process.stderr


def test_the_modules_are_not_searched_for_garbage_at_the_end(files):
    code = "import atexit, cli, gc, sys; sys.argv = ['hsifeat', 'info']\n"
    code += "atexit.register(lambda: print(gc.get_freeze_count() > len(sys.modules)))\ncli.main()"
    # Functions run at exit in reverse order: that of `main`, which is registered last, runs first.
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.endswith("True\n")


def test_interrupted_is_130(files, backbone_folder):
    code = "import cli, sys; sys.argv = ['hsifeat', 'scenes']\nimport hsifeat.scenes.registry as r\n"
    code += "class Stop(dict):\n    def values(self): raise KeyboardInterrupt\nr.REGISTRY = Stop()\ncli.main()"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 130


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("can't start new thread"),
        RuntimeError("could not create a primitive"),
        ImportError("libx.so: cannot allocate memory in static TLS block"),
        ImportError("libx.so: failed to map segment from shared object"),
        OutOfMemoryError("memory ran out (x): use fewer --jobs, a smaller --batch, or fewer planes"),
    ],
)
def test_memory_that_runs_out_is_one_message_with_advice(hsifeat, monkeypatch, error):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("hsifeat.commands.app.app", fail)
    message = hsifeat("fit", "x.zarr", status=1)
    reason = "x" if isinstance(error, OutOfMemoryError) else error
    assert f"memory ran out ({reason}): use fewer --jobs, a smaller --batch, or fewer planes" in message
    assert message.count("use fewer") == 1


def end_reading_thread():
    """End the thread of Zarr that reads files."""

    def fail(_):
        raise MemoryError

    asyncio.BaseEventLoop.run_forever = fail


def test_memory_that_runs_out_in_a_thread_ends_the_command(store_path):
    """Without this, Zarr would wait for its thread forever."""
    command = ForkedCommand("cache", "verify", store_path, patch=end_reading_thread)
    command.process.join(30)
    command.process.kill()
    ended = command.wait()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("error: memory ran out: use fewer --jobs")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (BrokenPipeError(32, "Broken pipe"), "error: a connection failed (Broken pipe): run the command again"),
        (TimeoutError("timed out"), "error: a connection failed (timed out): run the command again"),
        (OSError(24, "Too many open files"), "error: the system refused an operation: Too many open files"),
        (OSError(5, "Input/output error", "x.npy"), "error: x.npy can't be used: Input/output error"),
        (OSError("the model has no file config.json"), "error: the model has no file config.json"),
    ],
)
def test_errors_of_the_system_say_what_failed(hsifeat, monkeypatch, error, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("hsifeat.commands.app.app", fail)
    assert hsifeat("info", status=1) == message


def test_a_deleted_current_folder_is_said(hsifeat, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert "the current folder was deleted: change to another folder" in hsifeat("fit", "x", "--out", "m", status=1)


def test_the_version_is_that_of_the_package():
    shown = subprocess.run([HSIFEAT, "--version"], capture_output=True, text=True, check=True).stdout
    assert shown == f"hsifeat {version('hsifeat')}\n"
