"""Packages whose `__init__` is deferred, and what stands in for the compiler of torch, against those that are loaded."""

import gc
import importlib
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from threading import Event

import pytest

from hsifeat.backbones import locked_imports
from hsifeat.backbones.locked_imports import (
    _defer,
    _Distributions,
    _without_collection,
    load_diffusers,
    load_transformers,
    without_compiler,
)


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


def test_metadata_of_packages_are_read_when_they_are_needed():
    function = metadata.packages_distributions
    load_diffusers()
    assert metadata.packages_distributions is function
    assert dict(_Distributions()) == function()


@pytest.fixture
def unfrozen():
    """No object is frozen, as in a new process."""
    is_frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    yield
    if is_frozen:
        gc.freeze()


@pytest.mark.usefixtures("unfrozen")
def test_the_garbage_collector_is_paused_during_imports():
    with _without_collection():
        assert not gc.isenabled()
        module = [importlib]
        with _without_collection():
            pass
        assert not gc.isenabled(), "a block within the block does not end the pause"
    assert gc.isenabled() and not gc.get_freeze_count()
    assert any(item is module for item in gc.get_objects(generation=2)), "what is imported counts as old"


@pytest.mark.usefixtures("unfrozen")
def test_the_pause_of_two_threads_ends_with_the_last():
    """The first to end switched the collector on, or the second left it off for good."""
    entered, left = Event(), Event()

    def pause():
        with _without_collection():
            entered.set()
            assert left.wait(5)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(pause)
        assert entered.wait(5)
        with _without_collection():
            left.set()
            other.result(5)
            assert not gc.isenabled()
        assert gc.isenabled()


@pytest.mark.parametrize("load", [load_diffusers, load_transformers])
def test_what_is_loaded_does_not_touch_the_garbage_collector_again(load, monkeypatch):
    """With the frozen objects of a test run, counting them takes a tenth of a second."""
    load()
    monkeypatch.setattr(locked_imports, "gc", None)
    load()
