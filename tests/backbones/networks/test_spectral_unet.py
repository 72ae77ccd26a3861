"""SpectralDiff's network: a slow transcription of its blocks, and the published shapes and sizes."""

import itertools
import math

import pytest
import torch
from torch.nn import functional

from hsifeat.backbones.networks.spectral_unet import SpectralUNet
from hsifeat.errors import BackboneError
from hsifeat.pretraining.network_specs import find_spec
from tests.helpers.own_networks import make


def transcribed(network, noisy, t):
    """Evaluate the network from its tensors alone."""
    w = network.state_dict()

    def norm(x, name):
        statistics = w[f"{name}.running_mean"], w[f"{name}.running_var"]
        return functional.batch_norm(x, *statistics, w[f"{name}.weight"], w[f"{name}.bias"])

    def linear(x, name):
        return functional.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def convolve(x, name, function=functional.conv3d, **options):
        return function(x, w[f"{name}.weight"], w[f"{name}.bias"], **options)

    frequencies = torch.exp(-math.log(10_000) * torch.arange(16) / 15)
    angles = t * frequencies
    time = functional.relu(linear(torch.cat([angles.sin(), angles.cos()]), "time_embedding.0"))

    def block(x, name, resample):
        h = norm(functional.relu(convolve(x, f"{name}.first", padding=1)), f"{name}.first_norm")
        h = h + functional.relu(linear(time, f"{name}.time"))[:, None, None, None]
        h = norm(functional.relu(convolve(h, f"{name}.second", padding=1)), f"{name}.second_norm")
        return convolve(h, f"{name}.resampling", resample, stride=(2, 1, 1), padding=(1, 2, 2))

    x = torch.cat([noisy, noisy[:, -1:], noisy[:, -1:]], 1)[:, None]
    fine = block(convolve(x, "input_convolution", padding=1), "down_blocks.0", functional.conv3d)
    coarse = block(fine, "down_blocks.1", functional.conv3d)
    back = block(torch.cat([coarse, coarse], 1), "up_blocks.0", functional.conv_transpose3d)
    back = block(torch.cat([back, fine], 1), "up_blocks.1", functional.conv_transpose3d)
    return convolve(back, "output_convolution")[:, 0, :6]


def test_the_network_equals_its_formulas():
    network = make("SpectralUNet")
    noisy = torch.randn(2, 6, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(noisy, 123)[0], transcribed(network, noisy, 123.0))


@pytest.mark.parametrize(("bands", "columns"), [(200, 6400), (104, 3328), (208, 6656), (103, 3328), (204, 6656)])
def test_the_published_layers(bands, columns):
    """Published features: 6,400 columns of a pixel of Indian Pines, 3,328 of Pavia University and 6,656 of Salinas."""
    with torch.device("meta"):
        network = find_spec("spectraldiff", "paper").build(bands).eval()
        found = []
        for skip in network.skips:
            skip.register_forward_hook(lambda _m, _i, output: found.append(output.shape))
        assert network(torch.zeros(1, bands, 8, 8), 5)[0].shape == (1, bands, 8, 8)
    assert [shape[1] * shape[2] for shape in found] == 3 * [columns if bands % 8 == 0 else found[0][1] * -(-bands // 8)]
    assert all(shape[3:] == (8, 8) for shape in found)


def test_the_published_size():
    network = find_spec("spectraldiff", "paper").build(8)

    def block(a, b):
        convolutions = 27 * a * b + b + 27 * b * b + b + 4 * 5 * 5 * b * b + b
        return convolutions + 2 * 2 * b + (32 * b + b)

    widths = [16, 32, 64, 128]
    down = sum(block(a, b) for a, b in itertools.pairwise(widths))
    up = sum(block(2 * b, a) for a, b in itertools.pairwise(widths))
    assert sum(p.numel() for p in network.parameters()) == down + up + (27 * 16 + 16) + (16 + 1) + (32 * 32 + 32)


@pytest.mark.parametrize(("widths", "time"), [((4,), 8), ((4, 0), 8), ((4, 8), 7)])
def test_impossible_sizes_are_refused(widths, time):
    with pytest.raises(BackboneError, match="the sizes of a SpectralUNet are whole numbers from 1"):
        SpectralUNet(6, widths, time)
