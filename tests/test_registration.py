"""Entry points whose class is missing, is of another kind, or fails when it is imported."""

from importlib.metadata import EntryPoint

import pytest

from hsifeat.errors import HeadError, HsifeatError
from hsifeat.registration import load_subclass


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
