"""Many scenes in one call: a store each, and no failed scene ends the others."""

import os
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import hsifeat
from hsifeat.errors import HsifeatError
from hsifeat.extraction.context_extractor import ContextComputer
from hsifeat.extraction.extract_scenes import extract_scenes, scene_name
from hsifeat.runtime.events import Advanced, Finished, Note, Started
from hsifeat.scenes.readers import npy
from hsifeat.store.location import as_location
from hsifeat.store.locks import write_lock
from tests.helpers.cached_stores import snapshot
from tests.helpers.executors import InThisProcess
from tests.helpers.small import small_cube

OPTIONS = {"backbone": "context", "layers": ["mean-5", "deviation-7"]}


def folder_of_scenes(folder):
    """Write ten scenes. The fourth file is damaged, and the sixth scene already has a store."""
    paths = [folder / f"s{number}.npy" for number in range(10)]
    for number, path in enumerate(paths):
        np.save(path, small_cube(rows=24, cols=20, seed=number))
    paths[3].write_bytes(paths[3].read_bytes()[:900])
    hsifeat.extract(paths[5], **OPTIONS, out=folder / "stores" / "s5.zarr")
    return paths


def forbid(path, monkeypatch):
    """Make reading a file fail with a denied permission. The tests may run as root, who can read all files."""
    plain = npy.read_npy

    def read(file, *arguments, **options):
        if Path(file) == path:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(file, *arguments, **options)

    monkeypatch.setattr(npy, "read_npy", read)


def test_ten_scenes_of_which_one_is_broken_one_cached_and_one_forbidden(tmp_path, monkeypatch, cli):
    paths = folder_of_scenes(tmp_path)
    cached = snapshot(tmp_path / "stores" / "s5.zarr")
    forbid(paths[7], monkeypatch)
    options = ("--backbone", "context", "--layers", "mean-5,deviation-7", "--out", tmp_path / "stores")
    command = ("extract", *paths, *options)
    message = cli(*command, status=1)
    stores = sorted(path.name for path in (tmp_path / "stores").glob("*.zarr"))
    assert stores == [f"s{number}.zarr" for number in (0, 1, 2, 4, 5, 6, 8, 9)]
    assert cli.printed.count("store: ") == 7 and cli.printed.count("complete before: ") == 1
    assert f"complete before: {tmp_path}/stores/s5.zarr\n" in cli.printed
    assert snapshot(tmp_path / "stores" / "s5.zarr") == cached
    assert message.count("error: ") == 2 and "error: s3: " in message and "error: s7: " in message
    assert "ermission denied" in message and message.endswith(
        "2 of 10 scenes failed; the same command extracts them again and keeps the finished stores"
    )
    finished = snapshot(tmp_path / "stores")
    cli(*command, status=1)
    assert cli.printed.count("store: ") == 0 and cli.printed.count("complete before: ") == 8
    assert snapshot(tmp_path / "stores") == finished, "nothing that was complete is computed again"
    for number in (0, 9):
        alone = hsifeat.extract(paths[number], **OPTIONS, out=tmp_path / "alone" / f"{number}.zarr")
        store = hsifeat.Store.open(tmp_path / "stores" / f"s{number}.zarr")
        for plane in alone.planes:
            np.testing.assert_array_equal(store.plane(plane.id)[:], alone.plane(plane.id)[:])


def test_units_of_all_scenes_are_one_stream(tmp_path, monkeypatch):
    monkeypatch.setattr("hsifeat.extraction.context_extractor.UNIT_PX", 16)
    paths, events = folder_of_scenes(tmp_path)[:6], []
    executor = InThisProcess(ahead=3)
    outcomes = extract_scenes(paths, **OPTIONS, out=tmp_path / "stores", executor=executor, listen=events.append)
    assert [(o.name, o.existed, o.error is None) for o in outcomes] == [
        (f"s{number}", number == 5, number != 3) for number in range(6)
    ]
    begun = [event.task for event in events if isinstance(event, Started)]
    ended = [event.task for event in events if isinstance(event, Finished)]
    assert begun == ["scenes", *(f"extract s{n}" for n in (0, 1, 2, 4))] and set(ended) == set(begun)
    # The next scene begins before the last unit of a scene returns.
    second = next(n for n, event in enumerate(events) if event == Started("extract s1", 4, "tiles", 0))
    assert second < events.index(Finished("extract s0"))
    assert [event.done for event in events if isinstance(event, Advanced) and event.task == "scenes"] == [
        1,
        2,
        3,
        4,
        5,
        6,
    ]
    for outcome in outcomes:
        assert outcome.store is None or not (Path(outcome.store.location.identity) / "writer.token").exists()


