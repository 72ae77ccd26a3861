"""Commands that messages advise: typed as they stand, they do what the message says, for any path."""

import ast
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
import zarr
from scipy.io import savemat

import hsifeat
from hsifeat.commands.app import app
from hsifeat.commands.option_flags import with_flags
from hsifeat.errors import StoreError
from hsifeat.scenes import Scene
from tests.helpers.command_line import run_main
from tests.helpers.small import small_cube, small_labels

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(store_path, tmp_path):
    """A copy of a store in a folder whose name has special characters of a shell."""
    return shutil.copytree(store_path, tmp_path / "Bob's store; $HOME & (more).zarr")


def values(store):
    rows, cols = (index.ravel() for index in np.indices((75, 53)))
    return hsifeat.open_features(store).sample(rows, cols, planes=["t300/mid_block"])


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def advised(message):
    """Return the words of the command that a message advises."""
    (command,) = re.findall(r"(hsifeat cache verify .*?(?: --repair)?)(?= (?:computes|restores|shows)|$)", message)
    return shlex.split(command)[1:]


@pytest.mark.parametrize("file", ["planes/t0300/mid_block/c/0/0/0", "planes/t0300/mid_block/zarr.json"])
def test_a_damaged_store_is_whole_after_the_advised_command(store, store_path, file, cli):
    damage(store / file) if "/c/" in file else (store / file).unlink()
    message = cli("cache", "verify", store, status=1)
    assert re.search(r"(\d+\.\d\d)/\1 ", message), "the megabytes of its progress"
    with pytest.raises(StoreError) as error:
        values(store)
    for text in (message, str(error.value)):
        assert advised(text)[:3] == ["cache", "verify", str(store)], text
    assert run_main(*advised(message)) == 0
    np.testing.assert_array_equal(values(store), values(store_path))


@pytest.fixture(scope="module")
def places(store_path, backbone_folder, model_folder, tmp_path_factory):
    """Files and stores that the commands below name."""
    folder = tmp_path_factory.mktemp("advice")
    cube = small_cube(24, 20)
    np.save(folder / "cube.npy", cube)
    np.save(folder / "flat.npy", np.reshape(cube, (-1, 12)).T)
    savemat(folder / "two.mat", {"first": cube, "second": cube[:, :10]})
    np.save(folder / "roads.npy", (small_labels(24, 20) == 1).astype(np.uint8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HSIFEAT_CACHE", str(folder / "cache"))
        hsifeat.extract(Scene("bare", cube), backbone="context", layers=["mean-3"], out=folder / "bare.zarr")
    made = {path.stem.upper(): path for path in folder.iterdir() if path.suffix}
    return {"STORE": store_path, "BACKBONE": backbone_folder, "MODEL": model_folder, **made}


CONTEXT = "extract CUBE --backbone context --layers mean-3"
DEFAULT = "extract CUBE --backbone BACKBONE --timesteps 0 --layers up_blocks.2"
TINY = f"{DEFAULT} --tile 32 --halo 8"
FOLLOWED = [
    ("scenes show TWO", "choose one with --variable NAME", "scenes show TWO --variable second"),
    ("scenes show CUBE --rows 24", "leave out --rows and --cols", "scenes show CUBE"),
    ("scenes show FLAT", "--axes bands,pixels and --rows N", "scenes show FLAT --axes bands,pixels --rows 24"),
    ("scenes show FLAT --axes bands,pixels", "set --rows or --cols", "scenes show FLAT --axes bands,pixels --cols 20"),
    ("scenes show CUBE --out OUT/cube.tif", "must be a .png file", "scenes show CUBE --out OUT/cube.png"),
    ("export BARE --out OUT/x.npy", "export all valid pixels with --all", "export BARE --all --out OUT/x.npy"),
    ("export BARE --out OUT/x.npy", "add labels with hsifeat extract SCENE --labels FILE", f"{CONTEXT} --labels ROADS --out OUT/l.zarr"),
    (f"{CONTEXT} --timesteps 5 --out OUT/s.zarr", "leave out --timesteps", f"{CONTEXT} --out OUT/s.zarr"),
    (f"{TINY} --layers nope --out OUT/s.zarr", r"\(hsifeat layers BACKBONE lists all\)", "layers BACKBONE --all"),
    (f"{TINY} --origin=-9,-9 --layers mid_block --out OUT/s.zarr", "set --origin to multiples of 4, such as (?P<found>-?[0-9,-]+)", f"{TINY} --origin=FOUND --out OUT/s.zarr"),
    (f"{TINY} --stitch whole --out OUT/s.zarr", "no effect with --stitch whole: --halo, --tile; leave out these options", f"{DEFAULT} --stitch whole --out OUT/s.zarr"),
    (f"{TINY} --out STORE", "name another store with --out", f"{TINY} --out OUT/s.zarr"),
    (f"{DEFAULT} --tile 8 --pixels truth --out OUT/s.zarr", "attach some with --labels FILE", f"{DEFAULT} --tile 8 --labels ROADS --pixels roads --out OUT/s.zarr --dry-run"),
    ("predict MODEL STORE --out OUT/m.jpg", r"\.png", "predict MODEL STORE --out OUT/m.png"),
    ("predict MODEL STORE --probabilities --out OUT/m.png", r"write \.tif, \.npy or \.mat", "predict MODEL STORE --probabilities --out OUT/m.npy"),
    ("predict MODEL BARE --out OUT/m.png", "trained on planes of a diffusion model; bare has context features: name a store of such features", "predict MODEL STORE --out OUT/m.png"),
    ("fit STORE --labels nope --head lda", "it holds: fields", "fit STORE --labels fields --head lda --inputs spectra"),
    ("fit STORE --head lad", "nearest: lda", "fit STORE --head lda --inputs spectra"),
    ("fit STORE --head lda --inputs spectre", "nearest: spectra", "fit STORE --head lda --inputs spectra"),
    ("fit STORE --head lda --set C=1", "allowed: ", "fit STORE --head lda --inputs spectra --set shrinkage=0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "advice", "right"), FOLLOWED)
def test_advice_can_be_followed(places, cli, tmp_path, monkeypatch, wrong, advice, right):
    def run(command, found="", status=0):
        words = {**places, "FOUND": found, "OUT": tmp_path}
        return cli(
            *(re.sub("[A-Z]{3,}", lambda match: str(words[match[0]]), word) for word in command.split(" ")),
            status=status,
        )

    monkeypatch.chdir(tmp_path)
    message = run(wrong, status=1)
    match = re.search(advice, message)
    assert match, message
    run(right, match.groupdict().get("found", ""))


# Modules that write command lines, style sheets or LaTeX.
OTHER_TEXTS = [
    "comparison/config.py",
    "comparison/contrasts.py",
    "latex.py",
    "plot.py",
    "model_writer.py",
    "training_card.py",
]


def test_options_that_texts_name_exist():
    """All options in texts exist.

    Messages of the library write options as in Python (`halo=8`). Only lines that begin with hsifeat have command-line options.
    """
    named, unspelled = set(), set()
    for file in (path for package in ("hsifeat", "classifiers") for path in (ROOT / package).rglob("*.py")):
        spells_flags = {"commands", "service"} & {*file.parts} or file.as_posix().endswith(tuple(OTHER_TEXTS))
        for text, is_message in _texts(ast.parse(file.read_text(encoding="utf-8"))):
            flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
            named |= flags
            if is_message and not spells_flags:
                named |= {with_flags(f"`{name}`") for name in re.findall("`([a-z][a-z0-9_]*)[=`]", text)}
                unspelled |= set() if re.search("hsifeat [a-z]+ |^ --", text) else flags
    assert len(named) > 60
    # Examples of base_config, marks of drawings and LaTeX, an option of `dask worker`, and parts that option_flags.py handles.
    assert named - _options(typer.main.get_command(app)) <= {
        "--yes",
        "--no",
        "--help",
        "--paper",
        "--rwrap",
        "--memory-limit",
        "--executor",
        "--no-",
    }
    assert unspelled <= {"--memory-limit"}


def _texts(module):
    """Yield the texts of a module, and whether each is neither a docstring nor a help text."""
    nodes = list(ast.walk(module))
    helps = [
        node
        for node in nodes
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"option", "Field", "shell_command"}
    ]
    docs = [node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    silent = {id(node) for part in (*helps, *docs) for node in ast.walk(part)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value, id(node) not in silent


def _options(command):
    own = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return own.union(*(_options(sub) for sub in getattr(command, "commands", {}).values()))


def test_a_part_of_a_store_is_told_from_a_damaged_store(store_path, tmp_path, cli):
    """Every group and array in a store is a Zarr node of its own, but only the whole can be verified."""
    parts = [file.parent for file in store_path.rglob("zarr.json") if file.parent != store_path]
    assert {"scene", "mid_block"} <= {part.name for part in parts}
    for part in (*parts, store_path / "scene"):
        assert f"{part} is a part of the store {store_path}: name the store" in cli("cache", "verify", part, status=1)
    zarr.create_group(tmp_path / "other.zarr")
    assert "other.zarr is a Zarr group or array, but no store" in cli(
        "cache", "verify", tmp_path / "other.zarr", status=1
    )
    cli("cache", "verify", store_path)
