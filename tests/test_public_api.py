"""The public names: each resolves and is the one that type checkers see; all public callables document their parameters."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import classifiers
import hsifeat

NAMES = [name for name in hsifeat.__all__ if name != "__version__"]
ROOT = Path(__file__).parents[1]

ARRAY = re.compile(r"\b(NDArray|Tensor|zarr\.Array|dask\.array\.Array)\b")
DTYPE = re.compile(r"\b(floats?(16|32|64)?|u?int(p|8|16|32|64)?|integers?|bool|dtypes?|floating-point|numeric)\b")
SHAPE = re.compile(r"\([^()\n]*,[^()\n]*\)|\(\)|\b[Ss]hape\b")
# The description is at another place.
LINK = re.compile(r"\b[Ss]ee `[\w.]+`")


def public_callables(node, prefix="", in_class=False):
    """Yield name, definition and number of parameters of the public functions and methods in a tree."""
    for child in node.body:
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_callables(child, f"{prefix}{child.name}.", in_class=True)
        elif isinstance(child, ast.FunctionDef) and not child.name.startswith("_"):
            decorators = {ast.unparse(decorator) for decorator in child.decorator_list}
            arguments = [*child.args.posonlyargs, *child.args.args, *child.args.kwonlyargs]
            arguments += [a for a in (child.args.vararg, child.args.kwarg) if a]
            # The parameters of routes are described by their annotations, in the OpenAPI description.
            if not any(decorator.startswith(("overload", "router.")) for decorator in decorators):
                bound = in_class and "staticmethod" not in decorators
                yield prefix + child.name, child, arguments[bound:]


def missing_documentation(definition, arguments):
    """List what the docstring of a function lacks."""
    document = ast.get_docstring(definition) or ""
    if LINK.search(document):
        return []
    annotations = [a.annotation for a in arguments if a.annotation] + [definition.returns]
    missing = []
    if len(arguments) >= 3 and "Parameters\n-----" not in document:
        missing.append("parameters")
    if any(ARRAY.search(ast.unparse(a)) for a in annotations if a is not None):
        missing += [name for name, words in (("dtype", DTYPE), ("shape", SHAPE)) if not words.search(document)]
    return missing


def test_names_for_type_checkers_are_those_that_are_imported():
    tree = ast.parse(Path(hsifeat.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and isinstance(node.test, ast.Name))
    imports = {alias.asname: statement.module for statement in block.body for alias in statement.names}
    assert imports.keys() == set(NAMES) and sorted(hsifeat.__all__) == dir(hsifeat)
    for name, module in imports.items():
        assert getattr(import_module(module), name) is getattr(hsifeat, name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        hsifeat.nothing  # noqa: B018


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_documented(name):
    value = getattr(hsifeat, name)
    document = inspect.getdoc(value) or ""
    first = document.partition("\n")[0]
    assert first.endswith((".", ":")) and len(first) > 10, "the first line is a sentence"
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    if inspect.isfunction(value):
        assert ">>> " in document, "there is an example"
        parameters = list(inspect.signature(value).parameters)
        missing = [p for p in parameters if not re.search(rf"(?m)^(\S.*, )?\*{{0,2}}{p}(, .*)?( :|$)", document)]
        assert not missing or len(parameters) < 3, f"parameters without a description: {missing}"
        assert (
            re.search(r"(?m)^(Returns|Yields)\n---", document)
            or inspect.signature(value).return_annotation in {None, "None", "Path"}
            or len(parameters) < 3
        )


def test_three_parameters_are_described_and_arrays_have_shape_and_dtype():
    """Commands are left out: their parameters are described in `--help`."""
    missing = {}
    for top in ("hsifeat", "classifiers"):
        for file in sorted((ROOT / top).rglob("*.py")):
            if file.parent != ROOT / "hsifeat" / "commands":
                for name, definition, arguments in public_callables(ast.parse(file.read_text(encoding="utf-8"))):
                    if lacking := missing_documentation(definition, arguments):
                        missing[f"{file.relative_to(ROOT).as_posix()}:{name}"] = lacking
    assert not missing


@pytest.mark.parametrize("package", [hsifeat, classifiers], ids=lambda package: package.__name__)
def test_no_public_name_is_that_of_a_module(package):
    """An import of the module would replace the public name."""
    modules = {path.stem for path in Path(package.__file__).parent.iterdir()}
    assert not modules & set(package.__all__)


@pytest.mark.parametrize(
    "use",
    [
        hsifeat.fit_model,
        hsifeat.PixelTable.from_store,
        hsifeat.compare,
        lambda stores: hsifeat.export_features(stores, "x.parquet"),
        lambda stores: hsifeat.predict_map(stores, hsifeat.make_head("lda")),
    ],
)
def test_an_empty_list_of_stores_is_not_the_last_store(use, store_path):
    """A pattern that matches no file gives an empty list."""
    hsifeat.open_features(store_path)
    for stores in ([], (), iter([])):
        with pytest.raises(
            hsifeat.StoreError, match="^no stores: name one or more; None stands for the store that was"
        ):
            use(stores)


@pytest.mark.parametrize(
    ("function", "value", "message"),
    [
        (hsifeat.open_features, 5, "a store is a path, an address, a name or the start of a key; found 5"),
        (hsifeat.open_features, "x" * 300, r"^x{60}… can't be looked up: File name too long"),
        (hsifeat.load_model, None, "the folder of a model is a path; found None"),
        (classifiers.parse_split, 5, "a split is a text such as .*; found 5"),
        *((hsifeat.make_head, value, f"no head is named {re.escape(repr(value))}; ") for value in (5, None, ["lda"])),
        (classifiers.parse_smoothing, 5, "smoothing is a text such as guided:4, or none; found 5"),
    ],
)
def test_values_of_other_types_are_refused_in_one_line(function, value, message):
    with pytest.raises(hsifeat.HsifeatError, match=message):
        function(value)


def test_notebooks_show_objects_in_one_line(store_path, tmp_path):
    scene = hsifeat.Scene(
        "strip",
        np.ones((2, 3, 4), np.float32),
        np.array([400.0, 500, 600, 900]),
        {"crops": hsifeat.Labels("crops", np.array([[0, 7, 7], [2, 0, 0]]))},
    )
    hsifeat.extract(scene, backbone="context", out=tmp_path / "strip.zarr")
    features = hsifeat.open_features(tmp_path / "strip.zarr")
    table = classifiers.PixelTable.from_store(features, planes=[], context=[], window=3)
    projection = hsifeat.Projection("bands:0,1", np.ones((4, 2)), np.zeros(2), clip=False)
    with classifiers.LabelDatabase(tmp_path / "labels.sqlite") as database:
        shown = [
            *map(repr, (scene, scene.labels["crops"], features.store, features, features.scene, table, table.layout))
        ]
        shown += [repr(projection), repr(database), repr(hsifeat.fit_model(store_path, "lda"))]
    assert shown == [
        "<Scene strip: 2 x 3 pixels, 4 bands, 400 to 900 nm, labels crops>",
        "<Labels crops: 2 x 3, 3 labelled pixels, 2 classes>",
        f"<Store {tmp_path}/strip.zarr>",
        f"<Features strip: 2 x 3 pixels, 4 bands, {len(features.planes)} planes>",
        "<Scene strip: 2 x 3 pixels, 4 bands, 400 to 900 nm, labels crops>",
        "<PixelTable strip: 3 pixels, 8 columns>",
        "<Layout: 8 columns in 2 groups>",
        "<Projection bands:0,1: 4 bands to 2 channels>",
        f"<LabelDatabase {tmp_path}/labels.sqlite>",
        "<Model LDAClassifier: 4 classes, 2478 training pixels>",
    ]
