"""The architecture: import contracts, lazy imports, unique names, mirrored tests, dependencies and the wheel."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections import defaultdict
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import classifiers
import hsifeat
from classifiers.heads.registry import head_class, head_names
from hsifeat.errors import HsifeatError

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES = [file for top in ("hsifeat", "classifiers") for file in sorted((ROOT / top).rglob("*.py"))]
# Their examples are not run: training takes a minute.
TOO_SLOW_EXAMPLES = {"dask_executor", "pretrain", "write_report"}
ERRORS = {name for name, one in vars(hsifeat.errors).items() if isinstance(one, type) and issubclass(one, HsifeatError)}
PUBLIC = [(package, name) for package in (hsifeat, classifiers) for name in package.__all__ if name != "__version__"]


def python(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, **options
    )


@cache
def parsed(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def relative(file):
    return file.relative_to(ROOT).as_posix()


# Imports --------------------------------------------------------------------------------------------------------------


def test_import_contracts_hold():
    command = Path(sys.executable).with_name("lint-imports")
    process = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout


def test_contracts_name_every_room():
    """A new package or module of hsifeat must be placed in the layers, and must be forbidden to import classifiers."""
    rooms = {
        f"hsifeat.{p.stem}" for p in (ROOT / "hsifeat").iterdir() if p.stem not in {"__init__", "__pycache__", "py"}
    }
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    assert {room for layer in layers for room in layer.replace(":", "|").replace(" ", "").split("|")} >= rooms
    (separate,) = [c for c in contracts if c.get("forbidden_modules") == ["classifiers"]]
    assert set(separate["source_modules"]) == rooms - {"hsifeat.commands", "hsifeat.service"}


def test_help_imports_nothing_heavy():
    code = """
import sys
sys.argv = ["hsifeat", "--help"]
import cli
try:
    cli.main()
except SystemExit as exit_:
    assert exit_.code == 0
heavy = {"torch", "diffusers", "sklearn", "lightgbm", "zarr", "matplotlib", "scipy", "numpy", "pandas"} & set(sys.modules)
assert not heavy, heavy
"""
    process = python(code)
    assert process.returncode == 0, process.stderr
    assert "pretrain" in process.stdout


def test_finished_stores_models_and_info_import_no_torch(scene, store_path, backbone_folder, model_folder, tmp_path):
    """The description of the backbone is in the cache folder, so torch is not needed.

    Opening a public scene does not import the package that contains the scene.
    """
    import torch

    from hsifeat.backbones.device import auto_device_name
    from tests.helpers.extraction import prepare

    options = {"backbone": backbone_folder, "timesteps": [0, 300], "tile": 32, "halo": 8, "out": store_path}
    hsifeat.run(prepare(scene, **options))
    assert auto_device_name() == (torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu")
    code = """
import sys, hsifeat
store = hsifeat.extract(hsifeat.open_features(sys.argv[1]).scene, backbone=sys.argv[2], timesteps=[0, 300], tile=32, halo=8, out=sys.argv[1])
hsifeat.open_scene("indian-pines").digest
from classifiers import load_model
from classifiers.persistence import save_head
save_head(load_model(sys.argv[4]).head, "again", meta={})
if sys.argv[3] == "cpu":
    from hsifeat.backbones.device import auto_device_name
    assert auto_device_name() == "cpu"
heavy = {"torch", "diffusers", "transformers", "tensorly", "lightgbm", "matplotlib", "rasterio"} & set(sys.modules)
assert not heavy, heavy
"""
    device = "gpu" if torch.version.cuda or torch.version.hip else "cpu"
    process = python(code, store_path, backbone_folder, device, model_folder, cwd=tmp_path)
    assert process.returncode == 0, process.stderr


def test_listing_layers_loads_one_network_of_diffusers(backbone_folder):
    code = """
