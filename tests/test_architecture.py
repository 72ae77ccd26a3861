"""The house itself: what is imported when, what the wheel holds, and that heads never touch the model."""

import ast
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import classifiers
from classifiers.heads.registry import head_class, head_names

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


def test_help_imports_nothing_heavy():
    code = """
import sys
sys.argv = ["hsifeat", "--help"]
import cli
try:
    cli.main()
except SystemExit as ended:
    assert ended.code == 0
heavy = {"torch", "diffusers", "sklearn", "lightgbm", "zarr", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    ended = python(code)
    assert ended.returncode == 0, ended.stderr
    assert "pretrain" in ended.stdout


def test_importing_the_packages_imports_nothing_else():
    code = "import sys, hsifeat, classifiers; assert not {'torch', 'numpy', 'zarr'} & set(sys.modules)"
    assert python(code).returncode == 0


def test_every_head_can_be_imported_from_the_package():
    heads = [head_class(name).__name__ for name in head_names()]
    assert set(heads) < set(classifiers.__all__)
    assert all(getattr(classifiers, name).__module__.startswith("classifiers.") for name in classifiers.__all__)


HEADS = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "diffusers" or name.startswith(("hsifeat.backbones", "hsifeat.extraction")):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Refuse())
from classifiers import PixelTable, head_names, make_head
table = PixelTable.from_store(sys.argv[1])
for name in head_names():
    head = make_head(name, layout=table.layout).fit(table.X[::7], table.y[::7])
    assert set(head.predict(table.X)) <= set(table.y)
    print(name)
assert not [m for m in sys.modules if m.partition(".")[0] == "diffusers"]
"""


def test_every_head_fits_where_importing_the_model_raises(store_path):
    ended = python(HEADS, store_path)
    assert ended.returncode == 0, ended.stderr
    assert {"film", "lightgbm", "mlp", "svm"} <= set(ended.stdout.split())


def test_every_import_is_a_declared_dependency():
    declared = {d.split("[")[0].split(">")[0].lower().replace("_", "-") for d in PROJECT["project"]["dependencies"]}
    owners = packages_distributions()
    ours = {"hsifeat", "classifiers", "cli"}
    for file in [ROOT / "cli.py", *(ROOT / "hsifeat").rglob("*.py"), *(ROOT / "classifiers").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {n.partition(".")[0] for n in names} - ours - set(sys.stdlib_module_names):
                distributions = {d.lower().replace("_", "-") for d in owners[name]}
                assert distributions & declared, f"{file.name} imports {name}, which pyproject.toml does not declare"


def test_every_version_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    assert {d.split("[")[0].split(">")[0] for d in wanted} <= pinned
    assert "torch==2.13.0" in lines


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_three_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"hsifeat", "classifiers", "cli.py", "hsifeat-0.1.0.dist-info"}
    in_tree = {
        str(p.relative_to(ROOT))
        for top in ("hsifeat", "classifiers")
        for p in (ROOT / top).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert {name for name in names if "dist-info" not in name} == in_tree | {"cli.py"}


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    """Nothing but the wheel is installed; its dependencies are lent by path, behind it, from this environment."""
    venv.create(tmp_path / "env", with_pip=False)
    binary = tmp_path / "env" / "bin"
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "--python", binary / "python", "install", "-q", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    lent = Path(next(p for p in sys.path if p.endswith("site-packages")))
    (site / "zz-lent.pth").write_text(f"{lent}\n")
    environment = {**os.environ, "HSIFEAT_CACHE": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment, "check": True}
    shown = subprocess.run([binary / "hsifeat", "scenes", "show", "indian-pines"], **options)
    assert "Soybean-mintill" in shown.stdout
    where = subprocess.run(
        [binary / "python", "-c", "import cli, classifiers; print(cli.__file__, classifiers.__file__)"], **options
    )
    assert all(str(site) in path for path in where.stdout.split())


def test_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout
