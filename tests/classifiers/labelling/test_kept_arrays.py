"""Kept arrays: complete or absent, whatever happens while they are written, and made once."""

import errno
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from classifiers.labelling.kept_arrays import KeptArrays
from hsifeat.errors import StoreError
from hsifeat.mapped_arrays import create_array


def write_both(folder):
    np.save(folder / "a.npy", np.arange(5))
    create_array(folder / "b.npy", (3, 4), "float32")[:] = 7


def test_arrays_are_made_once_for_all_who_ask(tmp_path):
    made = []

    def make(folder):
        made.append(folder)
        write_both(folder)

    kept = KeptArrays(tmp_path / "deep" / "x")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept.get(make), range(4)))
    assert len(made) == 1
    for arrays in found:
        np.testing.assert_array_equal(arrays["a"], np.arange(5))
        np.testing.assert_array_equal(arrays["b"], np.full((3, 4), 7))
        assert isinstance(arrays["b"], np.memmap)
    assert kept.sibling("more").folder == tmp_path / "deep" / "x-more"


def test_a_failure_leaves_nothing_and_is_told(tmp_path, monkeypatch):
    kept = KeptArrays(tmp_path / "x")

    def fail(folder):
        write_both(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StoreError, match="is full"):
        kept.get(fail)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []

    write = Path.open

    def full_disk(self, mode="r", *arguments, **options):
        if self.name == "b.npy" and mode == "r+b":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", full_disk)
    with pytest.raises(StoreError, match="is full"):
        kept.get(write_both)
    monkeypatch.undo()
    assert set(kept.get(write_both)) == {"a", "b"}