import sys
from hsifeat.backbones.open_backbone import open_backbone
assert open_backbone(sys.argv[1]).taps
heavy = {"transformers", "scipy", "torch._dynamo", "diffusers.loaders.lora_base"} & set(sys.modules)
assert not heavy, heavy
from torch.utils.flop_counter import _FlopCounterMode
assert "__dynamo_disable" not in vars(_FlopCounterMode.__torch_dispatch__.__wrapped__)
assert type(sys.modules["diffusers.models.unets"]).__name__ == "_DeferredPackage"
"""
    process = python(code, backbone_folder)
    assert process.returncode == 0, process.stderr


def test_importing_the_packages_imports_nothing_else_and_a_service_starts_without_models():
    code = """
import sys, hsifeat, classifiers
assert not {"torch", "numpy", "zarr"} & set(sys.modules)
import hsifeat.service.server
assert not {"torch", "diffusers", "sklearn", "scipy", "matplotlib", "pandas", "rasterio"} & set(sys.modules)
"""
    process = python(code)
    assert process.returncode == 0, process.stderr


HEADS = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "diffusers" or name.startswith(("hsifeat.backbones", "hsifeat.extraction")):
            raise ImportError(f"{name} must not be imported here")

sys.meta_path.insert(0, Refuse())
from classifiers import PixelTable, head_names, make_head
from tests.helpers.heads import quick_params
table = PixelTable.from_store(sys.argv[1])
for name in head_names():
    head = make_head(name, layout=table.layout, **quick_params(name))
    head.set_params(**{key: 1 for key in ("epochs", "members") if key in head.get_params()})
    head.fit(table.X[::20], table.y[::20])
    assert set(head.predict(table.X[:100])) <= set(table.y)
    print(name)
assert not [m for m in sys.modules if m.partition(".")[0] == "diffusers"]
"""


