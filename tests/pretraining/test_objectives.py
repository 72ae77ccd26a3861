"""Training objectives against slow transcriptions in float64."""

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from torch import nn

from hsifeat.backbones.networks.diffcrn import DiffCRN
from hsifeat.pretraining.objectives import (
    AbsoluteNoisePrediction,
    LogAbsoluteContrastive,
    NoisePrediction,
    info_nce,
    log_absolute_error,
)

N = 5


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(3)
    clean, noise = torch.randn(2, N, 3, 4, 4, generator=generator)
    return clean, noise, torch.tensor([0, 30, 300, 700, 999])


@pytest.fixture
def scheduler():
    return DDPMScheduler(beta_schedule="squaredcos_cap_v2")


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffCRN(in_channels=3, width=8, heads=2, groups=2, patch_px=4)


def noised(clean, noise, t, scheduler):
    """Ho et al. 2020, eq. 4, patch by patch in float64."""
    kept = scheduler.alphas_cumprod.double()
    return torch.stack(
        [
            kept[k].sqrt() * x.double() + (1 - kept[k]).sqrt() * e.double()
            for x, e, k in zip(clean, noise, t, strict=True)
        ]
    )


def slow_info_nce(one, other, temperature):
    n = len(one)
    similarity = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            similarity[i, j] = one[i] @ other[j] / np.linalg.norm(one[i]) / np.linalg.norm(other[j]) / temperature
    loss = 0.0
    for i in range(n):
        loss -= similarity[i, i] - np.log(np.exp(similarity[i]).sum())
        loss -= similarity[i, i] - np.log(np.exp(similarity[:, i]).sum())
    return loss / (2 * n)


@pytest.mark.parametrize(
    ("kind", "formula"), [(NoisePrediction, np.square), (AbsoluteNoisePrediction, np.abs)], ids=["square", "absolute"]
)
def test_noise_prediction_is_its_formula(batch, scheduler, network, kind, formula):
    clean, noise, t = batch
    predicted = network.double()(noised(clean, noise, t, scheduler), t)[0].detach().numpy()
    expected = np.mean(formula(noise.double().numpy() - predicted))
    objective = kind(network)
    assert not list(objective.parameters())
    assert objective(network.float(), clean, noise, t, scheduler).item() == pytest.approx(expected, rel=1e-5)


def test_log_absolute_contrastive_is_its_formula(batch, scheduler, network):
    clean, noise, t = batch
    objective = LogAbsoluteContrastive(network, weight=0.3, temperature=0.2, projected_channels=6)
    result = objective(network, clean, noise, t, scheduler).item()
    network.double()
    views = []
    errors = []
    for shift in (0, 1):
        # A patch's second view has the noise and the timestep of the patch after it.
        after = [(i + shift) % N for i in range(N)]
        image = noised(clean, noise[after], t[after], scheduler)
        maps = network.encode(image, t[after])
        errors.append(np.log(1 + np.abs(noise[after].double().numpy() - network(image, t[after])[0].detach().numpy())))
        views.append(objective.double().projection(maps.mean((2, 3))).detach().numpy())
    expected = np.mean(errors) + 0.3 * slow_info_nce(*views, 0.2)
    assert result == pytest.approx(expected, rel=1e-4)


def test_log_absolute_error_of_known_numbers():
    predicted, noise = torch.tensor([[0.0, 1.0, -2.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    assert float(log_absolute_error(predicted, noise)) == pytest.approx((np.log(2) + np.log(4)) / 3)


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_info_nce_is_its_formula(temperature):
    one, other = torch.randn(2, 7, 4, generator=torch.Generator().manual_seed(1))
    expected = slow_info_nce(one.double().numpy(), other.double().numpy(), temperature)
    assert float(info_nce(one, other, temperature)) == pytest.approx(expected, rel=1e-5)


def test_info_nce_in_closed_form():
    apart = torch.eye(6)
    # Each view equal to its own other and at right angles to all others: 1 / temperature against n - 1 zeros.
    assert float(info_nce(apart, 3 * apart, 0.5)) == pytest.approx(np.log(1 + 5 * np.exp(-2)), rel=1e-5)
    same = torch.ones(6, 4)
    assert float(info_nce(same, same, 0.1)) == pytest.approx(np.log(6), rel=1e-5)
    assert float(info_nce(apart, -apart, 0.1)) > np.log(6)
    assert float(info_nce(same[:1], same[:1], 0.1)) == 0


def test_a_step_follows_from_what_it_is_given(batch, scheduler, network):
    objective = LogAbsoluteContrastive(network)

    def gradients():
        network.zero_grad()
        objective.zero_grad()
        objective(network, *batch, scheduler).backward()
        return [p.grad.clone() for p in (*network.parameters(), *objective.parameters())]

    state = torch.random.get_rng_state()
    first, second = gradients(), gradients()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(grad.isfinite().all() for grad in first)
    assert all(p.grad.abs().sum() > 0 for p in objective.projection.parameters())


def test_the_network_is_no_part_of_the_objective(network):
    for kind in (NoisePrediction, LogAbsoluteContrastive):
        names = [name for name, _ in kind(network).named_modules()]
        assert not any(isinstance(kind(network).get_submodule(name), DiffCRN) for name in names)
    assert {name for name, _ in LogAbsoluteContrastive(network).named_parameters()} == {
        f"projection.{i}.{what}" for i in (0, 2) for what in ("weight", "bias")
    }


def test_noise_of_a_perfect_network_costs_nothing(batch, scheduler):
    clean, noise, t = batch

    class Knows(nn.Module):
        def forward(self, image, t, return_dict):
            kept = scheduler.alphas_cumprod[t][:, None, None, None]
            return ((image - kept.sqrt() * clean) / (1 - kept).sqrt(),)

    assert NoisePrediction(Knows())(Knows(), clean, noise, t, scheduler).item() < 1e-6
