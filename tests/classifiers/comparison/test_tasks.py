"""Tasks of a benchmark: maps are written block by block, and no file is open when it is renamed."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np

from classifiers.comparison import tasks
from hsifeat.types import Window


def test_maps_are_not_mapped_into_memory_when_they_are_renamed(tmp_path, monkeypatch):
    blocks = [
        SimpleNamespace(window=Window(row, 0, 2, 3), pixels=np.eye(2, 3, dtype=bool), classes=classes, confidence=None)
        for row, classes in ((0, [1, 2]), (2, [3, 4]))
    ]
    monkeypatch.setattr(tasks, "predict_blocks", lambda *_, **__: iter(blocks))
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
        run_records=SimpleNamespace(map=lambda key: tmp_path / f"{key}.npy"),
    )
    tasks._map_scene(SimpleNamespace(classes_=np.arange(1, 5)), SimpleNamespace(shape=(4, 3, 1)), task)
    assert mapped == [False]
    np.testing.assert_array_equal(
        np.load(tmp_path / "k.npy", allow_pickle=False), [[1, 0, 0], [0, 2, 0], [3, 0, 0], [0, 4, 0]]
    )
