"""Imports of diffusers and transformers, under a lock and without slow parts of diffusers that hsifeat does not use.

The lazy modules of both libraries fail if two threads load them at once. An ordinary import of a single U-Net also
imports transformers, SciPy, the compiler of torch, and all other networks of diffusers. An import of the U-Net alone
takes a sixth of the time.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from importlib import metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from importlib.util import find_spec, module_from_spec
from threading import Lock, RLock, get_ident
from types import ModuleType
from typing import Any

from hsifeat.torch_state import own_random_state

# No other lock of hsifeat is taken while a thread holds one of these locks, except `_PAUSE_LOCK`, which comes last.
_LOCK = Lock()
_COMPILER_LOCK = RLock()
_PAUSE_LOCK = Lock()
# Number of running blocks that pause the garbage collector, and whether it was enabled before the first of them.
_pauses = 0
_was_enabled = False
# Names of the classes that are loaded.
_LOADED: set[str] = set()
# Packages whose `__init__` does nothing but import every network of diffusers.
_LARGE = ("diffusers.models.autoencoders", "diffusers.models.transformers", "diffusers.models.unets")
_COMPILER = "torch._dynamo"
# Modules that diffusers imports if they are installed, to compile and to quantise networks.
_OPTIONAL = frozenset({_COMPILER, "transformers"})


def load_diffusers(*classes: str) -> None:
    """Load ``UNet2DModel`` and ``DDPMScheduler``. Call this function before importing from diffusers.

    Parameters
    ----------
    *classes : str
        Further classes of diffusers to load.
    """
    with _LOCK:
        missing = {"DDPMScheduler", "UNet2DModel", *classes} - _LOADED
        if not missing:  # Callers ask often, and whether objects are frozen takes long to count.
            return
        with _without_collection():
            with _without_optional_modules(), _without_metadata():
                import diffusers.models

                for name in _LARGE:
                    _defer(name)
                from diffusers import DDPMScheduler, UNet2DModel  # noqa: F401
            for name in missing:
                getattr(diffusers, name)
        _LOADED.update(missing)


def load_transformers() -> None:
    """Load the classes of transformers that hsifeat uses. Call this function before importing from transformers."""
    with _LOCK:
        if "CLIPTextModel" not in _LOADED:
            with _without_collection():
                from transformers import CLIPTextModel, CLIPTokenizer  # noqa: F401
            _LOADED.add("CLIPTextModel")


@contextmanager
def silent_transformers() -> Iterator[None]:
    """Suppress the progress bars and the loading reports of transformers in a ``with`` block.

    The reports list faults of a model. For these faults, hsifeat raises errors. The settings apply to all threads.
    Blocks of several threads therefore run one after another, each in a block of `own_random_state`. All code that loads
    weights runs in such a block.
    """
    from transformers.utils import logging

    with own_random_state():
        bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
        logging.disable_progress_bar()
        logging.set_verbosity(logging.CRITICAL)
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()


class _Distributions(Mapping[str, list[str]]):
    """The result of ``packages_distributions``. The metadata of all installed packages are read when they are first needed.

    Diffusers calls the function when it is imported, but needs the result only for a few optional packages.
    """

    @cached_property
    def _names(self) -> Mapping[str, list[str]]:
        return packages_distributions()

    def __getitem__(self, package: str) -> list[str]:
        return self._names[package]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class _DeferredPackage(ModuleType):
    """A package whose `__init__` runs when an attribute of the package is first needed."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if spec is None or spec.loader is None or (name.startswith("__") and name != "__path__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # type: ignore[assignment]  # this method runs once
        self.__path__ = spec.submodule_search_locations or []
        spec.loader.exec_module(self)
        return getattr(self, name)


def _defer(name: str, *, whole: bool = False) -> None:
    """Make an installed package a `_DeferredPackage`, unless it is already loaded.

    If `whole` is True, importing a module of the package runs the `__init__`, too.
    """
    spec = None if name in sys.modules else find_spec(name)
    if spec is None:
        return
    package = module_from_spec(spec)
    package.__class__ = _DeferredPackage
    if whole:
        del package.__path__  # The import of a module asks for it.
    sys.modules[name] = package


class _Refusal(MetaPathFinder, Loader):
    """Import finder that makes the modules of `_OPTIONAL` fail to import in the thread that created it."""

    def __init__(self) -> None:
        self._thread = get_ident()

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in _OPTIONAL and get_ident() == self._thread else None

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(f"hsifeat does not need {module.__name__}", name=module.__name__)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Keep torch from loading its compiler inside a ``with`` block.

    The FLOP counter of torch and operations on the ``meta`` device load the compiler only to call
    ``torch._dynamo.disable``. Inside the block, ``torch._dynamo.disable`` has no effect and loads nothing. If code uses
    another attribute of ``torch._dynamo``, the compiler is loaded. Blocks of several threads run one after another.
    """
    functions = []

    def disable(function: Any, *_arguments: Any, **_options: Any) -> Any:
        functions.append(function)
        return function

    with _COMPILER_LOCK:
        if _COMPILER in sys.modules:
            yield
            return
        _defer(_COMPILER, whole=True)
        sys.modules[_COMPILER].disable = disable  # type: ignore[attr-defined]
        try:
            with _without_collection():  # Operations on the meta device import SymPy.
                yield
        finally:
            if isinstance(sys.modules[_COMPILER], _DeferredPackage):
                del sys.modules[_COMPILER]
            for function in functions:
                vars(function).pop("__dynamo_disable", None)  # Torch keeps the result of `disable` there.


@contextmanager
def _without_collection() -> Iterator[None]:
    """Pause the garbage collector in a ``with`` block. Modules are never garbage, but searching them takes a sixth of an import.

    Blocks can be nested, and those of several threads may overlap. The pause ends with the last block.
    """
    global _pauses, _was_enabled  # noqa: PLW0603  # the collector is global, too
    with _PAUSE_LOCK:
        if not _pauses:
            _was_enabled = gc.isenabled()
            gc.disable()
        _pauses += 1
    try:
        yield
    finally:
        with _PAUSE_LOCK:
            _pauses -= 1
            if not _pauses and _was_enabled:
                if not gc.get_freeze_count():  # Make all objects old, as a collection would, without searching them.
                    gc.freeze()
                    gc.unfreeze()
                gc.enable()


@contextmanager
def _without_metadata() -> Iterator[None]:
    """Make ``packages_distributions`` return `_Distributions` in a ``with`` block."""
    metadata.packages_distributions = _Distributions  # type: ignore[assignment]
    try:
        yield
    finally:
        metadata.packages_distributions = packages_distributions


@contextmanager
def _without_optional_modules() -> Iterator[None]:
    finder = _Refusal()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
