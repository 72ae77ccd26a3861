"""Timings are summed by timestep and device. Damaged timings have no other effect."""

import shutil
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsifeat.extraction.repair import repair
from hsifeat.extraction.run import run
from hsifeat.features.open_features import open_features
from hsifeat.store import timings
from hsifeat.store.location import as_location
from hsifeat.store.timings import Timing
from hsifeat.store.verify import verify
from tests.helpers.extraction import plan, prepare

SPENT = st.builds(
    Timing,
    t=st.none() | st.integers(0, 999),
    device=st.sampled_from(["cpu (threads: 2)", 'cuda (Großer "GPU")']),
    tiles=st.integers(0, 10**9),
    seconds=st.floats(0, 1e6),
)


@given(st.lists(st.lists(SPENT, max_size=4), max_size=4))
def test_what_is_added_sums_up(tmp_path_factory, runs):
    location = as_location(tmp_path_factory.mktemp("timings"))
    for spent in runs:
        timings.add(location, spent)
    sums = {(timing.t, timing.device): timing for timing in timings.read(location)}
    added = [timing for spent in runs for timing in spent]
    assert len(sums) == len(timings.read(location)) and sums.keys() == {(a.t, a.device) for a in added}
    for (t, device), total in sums.items():
        parts = [timing for timing in added if (timing.t, timing.device) == (t, device)]
        assert total.tiles == sum(part.tiles for part in parts)
        assert total.seconds == pytest.approx(sum(part.seconds for part in parts), abs=1e-5)


def test_without_timings_the_file_is_neither_read_nor_written(tmp_path):
    """A worker adds no timings. It must not overwrite timings that the main process has added."""
    location = as_location(tmp_path)
    location.get = location.put = pytest.fail
    timings.add(location, ())


@given(st.lists(SPENT, min_size=1, max_size=3, unique_by=lambda timing: (timing.t, timing.device)), st.data())
def test_any_changed_byte_is_seen(spent, data):
    content = timings.encode(spent)
    assert sorted(map(repr, timings.decode(content))) == sorted(map(repr, spent))
    at, flip = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    assert timings.decode(content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]) is None
    assert timings.decode(content[:at]) is None


@pytest.fixture
def job(scene, backbone_folder, tmp_path):
    """Prepare an extraction of the small scene to one place."""

    def prepared(timesteps, layers=None):
        return prepare(
            scene,
            backbone=backbone_folder,
            timesteps=timesteps,
            layers=layers,
            tile=32,
            halo=8,
            out=tmp_path / "s.zarr",
        )

    return prepared


def test_an_extraction_times_every_timestep(job, tmp_path):
    asked = job([0, 300])
    passes = plan(asked).passes
    start = time.perf_counter()
    store = run(asked)
    wall = time.perf_counter() - start
    shared, first, second = store.timings
    assert (shared.t, first.t, second.t) == (None, 0, 300)
    assert first.tiles == second.tiles == shared.tiles == passes / 2 > 0
    assert 0 < shared.seconds + first.seconds + second.seconds <= wall
    features = open_features(tmp_path / "s.zarr")
    assert features.seconds([0]) == first.seconds and features.seconds([None, 0, 300]) <= wall
    assert features.seconds([0, 50]) is None and features.devices == (first.device,)


def test_more_layers_and_timesteps_add_up_and_nothing_to_do_adds_nothing(job):
    before = {timing.t: timing for timing in run(job([0, 300], ["mid_block"])).timings}
    after = {timing.t: timing for timing in run(job([0, 100], ["mid_block", "up_blocks.1"])).timings}
    assert after[300] == before[300]  # not touched
    assert after[0].tiles == 2 * before[0].tiles and after[0].seconds > before[0].seconds
    assert after[100].tiles == before[0].tiles
    assert {timing.t: timing for timing in run(job([0, 100, 300], ["mid_block"])).timings} == after


@pytest.mark.parametrize("how", ["changed", "gone"])
def test_a_store_is_whole_without_them(store_path, backbone_folder, tmp_path, how):
    shutil.copytree(store_path, tmp_path / "s.zarr")
    location, file = as_location(tmp_path / "s.zarr"), tmp_path / "s.zarr" / timings.FILE
    if how == "changed":
        file.write_bytes(file.read_bytes().replace(b"cpu", b"gpu"))
        verification = verify(location)
        assert [(d.kind, d.key) for d in verification.damages] == [("changed", timings.FILE)]
        assert open_features(location.path).seconds([0]) is None
        assert repair(location, verification).damages == () and not file.exists()
    else:
        file.unlink()
    assert verify(location).damages == ()
    features = open_features(location.path)
    assert features.seconds([0]) is None and features.devices == ()
    assert features.sample([0], [0]).shape[0] == 1
