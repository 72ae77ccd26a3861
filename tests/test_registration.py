"""Entry points whose class is missing, is of another kind, or fails when it is imported."""

from importlib.metadata import EntryPoint

import pytest

from classifiers.heads.base import Head
from classifiers.smoothing import parse_smoothing
from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.errors import HeadError, HsifeatError
from hsifeat.extraction.noise.policy import load_policy, noise_policies
from hsifeat.registration import load_subclass, registered_entries
from hsifeat.runtime.executor_plugins import open_executor
from hsifeat.scenes.readers.suffixes import find_reader


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("no.such:Head", "the head x can't be loaded: No module named 'no'; install what", id="module"),
        pytest.param("collections:Nothing", "the head x can't be loaded: .*no attribute 'Nothing'", id="attribute"),
        pytest.param("builtins:int", "the head x is builtins:int, which is no subclass of dict", id="other-class"),
        pytest.param("os:getcwd", "the head x is os:getcwd, which is no subclass of dict", id="no-class"),
    ],
)
def test_broken_entry_points_are_refused_in_one_line(value, message):
    with pytest.raises(HeadError, match=message) as refusal:
        load_subclass(EntryPoint("x", value, "hsifeat.heads"), dict, "head", HeadError)
    assert "\n" not in str(refusal.value)


def test_code_that_fails_on_import_is_refused(tmp_path, monkeypatch):
    (tmp_path / "failing_plugin.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HsifeatError, match="the noise policy x can't be loaded: .*division by zero"):
        load_subclass(EntryPoint("x", "failing_plugin:Policy", "hsifeat.noise"), dict, "noise policy", HsifeatError)


@pytest.fixture
def two_packages(tmp_path, monkeypatch):
    """Two packages that register the same names, installed in a folder of their own."""
    groups = "heads", "smoothing", "noise", "backbones", "readers", "executors"
    for package in ("first", "second"):
        folder = tmp_path / f"{package}_package-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}-package\nVersion: 1.0\n")
        entries = "\n".join(f"[hsifeat.{group}]\ntwin = {package}:Twin" for group in groups)
        (folder / "entry_points.txt").write_text(entries)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("two_packages")
@pytest.mark.parametrize(
    "open_twin",
    [
        pytest.param(lambda: open_executor("twin:1").__enter__(), id="executors"),
        pytest.param(lambda: open_backbone("twin"), id="backbones"),
        pytest.param(lambda: find_reader("twin"), id="readers"),
        pytest.param(lambda: load_policy(noise_policies()["twin"]), id="noise"),
        pytest.param(lambda: parse_smoothing("twin:1"), id="smoothing"),
        pytest.param(
            lambda: load_subclass(registered_entries("hsifeat.heads")["twin"], Head, "head", HeadError), id="heads"
        ),
    ],
)
def test_a_name_of_two_packages_is_refused_and_both_are_named(open_twin):
    with pytest.raises(
        HsifeatError, match="package first-package and package second-package register 'twin' in hsifeat"
    ):
        open_twin()