def test_every_head_fits_where_importing_the_model_raises(store_path):
    process = python(HEADS, store_path, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    assert {"film", "lightgbm", "mlp", "svm"} <= set(process.stdout.split())


# Names ----------------------------------------------------------------------------------------------------------------

# Names that two packages use for the same thing on their own side. A command may also share the name of what it calls.
SHARED_BASENAMES = {"batches", "config", "diffcrn", "fit", "training"}


def test_module_names_are_unique():
    places = defaultdict(list)
    for file in MODULES:
        if file.stem != "__init__" and file.parent.name != "commands":
            places[file.stem].append(relative(file))
    shared = {name: files for name, files in places.items() if len(files) > 1 and name not in SHARED_BASENAMES}
    assert not shared


def test_class_names_are_unique():
    places = defaultdict(list)
    for file in MODULES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(relative(file))
    shared = {name: files for name, files in places.items() if len(files) > 1}
    assert not shared


def test_every_head_can_be_imported_from_the_package():
    heads = [head_class(name).__name__ for name in head_names()]
    assert set(heads) < set(classifiers.__all__)


@pytest.mark.parametrize(("package", "name"), PUBLIC, ids=[f"{p.__name__}.{name}" for p, name in PUBLIC])
def test_every_public_name_is_documented(package, name):
    """The docstring has an example that runs, or refers to a name with such an example."""
    document = getattr(package, name).__doc__
    assert document, f"{package.__name__}.{name} has no docstring"
    examples = [line for line in document.splitlines() if ">>> " in line and "import" not in line]
    if name in TOO_SLOW_EXAMPLES:
        assert examples
    elif "See Also\n" in document:
        assert re.search(r"^ *hsifeat\.\w+ : ", document, re.MULTILINE)
    else:
        assert [line for line in examples if "+SKIP" not in line], f"{package.__name__}.{name} has no example that runs"


def test_every_module_says_what_it_is():
    for file in MODULES:
        text = ast.get_docstring(parsed(file))
        assert text, f"{relative(file)} has no docstring"


def test_public_functions_document_the_errors_that_they_raise():
    """A docstring names the error or its base class, or refers to another docstring. Routes list their errors in OpenAPI."""
    functions = [(file, one) for file in MODULES for one in public_functions(parsed(file)) if not is_command(file, one)]
    missing = [
        f"{relative(file)}:{function.lineno} {function.name} raises {name}"
        for file, function in functions
        for name in errors_raised(function)
        if not re.search(rf"{name}|HsifeatError|[Ss]ee `", ast.get_docstring(function) or "")
    ]
    assert not missing, "\n".join(missing)


def is_command(file, function):
    """Return whether a function is a command of the command line, or a route of the service."""
    routes = (one for one in function.decorator_list if ast.unparse(one).startswith("router."))
    return relative(file).startswith("hsifeat/commands/") or any(routes)


def public_functions(node):
    """Yield the functions of a module, and the methods of its classes, whose names have no underscore in front."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child)
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            yield child


def errors_raised(function):
    """Return the names of the errors of hsifeat that a function itself raises."""
    calls = [
        node.exc.func for node in ast.walk(function) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
    ]
    return {call.id for call in calls if isinstance(call, ast.Name) and call.id in ERRORS}


# Tests ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", ["store", "extraction"])
def test_every_module_of_the_core_has_its_test_file(room):
    modules = [file.relative_to(ROOT / "hsifeat") for file in MODULES if relative(file).startswith(f"hsifeat/{room}/")]
    missing = [
        str(module)
        for module in modules
        if module.stem != "__init__" and not (ROOT / "tests" / module.parent / f"test_{module.name}").is_file()
    ]
    assert not missing


def test_folders_of_tests_mirror_the_packages():
    packages = {file.parent.relative_to(ROOT / "hsifeat").as_posix() for file in MODULES if "hsifeat" in file.parts}
    packages |= {file.parent.relative_to(ROOT).as_posix() for file in MODULES}
    folders = {file.parent.relative_to(ROOT / "tests").as_posix() for file in (ROOT / "tests").rglob("test_*.py")}
    assert folders - {"."} <= packages


# Dependencies and packaging -------------------------------------------------------------------------------------------


def test_every_import_is_a_declared_dependency():
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["dask"], *extras["service"]]
    declared = {d.split("[")[0].split(">")[0].lower().replace("_", "-") for d in wanted}
    owners = packages_distributions()
    own = {"hsifeat", "classifiers", "cli"}
    for file in [ROOT / "cli.py", *MODULES]:
        for node in ast.walk(parsed(file)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module]
            for name in {n.partition(".")[0] for n in names} - own - set(sys.stdlib_module_names):
                distributions = {d.lower().replace("_", "-") for d in owners[name]}
                assert distributions & declared, (
                    f"{relative(file)} imports {name}, which pyproject.toml does not declare"
                )


def test_every_version_is_pinned():
    lines = (ROOT / "constraints.txt").read_text().split()
    assert all(line.count("==") == 1 for line in lines)
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    assert {d.split("[")[0].split(">")[0] for d in wanted} - {"hsifeat"} <= pinned
    assert "torch==2.13.0" in lines


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_the_wheel_contains_the_packages_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"hsifeat", "classifiers", "cli.py", "hsifeat-0.1.0.dist-info"}
    in_tree = {
        relative(p)
        for top in ("hsifeat", "classifiers")
        for p in (ROOT / top).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    assert {name for name in names if "dist-info" not in name} == in_tree | {"cli.py"}


def test_the_wheel_works_in_an_empty_environment(wheel, tmp_path):
    """Only the wheel is installed; its dependencies come from this environment, behind it on the path."""
    venv.create(tmp_path / "env", with_pip=False)
    binary = tmp_path / "env" / "bin"
    site = next((tmp_path / "env" / "lib").glob("python*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "--python", binary / "python", "install", "-q", "--no-deps", wheel]
    subprocess.run(install, check=True, capture_output=True)
    shared = [p for p in sys.path if p.endswith("site-packages")]
    (site / "zz-shared.pth").write_text("".join(f"{path}\n" for path in shared))
    environment = {**os.environ, "HSIFEAT_CACHE": str(tmp_path / "cache")}
    environment.pop("PYTHONPATH", None)
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "env": environment, "check": True}
    shown = subprocess.run([binary / "hsifeat", "scenes", "show", "indian-pines"], **options)
    assert "Soybean-mintill" in shown.stdout
    code = "import cli, classifiers; print(cli.__file__, classifiers.__file__)"
    files = subprocess.run([binary / "python", "-c", code], **options)
    assert all(str(site) in path for path in files.stdout.split())
