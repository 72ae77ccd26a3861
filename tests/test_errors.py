"""Lists of allowed names in messages: never an empty list."""

import copyreg
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import classifiers
import hsifeat
from hsifeat.errors import OutOfMemoryError, StoreError, allowed_names, raise_resource_error, suggest_names


@given(st.text(), st.lists(st.text(min_size=1, alphabet="abc")))
def test_a_list_of_allowed_names_is_not_empty(name, allowed):
    for text in (suggest_names(name, allowed), allowed_names(allowed)):
        assert not text.endswith(": ")
        assert (text == "there is none") == (not allowed)


def test_no_message_joins_allowed_names_by_itself():
    """A joined list could be empty; `allowed_names` says so."""
    for package in (hsifeat, classifiers):
        for file in Path(package.__file__).parent.rglob("*.py"):
            assert not re.search(r"allowed: \{['\"]", file.read_text(encoding="utf-8")), file


def test_a_pickled_error_keeps_what_it_can_of_its_cause(monkeypatch):
    # An import of dask.multiprocessing registers tblib's way of pickling for all exceptions.
    monkeypatch.delitem(copyreg.dispatch_table, StoreError, raising=False)

    class LocalError(Exception):
        """An error that other processes can't import."""

    error = StoreError("the store is gone")
    error.__cause__, error.hint = LocalError("lost"), "look"
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert (type(again), str(again), again.hint) == (StoreError, "the store is gone", "look")
    assert repr(again.__cause__) == "RuntimeError('LocalError: lost')"
    alone = pickle.loads(pickle.dumps(StoreError("alone")))  # noqa: S301  # our own bytes
    assert alone.__cause__ is None


def test_an_extension_that_could_not_allocate_its_error_ran_out_of_memory():
    """torch raised this error in `benchmarks/memory_limits.py`."""
    error = SystemError("<function Module._call_impl at 0x7f40ea126520> returned NULL without setting an exception")
    with pytest.raises(OutOfMemoryError, match="memory ran out"):
        raise_resource_error(error)
