"""What every registered noise policy must satisfy, built-in or from another package."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from hsifeat.backbones.schedule import schedule_from_config
from hsifeat.errors import HsifeatError
from hsifeat.extraction.noise.policy import CleanUnit, load_policy, noise_policies, parse_noise
from hsifeat.types import Window

SCHEDULE = schedule_from_config({"beta_schedule": "linear", "num_train_timesteps": 1000})
CHANNELS, SIDE, BATCH = 3, 8, 2
CELLS = [Window(row, col, SIDE, SIDE) for row in (-4, 0, 60) for col in (-4, 4, 40)]
NAMES = list(noise_policies())


class LinearBackbone:
    """A network without weights: it predicts a tenth of its input."""

    name, channels, denoiser_channels, cell_px, schedule = "linear", CHANNELS, CHANNELS, Fraction(1), SCHEDULE

    def __init__(self):
        self.passes = 0

    def predict(self, x, t):
        self.passes += len(x)
        return 0.1 * x + t / 1000

    def forward_to(self, x, t, layers):
        self.passes += len(x)
        return dict.fromkeys(layers, x)


def policy_of(name, seed=0, draws=1):
    """Return the policy with this name. If its ``form`` has an argument, the argument is 10."""
    form = load_policy(noise_policies()[name]).form
    return parse_noise(f"{name}:10" if ":" in form else name, SCHEDULE, seed=seed, draws=draws)


def timesteps_of(policy):
    return (0, 400, 900) if policy.candidates() is None else policy.candidates()[::4]


def clean_tiles(count=9):
    return torch.randn(count, CHANNELS, SIDE, SIDE, generator=torch.Generator().manual_seed(7))


def noised(policy, t, *, order=None, batch=BATCH, warm_up=()):
    """Return all tiles at `t` with the noise of a policy, as (draws, n, channels, rows, cols).

    The tiles have the order of `CELLS`.
    """
    order = list(range(len(CELLS))) if order is None else order
    tiles = policy.noised_tiles(
        CleanUnit(LinearBackbone(), clean_tiles()[order], [CELLS[i] for i in order], device="cpu", batch=batch)
    )
    for t_before in (*warm_up, t):
        batches = [
            torch.stack(list(tiles.at(slice(start, start + batch), t_before))) for start in range(0, len(CELLS), batch)
        ]
    values = torch.empty(policy.draws, len(CELLS), CHANNELS, SIDE, SIDE)
    values[:, order] = torch.cat(batches, dim=1)
    return values.numpy()


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def test_the_built_in_policies_are_registered():
    assert set(NAMES) >= {"field", "shared", "none", "inversion"}


def test_the_class_has_the_name_of_its_entry_point_and_its_text_parses_to_itself(name):
    policy = policy_of(name, seed=5)
    assert policy.name == name and policy.form.partition(":")[0] == name
    again = parse_noise(policy.spec, SCHEDULE, seed=5)
    assert again == policy and again.spec == policy.spec


def test_inputs_are_finite_float32_tiles_once_per_draw(name):
    policy = policy_of(name)
    for t in timesteps_of(policy):
        values = noised(policy, t)
        assert values.shape == (1, len(CELLS), CHANNELS, SIDE, SIDE)
        assert values.dtype == np.float32 and np.isfinite(values).all()


def test_the_same_policy_gives_the_same_bits(name):
    for t in timesteps_of(policy_of(name)):
        np.testing.assert_array_equal(noised(policy_of(name), t), noised(policy_of(name), t))


def test_values_do_not_depend_on_earlier_timesteps(name):
    """A resumed run computes other timesteps before this one, in any order."""
    policy = policy_of(name)
    first, middle, last = timesteps_of(policy)[:3]
    for t in (first, middle, last):
        np.testing.assert_array_equal(noised(policy, t, warm_up=(last, first, middle)), noised(policy, t))


def test_values_do_not_depend_on_the_order_of_the_tiles_or_the_batch(name):
    policy = policy_of(name)
    t = timesteps_of(policy)[1]
    order = list(np.random.default_rng(0).permutation(len(CELLS)))
    plain = noised(policy, t)
    np.testing.assert_array_equal(noised(policy, t, order=order), plain)
    np.testing.assert_allclose(noised(policy, t, batch=5), plain, rtol=1e-6, atol=1e-6)


def test_the_clean_tiles_stay_as_they_are(name):
    clean, policy = clean_tiles(), policy_of(name)
    tiles = policy.noised_tiles(CleanUnit(LinearBackbone(), clean, CELLS, device="cpu", batch=len(CELLS)))
    for t in timesteps_of(policy):
        for x in tiles.at(slice(0, len(CELLS)), t):
            x.add_(1)
    torch.testing.assert_close(clean, clean_tiles(), rtol=0, atol=0)


def test_the_timestep_matters_where_tiles_are_noised_and_only_there(name):
    policy = policy_of(name)
    first, _, last = timesteps_of(policy)[:3]
    assert np.array_equal(noised(policy, first), noised(policy, last)) is not policy.noises


def test_another_seed_draws_other_noise(name):
    policy = policy_of(name)
    t = timesteps_of(policy)[1]
    differs = not np.array_equal(noised(policy, t), noised(policy_of(name, seed=1), t))
    assert differs is policy.several_draws, "what can be drawn repeatedly is random, everything else is not"


def test_draws_are_independent_or_refused(name):
    if not policy_of(name).several_draws:
        with pytest.raises(HsifeatError, match=f"draws is 2, but the noise {policy_of(name).spec} takes 1"):
            policy_of(name, draws=2)
        return
    policy = policy_of(name, draws=3)
    t = timesteps_of(policy)[1]
    values = noised(policy, t)
    np.testing.assert_array_equal(values[0], noised(policy_of(name), t)[0])
    assert all(not np.array_equal(values[0], other) for other in values[1:])
    with pytest.raises(HsifeatError, match=f"draws is 0, but the noise {policy.spec} takes at least 1"):
        policy_of(name, draws=0)


def test_passes_are_those_that_run(name):
    policy = policy_of(name)
    backbone, previous = LinearBackbone(), None
    tiles = policy.noised_tiles(CleanUnit(backbone, clean_tiles(4), CELLS[:4], device="cpu", batch=4))
    for t in timesteps_of(policy):
        backbone.passes = 0
        for x in tiles.at(slice(0, 4), t):
            backbone.forward_to(x, t, ["layer"])
        assert backbone.passes == 4 * policy.passes(t, previous)
        previous = t


def test_a_probe_is_one_pass(name):
    backbone, policy = LinearBackbone(), policy_of(name)
    assert len(policy.probe(backbone, clean_tiles(4), timesteps_of(policy)[0], ["layer"])) == 4
    assert backbone.passes == 4


def test_tiles_that_overlap_agree_only_where_noise_is_bound_to_positions(name):
    """An aligned policy gives two tiles the same noise where they overlap."""
    policy = policy_of(name)
    if not policy.aligned:
        return
    cells = [Window(0, 0, SIDE, SIDE), Window(0, 4, SIDE, SIDE)]
    clean = torch.zeros(2, CHANNELS, SIDE, SIDE)
    tiles = policy.noised_tiles(CleanUnit(LinearBackbone(), clean, cells, device="cpu", batch=2))
    values = next(tiles.at(slice(0, 2), timesteps_of(policy)[1])).numpy()
    np.testing.assert_array_equal(values[0, :, :, 4:], values[1, :, :, :4])


def test_unreachable_timesteps_and_unknown_arguments_are_refused(name):
    policy = policy_of(name)
    policy.check(timesteps_of(policy))
    if policy.candidates() is not None:
        with pytest.raises(HsifeatError, match=f"timestep 1 is no step of {policy.spec}"):
            policy.check((1,))
    with pytest.raises(HsifeatError):
        parse_noise(f"{name}:nonsense", SCHEDULE)
