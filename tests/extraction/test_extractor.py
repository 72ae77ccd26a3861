"""The run that all extractors share: order of steps, progress, and what an error leaves in the store."""

import numpy as np
import pytest

from hsifeat.errors import StoreError
from hsifeat.extraction.extractor import check_finite
from hsifeat.extraction.new_store import create_store
from hsifeat.runtime.events import Advanced, Finished, Started
from hsifeat.scenes import Scene
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.types import PlaneId
from tests.helpers.extraction import prepare
from tests.helpers.small import save_unet, small_cube


@pytest.fixture(params=["network", "context"])
def work(request, tmp_path):
    """The remaining work of a new store, for each kind of extractor."""
    options = {"backbone": "context", "layers": ["mean-5", "profile-3"]}
    if request.param == "network":
        save_unet(tmp_path / "backbone")
        options = {"backbone": tmp_path / "backbone", "timesteps": [0], "tile": 32, "halo": 8, "projection": "pca:3"}
    scene = Scene("small", small_cube(rows=40, cols=36).astype(np.float32))
    return prepare(scene, out=tmp_path / "s.zarr", **options).remaining(None)


def test_all_steps_are_written_and_counted(work):
    store, events = create_store(work), []
    work.extractor.run(work.plan, store, events.append)
    assert all(store.done(plane.id).all() for plane in work.plan.planes)
    assert isinstance(events[0], Started) and isinstance(events[-1], Finished)
    counts = [event.done for event in events if isinstance(event, Advanced)]
    assert counts == sorted(counts) and counts[-1] == work.plan.total_passes
    assert not work.job.remaining(store).plan.steps


def test_an_error_leaves_the_steps_before_it_written(work, monkeypatch):
    store, compute = create_store(work), work.extractor.step_computer()
    work.extractor.source.to(work.extractor.device)
    steps = iter(range(len(work.plan.steps)))

    def failing(step):
        if next(steps) == len(work.plan.steps) - 1:
            raise RuntimeError("the last step fails")
        return compute(step)

    monkeypatch.setattr(type(work.extractor), "step_computer", lambda _: failing)
    with pytest.raises(RuntimeError, match="the last step fails"):
        work.extractor.run(work.plan, store, lambda event: None)
    assert len(work.job.remaining(store).plan.steps) == 1


@pytest.mark.parametrize(("dtype", "advice"), [("float16", "`dtype='float32'`"), ("float32", "damaged weights")])
def test_values_that_are_not_finite_are_refused(dtype, advice):
    plane = PlaneSpec(PlaneId(0, "mean-5"), 1, 2, dtype)
    block = np.ones((3, 4, 2), dtype)
    assert check_finite(plane, block, cause="damaged weights") is block
    block[1, 2] = np.inf, np.nan
    with pytest.raises(StoreError, match=f"2 of 24 values of t0/mean-5 are not finite in {dtype}: .*{advice}"):
        check_finite(plane, block, cause="damaged weights")


def test_every_value_of_float16_is_checked():
    """One of all bit patterns of float16 among zeros is refused exactly if NumPy calls it infinite or NaN."""
    plane = PlaneSpec(PlaneId(0, "mean-5"), 1, 1, "float16")
    patterns = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.isfinite(patterns)
    assert check_finite(plane, patterns[finite], cause="") is not None
    for value in patterns[~finite][::7]:
        with pytest.raises(StoreError, match="1 of 2 values"):
            check_finite(plane, np.array([[[0]], [[value]]], np.float16), cause="")
    assert check_finite(plane, np.zeros((0, 4, 1), np.float16), cause="").size == 0
