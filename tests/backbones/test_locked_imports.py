"""Packages whose `__init__` is deferred, and what stands in for the compiler of torch, against those that are loaded."""

import importlib
import sys

import pytest

from hsifeat.backbones import locked_imports
from hsifeat.backbones.locked_imports import _defer, load_diffusers, without_compiler


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package whose `__init__` imports its two modules."""
    name = "package_of_two_modules"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("from .one import ONE\nfrom .two import TWO\n")
    (tmp_path / name / "one.py").write_text("ONE = 1\n")
    (tmp_path / name / "two.py").write_text("from .one import ONE\nTWO = ONE + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield name
    for module in (name, f"{name}.one", f"{name}.two"):
        sys.modules.pop(module, None)


def test_a_deferred_package_is_executed_when_its_attributes_are_needed(package):
    _defer(package)
    assert importlib.import_module(f"{package}.one").ONE == 1 and f"{package}.two" not in sys.modules
    module = importlib.import_module(package)
    with pytest.raises(AttributeError, match="has no attribute '__all__'"):
        _ = module.__all__
    assert module.TWO == 2 and f"{package}.two" in sys.modules
    with pytest.raises(AttributeError, match="has no attribute 'three'"):
        _ = module.three
    _defer(package)
    assert sys.modules[package] is module, "a loaded package stays as it is"


def test_a_package_that_is_not_installed_is_not_deferred():
    _defer("package_of_no_modules")
    assert "package_of_no_modules" not in sys.modules


def test_the_compiler_is_hidden_and_comes_back(package, monkeypatch):
    monkeypatch.setattr(locked_imports, "_COMPILER", package)

    def function():
        pass

    with without_compiler():
        module = importlib.import_module(package)
        function.__dynamo_disable = module.disable(function, recursive=True, wrapping=False)
        assert vars(function)["__dynamo_disable"] is function
    assert package not in sys.modules and not vars(function)
    with without_compiler():
        assert importlib.import_module(package).TWO == 2, "another attribute loads the package"
    assert type(sys.modules[package]) is type(sys)
    for module in (package, f"{package}.one", f"{package}.two"):
        del sys.modules[module]
    with without_compiler():
        assert importlib.import_module(f"{package}.one").ONE == 1
        assert f"{package}.two" in sys.modules, "so does the import of one of its modules"
    assert type(sys.modules[package]) is type(sys)


def test_other_classes_of_diffusers_are_the_real_ones():
    load_diffusers("DDIMScheduler")
    from diffusers import DDIMScheduler, UNet2DModel
    from diffusers.models.unets.unet_2d import UNet2DModel as ByPath

    assert UNet2DModel is ByPath and len(DDIMScheduler().betas) == 1000
    assert {"torch._dynamo", "transformers"} == locked_imports._OPTIONAL
