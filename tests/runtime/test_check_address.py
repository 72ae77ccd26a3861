"""A cluster address needs the package `distributed`; a package that can't be imported is told from a missing one."""

import sys

import pytest

from hsifeat.errors import HsifeatError
from hsifeat.runtime.dask_cluster import check_address


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "Dask's scheduler is not installed: pip install"),
        ("import no_such_module", "Dask's scheduler can't be imported: No module named 'no_such_module': install"),
        ("from json import nothing", "Dask's scheduler can't be imported: cannot import name 'nothing' from 'json'"),
    ],
    ids=["missing", "without a dependency", "of another version"],
)
def test_a_broken_scheduler_is_not_told_as_missing(code, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    if code is not None:
        (tmp_path / "distributed.py").write_text(code)
        monkeypatch.delitem(sys.modules, "distributed")
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HsifeatError, match=message):
        check_address("local:2")
