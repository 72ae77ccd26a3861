"""Plans against a brute-force count over units, timesteps and planes."""

from functools import partial

import numpy as np
import pytest

from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.extraction.plan import make_plan
from hsifeat.extraction.tiling.pixel_list import PixelList
from hsifeat.extraction.tiling.pixel_windows import PixelWindows
from hsifeat.extraction.tiling.scene_tiling import tile_scene
from hsifeat.store.plane_layout import PlaneSpec, SceneLayout
from hsifeat.types import PlaneId

SCHEDULE = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})
PLANES = [PlaneSpec(PlaneId(t, layer), 2, 4, "float16") for t in (0, 200, 500) for layer in ("a", "b")]
TILING = tile_scene((48, 32), tile_px=16, halo_px=4, multiple=2)
LAYOUT = SceneLayout(48, 32, 16)
VALID = np.ones((48, 32), bool)


def plan_of(noise="field", done=None, draws=1, valid=VALID):
    policy = parse_noise(noise, SCHEDULE, draws=draws)
    return make_plan(partial(TILING.count_tiles, valid=valid), LAYOUT, PLANES, policy.passes, done)


def test_a_new_store_lacks_every_unit_of_every_plane():
    plan = plan_of()
    assert [(step.unit.index, step.t) for step in plan.steps] == [
        ((row, col), t) for row in range(3) for col in range(2) for t in (0, 200, 500)
    ]
    assert all([plane.id.layer for plane in step.planes] == ["a", "b"] for step in plan.steps)
    # Cores of 8 px: 4 per unit of 16 px and 24 in all, at three timesteps.
    assert sum(plan.unit_tiles.values()) == 24
    assert plan.passes == plan.total_passes == 72
    assert plan.missing_bytes == 6 * 24 * 16 * 4 * 2
    assert [row["state"] for row in plan.plane_rows()] == ["to do"] * 6
    assert all(tuple(row) == plan.PLANE_COLUMNS for row in plan.plane_rows())


def test_only_missing_units_are_planned():
    rng = np.random.default_rng(0)
    done = {plane.id: rng.random((3, 2)) < 0.5 for plane in PLANES}
    done[PLANES[0].id][:] = True
    plan = plan_of(done=done.__getitem__)
    missing = {(unit.index, plane.id) for unit in LAYOUT.units for plane in PLANES if not done[plane.id][unit.index]}
    assert {(step.unit.index, plane.id) for step in plan.steps for plane in step.planes} == missing
    assert plan.passes == 4 * len({(index, plane.t) for index, plane in missing})
    assert plan.total_passes == 72
    assert plan.missing_bytes == len(missing) * 8 * 8 * 4 * 2
    assert plan.plane_rows()[0]["state"] == "complete"
    complete = plan_of(done=lambda _plane: np.ones((3, 2), bool))
    assert (complete.steps, complete.passes, complete.missing_bytes) == ((), 0, 0)


@pytest.mark.parametrize(
    ("noise", "draws", "passes"),
    [("field", 3, [3, 3, 3]), ("none", 1, [1, 1, 1]), ("inversion:10", 1, [1, 3, 4])],
)
def test_passes_of_a_step_are_those_of_the_noise_policy(noise, draws, passes):
    """An inversion in steps of 100 continues from the previous timestep: 2 predictions to 200, and 3 more to 500."""
    plan = plan_of(noise, draws=draws)
    assert [step.passes for step in plan.steps[:3]] == passes
    assert plan.passes == plan.total_passes == 24 * sum(passes)


def test_an_inversion_that_resumes_starts_again_in_each_unit():
    done = {plane.id: np.full((3, 2), plane.id.t == 0) for plane in PLANES}
    plan = plan_of("inversion:10", done=done.__getitem__)
    assert [(step.t, step.passes) for step in plan.steps[:2]] == [(200, 3), (500, 4)]


def test_tiles_without_valid_pixels_take_no_pass():
    valid = VALID.copy()
    valid[:20, :20] = False  # with a margin of half of a stride
    plan = plan_of(valid=valid)
    assert sum(plan.unit_tiles.values()) == 20 and plan.unit_tiles[LAYOUT.units[0]] == 0
    assert plan.passes == 60


def test_windows_around_pixels_are_one_tile_each():
    tiling = PixelWindows(PixelList(np.arange(10), np.arange(10)), 16)
    count = partial(tiling.count_tiles, valid=VALID)
    plan = make_plan(count, tiling.layout, PLANES, parse_noise("shared", SCHEDULE).passes, None)
    assert (sum(plan.unit_tiles.values()), plan.passes) == (10, 30)
    assert plan.missing_bytes == 6 * 10 * 2 * 4 * 2
