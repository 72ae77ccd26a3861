"""The public names of `hsifeat`: each resolves, is the one that type checkers see, and is documented."""

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import hsifeat

NAMES = [name for name in hsifeat.__all__ if name != "__version__"]


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
            "Returns\n-------" in document
            or inspect.signature(value).return_annotation in {None, "None", "Path"}
            or len(parameters) < 3
        )
