"""DiffCRN against a slow transcription in float64; patches do not affect each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf

from hsifeat.backbones.networks import network_type
from hsifeat.backbones.networks.diffcrn import SGSAD, SSAD, DiffCRN
from hsifeat.backbones.networks.patch_split import join_patches, split_into_patches
from hsifeat.errors import BackboneError


@pytest.fixture
def network():
    return seeded(lambda: DiffCRN(in_channels=3, width=12, heads=2, groups=3, patch_px=4))


def seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make().eval()


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def pointwise(x, layer, groups=1):
    """(C, P, P) to (C', P, P): each output channel from the channels of its group."""
    weight, bias = numbers(layer)
    per_group = len(weight) // groups
    inputs = len(x) // groups
    out = np.zeros((len(weight), *x.shape[1:]))
    for o in range(len(weight)):
        group = o // per_group
        for i in range(inputs):
            out[o] += weight[o, i, 0, 0] * x[group * inputs + i]
        out[o] += bias[o]
    return out


def depthwise(x, layer):
    weight, bias = numbers(layer)
    side = x.shape[1]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros_like(x)
    for c in range(len(x)):
        for row in range(side):
            for col in range(side):
                out[c, row, col] = (weight[c, 0] * padded[c, row : row + 3, col : col + 3]).sum() + bias[c]
    return out


def normed(x, layer):
    weight, bias = numbers(layer)
    standard = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return standard * weight[:, None, None] + bias[:, None, None]


def numbers(layer):
    return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()


def softmax_rows(scores):
    weights = np.exp(scores - scores.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


def slow_module(module, x, embedding, parts, *, tokens_are_pixels):
    """One patch (C, P, P) through a module, head by head or group by group."""
    channels, side = len(x), x.shape[1]
    weight, bias = numbers(module.time[1])
    e = embedding.double().numpy()
    x = x + (weight @ (e / (1 + np.exp(-e))) + bias)[:, None, None]
    mixed = pointwise(
        normed(x, module.attention_norm), module.queries_keys_values[0], 1 if tokens_are_pixels else parts
    )
    mixed = depthwise(mixed, module.queries_keys_values[1])
    size = channels // parts
    attended = np.zeros((channels, side, side))
    for part in range(parts):
        own = mixed[part * 3 * size : (part + 1) * 3 * size].reshape(3, size, side * side)
        q, k, v = (own[i].T if tokens_are_pixels else own[i] for i in range(3))  # (tokens, d)
        result = softmax_rows(q @ k.T / np.sqrt(q.shape[1])) @ v
        attended[part * size : (part + 1) * size] = (result.T if tokens_are_pixels else result).reshape(
            size, side, side
        )
    x = x + pointwise(attended, module.attention_projection)
    norm, widen, over, _, narrow = module.feed_forward
    hidden = depthwise(pointwise(normed(x, norm), widen), over)
    return x + pointwise(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, narrow)


@pytest.mark.parametrize(("kind", "tokens_are_pixels"), [(SSAD, True), (SGSAD, False)], ids=["SSAD", "SGSAD"])
def test_a_module_is_its_transcription(kind, tokens_are_pixels):
    module = seeded(lambda: kind(12, 3, 4))
    maps, embedding = draw(2, 12, 4, 4), draw(2, 12, seed=2)
    with torch.no_grad():
        result = module(maps, embedding)
    for i in range(2):
        expected = slow_module(module, maps[i].double().numpy(), embedding[i], 3, tokens_are_pixels=tokens_are_pixels)
        np.testing.assert_allclose(result[i].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_whole_is_its_stages(network):
    image = draw(1, 3, 4, 4)
    frequencies = np.exp(-np.log(10_000) * np.arange(32) / 32) * 37
    e = np.concatenate([np.cos(frequencies), np.sin(frequencies)])
    first, second = (numbers(layer) for layer in (network.time_embedding.linear_1, network.time_embedding.linear_2))
    e = first[0] @ e + first[1]
    e = torch.from_numpy(second[0] @ (e / (1 + np.exp(-e))) + second[1])
    x = pointwise(image[0].double().numpy(), network.input_projection)
    for module in network.spatial:
        x = slow_module(module, x, e, 2, tokens_are_pixels=True)
    for module in network.spectral:
        x = slow_module(module, x, e, 3, tokens_are_pixels=False)
    with torch.no_grad():
        np.testing.assert_allclose(network.encode(image, 37)[0].numpy(), x, rtol=1e-4, atol=1e-4)
        (result,) = network(image, torch.tensor([37]))
    np.testing.assert_allclose(result[0].numpy(), pointwise(x, network.output_projection), rtol=1e-4, atol=1e-4)


def test_patches_know_nothing_of_each_other(network):
    image, t = draw(2, 3, 8, 12), torch.tensor([5, 700])
    with torch.no_grad():
        (whole,) = network(image, t)
        for row in (0, 4):
            for col in (0, 4, 8):
                (alone,) = network(image[:, :, row : row + 4, col : col + 4], t)
                torch.testing.assert_close(whole[:, :, row : row + 4, col : col + 4], alone, rtol=1e-5, atol=1e-6)


def test_a_side_that_is_no_multiple_changes_no_whole_patch(network):
    image = draw(1, 3, 7, 9)
    with torch.no_grad():
        (result,) = network(image, 5)
        (whole,) = network(image[:, :, :4, :8], 5)
    assert result.shape == image.shape and result.isfinite().all()
    torch.testing.assert_close(result[:, :, :4, :8], whole, rtol=1e-5, atol=1e-6)


def test_the_bands_of_a_group_see_only_each_other():
    module = seeded(lambda: SGSAD(12, 3, 4))
    queries, keys, values = draw(3, 1, 3, 4, 16)
    changed = keys.clone(), values.clone()
    for tensor in changed:
        tensor[:, 1] += 1
    before, after = module.attention(queries, keys, values), module.attention(queries, *changed)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert not torch.equal(before[:, 1], after[:, 1])


@given(st.integers(1, 3), st.integers(1, 13), st.integers(1, 13), st.integers(1, 6))
def test_patches_are_windows_and_join_again(n, rows, cols, side):
    maps = torch.arange(n * 2 * rows * cols).reshape(n, 2, rows, cols)
    patches = split_into_patches(maps, side)
    padded = np.pad(maps.numpy(), ((0, 0), (0, 0), (0, -rows % side), (0, -cols % side)))
    expected = [
        padded[i, :, row : row + side, col : col + side]
        for i in range(n)
        for row in range(0, rows, side)
        for col in range(0, cols, side)
    ]
    np.testing.assert_array_equal(patches.numpy(), np.stack(expected))
    assert torch.equal(join_patches(patches, rows, cols), maps)


def test_gradients_have_the_same_bits_twice(network):
    def gradients():
        network.zero_grad()
        network(draw(4, 3, 4, 4), torch.arange(4) * 200)[0].square().sum().backward()
        return [p.grad.clone() for p in network.parameters()]

    first, second = gradients(), gradients()
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(grad.abs().sum() > 0 for grad in first)


def test_it_learns_a_batch_at_a_thousandth(network):
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    images, noise, t = draw(8, 3, 4, 4), draw(8, 3, 4, 4, seed=2), torch.arange(8) * 100
    losses = []
    for _ in range(120):
        loss = (network(images + noise, t)[0] - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[0] < 3 and losses[-1] < losses[0] / 4


@pytest.mark.parametrize(
    "wrong", [{"width": 10}, {"width": 9}, {"heads": 0}, {"patch_px": 0}, {"in_channels": -1}], ids=str
)
def test_inconsistent_sizes_are_refused(wrong):
    with pytest.raises(BackboneError, match="width is a multiple of heads and of groups; found") as refusal:
        DiffCRN(**{"in_channels": 3, "width": 8, "heads": 2, "groups": 4, "patch_px": 4, **wrong})
    assert "\n" not in str(refusal.value)


def test_an_unknown_network_is_refused():
    with pytest.raises(BackboneError, match="unknown network 'DiffCRM'; nearest: DiffCRN"):
        network_type("DiffCRM")
