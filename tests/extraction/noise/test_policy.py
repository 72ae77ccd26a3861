"""Parsing ``--noise`` and the registry of noise policies; planes are the same bits however a run was split."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

import hsifeat
from hsifeat import registration
from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise import policy
from hsifeat.extraction.noise.policy import parse_noise
from hsifeat.store.store import Store
from tests.helpers.extraction import prepare

LAYER = "up_blocks.0"
OPTIONS = {"tile": 32, "halo": 8, "layers": [LAYER], "dtype": "float32"}
SCHEDULE = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "fresh"}, "unknown noise 'fresh'; allowed: field, inversion:N, none, shared"),
        ({"noise": "field:3"}, "the noise field takes no argument; found '3'"),
        ({"noise": "inversion"}, "inversion:N takes a number of steps, such as inversion:10; found nothing"),
        ({"noise": "inversion:0"}, "takes a number of steps, such as inversion:10; found '0'"),
        ({"noise": "inversion:1001"}, "at most 1000 steps"),
        (
            {"noise": "inversion:4", "timesteps": [0, 90]},
            "90 is no step of inversion:4; its steps are 0, 250, 500, 750",
        ),
        ({"noise": "none", "draws": 2}, "draws is 2, but the noise none takes 1: this policy averages no draws"),
        ({"draws": 0}, "draws is 0|at least 1"),
    ],
)
def test_wrong_noise_is_refused_before_anything_is_written(scene, backbone_folder, options, message):
    with pytest.raises(HsifeatError, match=message):
        prepare(scene, backbone=backbone_folder, **{"timesteps": [0], **OPTIONS, **options})


def test_a_broken_plug_in_hides_no_other(monkeypatch):
    registered = list(policy.noise_policies().values())
    broken = EntryPoint("broken", "no.such.module:Policy", policy.GROUP)
    wrong = EntryPoint("wrong", "builtins:int", policy.GROUP)
    monkeypatch.setattr(registration, "entry_points", lambda group: [*registered, broken, wrong])
    assert parse_noise("field", SCHEDULE).name == "field"
    with pytest.raises(HsifeatError, match="allowed: broken, field, inversion:N, none, shared, wrong"):
        parse_noise("fresh", SCHEDULE)
    with pytest.raises(HsifeatError, match="the noise policy broken can't be loaded: No module named 'no'"):
        parse_noise("broken", SCHEDULE)
    with pytest.raises(HsifeatError, match="wrong is builtins:int, which is no subclass of NoisePolicy"):
        parse_noise("wrong", SCHEDULE)


@pytest.mark.parametrize("noise", ["inversion:10", "field", "shared"])
def test_an_interrupted_run_gives_the_same_bits(scene, backbone_folder, tmp_path, noise):
    """Runs for one or two timesteps in any order give the same bits as one run for all timesteps."""
    options = {**OPTIONS, "backbone": backbone_folder, "noise": noise, "batch": 3}
    if noise == "field":
        options["draws"] = 2
    at_once = hsifeat.extract(scene, timesteps=[100, 200, 400], out=tmp_path / "once.zarr", **options)
    for timesteps in ([400], [100], [100, 200]):
        parts = hsifeat.extract(scene, timesteps=timesteps, out=tmp_path / "parts.zarr", **options)
    assert parts.key == at_once.key and parts.planes == at_once.planes
    for plane in at_once.planes:
        np.testing.assert_array_equal(parts.plane(plane.id)[:], at_once.plane(plane.id)[:])


def test_like_adopts_the_noise_of_a_store(scene, backbone_folder, tmp_path):
    options = {**OPTIONS, "backbone": backbone_folder, "timesteps": [100]}
    for name, noise in {
        "i": {"noise": "inversion:10"},
        "d": {"noise": "shared", "draws": 2},
        "n": {"noise": "none"},
    }.items():
        store = hsifeat.extract(scene, out=tmp_path / f"{name}.zarr", **options, **noise)
        assert prepare(scene, like=Store.open(store.location), out=tmp_path / "new.zarr").recipe.key == store.key
