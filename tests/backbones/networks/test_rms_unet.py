"""Per-pixel normalisation: a reference in NumPy, and tiles with enough halo equal one pass over the whole image."""

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel

from hsifeat.backbones.networks.rms_unet import PixelRMSNorm, RMSNormUNet2DModel
from hsifeat.errors import BackboneError

SIDE, CORE = 160, 64
ARGUMENTS = {
    "in_channels": 3,
    "out_channels": 3,
    "layers_per_block": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D"] * 2,
    "up_block_types": ["UpBlock2D"] * 2,
    "norm_num_groups": 4,
    "add_attention": False,
}


@pytest.fixture(scope="module")
def image():
    """An image whose statistics change from one side to the other."""
    values = np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE)) * np.linspace(0.1, 3, SIDE)
    return torch.from_numpy(values)


def build(network_class, dtype):
    torch.manual_seed(0)
    return network_class(**ARGUMENTS).eval().requires_grad_(False).to(dtype)


def receptive_radius(network):
    """Largest distance, in pixels along one axis, at which an input pixel moves the middle output pixel."""
    clean = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(clean, 0).sample[0, :, SIDE // 2, SIDE // 2].sum(), clean)
    return int(np.abs(np.argwhere(gradient[0].abs().sum(0).numpy() > 0) - SIDE // 2).max())


def largest_difference(network, image, halo):
    """Largest difference between a tile's core and the same pixels of one pass, in standard deviations of that pass."""
    whole = network(image, 20).sample
    at = (SIDE - CORE) // 2
    tile = image[..., at - halo : at + CORE + halo, at - halo : at + CORE + halo]
    core = network(tile, 20).sample[..., halo : halo + CORE, halo : halo + CORE]
    return float((core - whole[..., at : at + CORE, at : at + CORE]).abs().max() / whole.std())


def test_norm_equals_its_formula():
    maps = np.random.default_rng(0).standard_normal((2, 5, 4, 3))
    norm = PixelRMSNorm(5).double()
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    weight, bias = (p.detach().numpy()[:, None, None] for p in (norm.weight, norm.bias))
    wanted = weight * maps / np.sqrt(np.mean(maps**2, 1, keepdims=True) + 1e-5) + bias
    np.testing.assert_allclose(norm(torch.from_numpy(maps)).detach(), wanted, rtol=1e-12)


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_tiles_with_the_halo_of_the_receptive_field_equal_one_pass(image, dtype, limit):
    network = build(RMSNormUNet2DModel, torch.float64)
    radius = receptive_radius(network)
    halo = radius + radius % 2  # a multiple of the coarsest stride
    assert halo <= (SIDE - CORE) // 2
    network, x = network.to(dtype), image.to(dtype)
    assert largest_difference(network, x, halo) <= limit
    assert largest_difference(build(UNet2DModel, dtype), x, halo) > 1e-2  # group norm


def test_attention_is_refused():
    with pytest.raises(BackboneError, match="has no attention: set add_attention to false"):
        RMSNormUNet2DModel(**{**ARGUMENTS, "add_attention": True})