def test_a_scene_that_another_process_extracts_comes_last(tmp_path):
    """Two runs with the same scenes in opposite orders would wait for each other, each with the lock of its first scene."""
    scenes = [hsifeat.Scene(name, small_cube(rows=24, cols=20)) for name in "abc"]
    other, finished, waited = ExitStack(), [], []
    other.enter_context(write_lock(as_location(tmp_path / "b.zarr"), pytest.fail))

    def listen(event):
        if isinstance(event, Finished):
            finished.append(event.task)
        if isinstance(event, Note) and "another process is writing" in event.message:
            waited.append(list(finished))
            other.close()

    outcomes = extract_scenes(scenes, **OPTIONS, out=tmp_path, executor=InThisProcess(ahead=3), listen=listen)
    assert waited == [["extract a", "extract c"]]
    assert [(outcome.name, outcome.error) for outcome in outcomes] == [("a", None), ("b", None), ("c", None)]


@pytest.mark.parametrize("executor", [None, InThisProcess(ahead=3)])
def test_an_error_of_another_library_ends_its_scene_only(tmp_path, monkeypatch, executor):
    errors = {
        "a": RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        "b": ValueError("operands could not be broadcast"),
        "c": OSError(5, "Input/output error"),
    }
    compute = ContextComputer.__call__

    def fail(self, step):
        if (name := self._extractor.scene.name) in errors:
            raise errors[name]
        return compute(self, step)

    monkeypatch.setattr(ContextComputer, "__call__", fail)
    scenes = [hsifeat.Scene(name, small_cube(rows=24, cols=20)) for name in "abcd"]
    outcomes = extract_scenes(scenes, **OPTIONS, out=tmp_path, executor=executor)
    assert all(outcome.error.__cause__ is errors[outcome.name] for outcome in outcomes[:3])
    assert outcomes[3].error is None and outcomes[3].store.is_complete(outcomes[3].store.planes[0].id)
    memory, value, disk = (str(outcome.error) for outcome in outcomes[:3])
    assert memory.startswith("memory ran out (CUDA out of memory") and disk == "[Errno 5] Input/output error"
    assert value == "ValueError: operands could not be broadcast"


def test_stores_with_one_name_are_refused(tmp_path):
    with pytest.raises(HsifeatError, match="two scenes have the name 'a'"):
        extract_scenes(["x/a.mat", "y/a.npy"], **OPTIONS)
    assert scene_name("data/my scene (1).mat") == "my-scene-1"


def test_a_mask_of_one_scene_is_refused_for_several(tmp_path):
    """The projection of each scene was fitted at the pixels of one mask, which belongs to one of them."""
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", small_cube(rows=24, cols=20))
    np.save(tmp_path / "mask.npy", np.tri(24, 20, dtype=np.uint8))
    paths, options = (
        [tmp_path / "a.npy", tmp_path / "b.npy"],
        OPTIONS | {"projection": f"pca:3:mask={tmp_path}/mask.npy"},
    )
    with pytest.raises(
        HsifeatError, match="belongs to one scene, and there are 2: set `shared_projection`, or extract"
    ):
        extract_scenes(paths, **options, out=tmp_path / "stores")
    outcomes = extract_scenes(paths, **options, out=tmp_path / "stores", shared_projection=True)
    assert [outcome.error for outcome in outcomes] == [None, None]


def test_files_of_a_folder_are_scenes(tmp_path):
    """The items of `os.scandir` are paths, but neither texts nor `pathlib.Path`."""
    np.save(tmp_path / "a.npy", small_cube(rows=24, cols=20))
    with os.scandir(tmp_path) as entries:
        (outcome,) = extract_scenes(list(entries), **OPTIONS, out=tmp_path / "stores")
    assert (outcome.name, outcome.error) == ("a", None)


def test_a_list_of_files_is_one_scene(tmp_path, cli):
    for number in range(3):
        np.save(tmp_path / f"band{number}.npy", small_cube(bands=3)[..., number])
    (tmp_path / "bands.txt").write_text("band0.npy\nband1.npy\n\nband2.npy\n")
    cli(
        "extract",
        f"@{tmp_path / 'bands.txt'}",
        "--backbone",
        "context",
        "--layers",
        "mean-5",
        "--out",
        tmp_path / "b.zarr",
    )
    assert hsifeat.Store.open(tmp_path / "b.zarr").manifest.scene.bands == 3
    assert "two scenes are named 'a'" in cli("extract", "x/a.mat", "y/a.mat", status=2)
    assert "l.npy belongs to one scene, and there are 2: write {scene}" in cli(
        "extract", "a.mat", "b.mat", "--labels", "l.npy", status=2
    )
