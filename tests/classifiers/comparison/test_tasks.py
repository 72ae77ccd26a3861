"""Tasks of a benchmark: maps of all scenes are written block by block, and no file is open when it is renamed."""

import errno
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from classifiers.comparison import tasks
from classifiers.comparison.run_records import RunRecords
from hsifeat.errors import StoreError
from hsifeat.types import Window


def test_maps_are_not_mapped_into_memory_when_they_are_renamed(tmp_path, monkeypatch):
    first, second = (
        [
            SimpleNamespace(
                window=Window(row, 0, 2, 3), pixels=np.eye(2, 3, dtype=bool), classes=classes, confidence=None
            )
            for row, classes in rows
        ]
        for rows in (((0, [1, 2]), (2, [3, 4])), ((0, [4, 3]),))
    )
    monkeypatch.setattr(tasks, "predict_blocks", lambda blocks, *_, **__: iter(blocks))
    monkeypatch.setattr(tasks, "block_side_px", lambda *_: 2)
    mapped, replace = [], Path.replace

    def check_and_replace(self, target):
        maps = Path("/proc/self/maps")
        mapped.append(maps.exists() and self.name in maps.read_text())
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", check_and_replace)
    task = SimpleNamespace(
        table=SimpleNamespace(layout=None),
        key="k",
        run_records=RunRecords(tmp_path),
        scenes=[
            tasks.MappedScene(SimpleNamespace(open=lambda: first), Window(0, 0, 4, 3)),
            tasks.MappedScene(SimpleNamespace(open=lambda: second), Window(5, 1, 2, 3)),
        ],
        grid=(7, 4),
    )
    tasks._map_scenes(SimpleNamespace(classes_=np.arange(1, 5)), task)
    assert mapped == [False]
    expected = np.zeros((7, 4), int)
    expected[[0, 1, 2, 3, 5, 6], [0, 1, 0, 1, 1, 2]] = [1, 2, 3, 4, 4, 3]
    np.testing.assert_array_equal(np.load(tmp_path / "maps" / "k.npy", allow_pickle=False), expected)


def test_a_full_disk_is_an_error_before_a_map_is_mapped_into_memory(tmp_path, monkeypatch):
    """Writing to a memory map of a file without reserved space would end the process by SIGBUS.

    Not every system has ``os.posix_fallocate``.
    """

    def full(self, mode="r", *arguments, plain=Path.open):
        if mode == "r+b":
            raise OSError(errno.ENOSPC, "No space left on device")
        return plain(self, mode, *arguments)

    monkeypatch.delattr("os.posix_fallocate")
    monkeypatch.setattr(Path, "open", full)
    records = RunRecords(tmp_path)
    with (
        pytest.raises(StoreError, match="the disk of .* is full"),
        tasks._zero_file(records, records.map("k"), (50, 40), np.dtype(np.uint8)),
    ):
        pytest.fail("the file is not reserved")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_zero_file_takes_its_space_at_once(tmp_path):
    records = RunRecords(tmp_path)
    with tasks._zero_file(records, records.map("k"), (500, 400), np.dtype(np.uint8)) as part:
        assert part.stat().st_blocks * 512 >= 500 * 400
    assert not np.load(records.map("k")).any()
