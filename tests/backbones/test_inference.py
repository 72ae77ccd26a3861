"""The faster layers of a backbone compute what torch and diffusers compute."""

import copy

import pytest
import torch
from diffusers import UNet2DModel
from torch import nn
from torch.nn.functional import conv2d

from hsifeat.backbones.inference import speed_up
from hsifeat.backbones.winograd import WinogradConv2d, transform_kernels, winograd


@pytest.mark.parametrize(
    ("count", "inputs", "outputs", "rows", "cols", "bias"),
    [(2, 3, 5, 16, 16, True), (1, 4, 2, 2, 6, False), (3, 8, 8, 34, 4, True), (1, 700, 2, 34, 34, True)],
)
def test_winograd_is_a_convolution(count, inputs, outputs, rows, cols, bias):
    """The last case has more values than a chunk, and its number of rows is not a multiple of the rows of a chunk."""
    random = torch.Generator().manual_seed(0)
    maps = torch.randn(count, inputs, rows, cols, generator=random)
    kernels = torch.randn(outputs, inputs, 3, 3, generator=random)
    offsets = torch.randn(outputs, generator=random) if bias else None
    wanted = conv2d(maps.double(), kernels.double(), None if offsets is None else offsets.double(), padding=1)
    found = winograd(maps, transform_kernels(kernels), offsets)
    assert found.is_contiguous(memory_format=torch.channels_last)
    direct = (conv2d(maps, kernels, offsets, padding=1) - wanted).abs().max()
    assert (found - wanted).abs().max() <= 4 * direct + 1e-6


def test_only_wide_convolutions_of_known_form_are_replaced():
    wide = {"in_channels": 256, "out_channels": 128, "kernel_size": 3, "padding": 1}
    others = ({"in_channels": 64}, {"kernel_size": 1}, {"padding": 0}, {"stride": 2}, {"groups": 2}, {"dilation": 2})
    layers = [nn.Conv2d(**wide | change) for change in ({}, *others, {"padding_mode": "reflect"})]
    assert [WinogradConv2d.suits(layer) for layer in layers] == [True] + [False] * 7


def test_other_networks_do_not_change():
    """Other networks may contain views that need the usual order of values in memory."""
    network = nn.Sequential(nn.Conv2d(256, 256, 3, padding=1))
    speed_up(network)
    assert type(network[0]) is nn.Conv2d and network(torch.zeros(1, 256, 16, 16)).is_contiguous()


@pytest.mark.parametrize("shape", [(256, 15, 18), (1, 256, 14, 16), (1, 256, 17, 16)])
def test_maps_that_do_not_fit_are_convolved_by_torch(shape):
    layer = nn.Conv2d(256, 128, 3, padding=1)
    maps = torch.randn(shape)
    expected = layer(maps)
    layer.__class__ = WinogradConv2d
    assert torch.equal(layer(maps), expected)


SMALL = {"in_channels": 3, "out_channels": 3, "layers_per_block": 1, "norm_num_groups": 4}
NETWORKS = {
    "attention": {
        "block_out_channels": (16, 32),
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
        "attention_head_dim": 8,
    },
    "wide": {
        "block_out_channels": (8, 192),
        "down_block_types": ("DownBlock2D",) * 2,
        "up_block_types": ("UpBlock2D",) * 2,
        "attention_head_dim": None,
        "mid_block_scale_factor": 2**0.5,
    },
    "guided diffusion": {
        "block_out_channels": (16, 32),
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "downsample_type": "resnet",
        "upsample_type": "resnet",
        "resnet_time_scale_shift": "scale_shift",
        "attn_norm_num_groups": 4,
        "attention_head_dim": 16,
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_feature_map_equals_that_of_diffusers(name):
    torch.manual_seed(0)
    network = UNet2DModel(**SMALL, **NETWORKS[name]).eval().requires_grad_(requires_grad=False)
    fast = copy.deepcopy(network)
    speed_up(fast)
    assert [key for key, _ in fast.named_modules()] == [key for key, _ in network.named_modules()]
    assert all(torch.equal(fast.state_dict()[key], value) for key, value in network.state_dict().items())
    noisy = torch.randn(2, 3, 32, 32)
    wanted, found = feature_maps(network, noisy), feature_maps(fast, noisy)
    changed = 0
    for layer, maps in wanted.items():
        torch.testing.assert_close(
            found[layer], maps, rtol=1e-4, atol=1e-5, msg=lambda text, layer=layer: f"{layer}: {text}"
        )
        changed += not torch.equal(found[layer], maps)
    assert changed and len(wanted) > 30


def feature_maps(network: nn.Module, noisy: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return copies of the outputs of all modules that run once and output a map."""
    outputs: dict[str, list[torch.Tensor]] = {}
    hooks = [
        layer.register_forward_hook(
            lambda _layer, _inputs, output, key=key: outputs.setdefault(key, []).append(
                (output[0] if isinstance(output, tuple) else getattr(output, "sample", output)).clone()
            )
        )
        for key, layer in network.named_modules()
    ]
    network(noisy, 10)
    for hook in hooks:
        hook.remove()
    return {key: maps[0] for key, maps in outputs.items() if len(maps) == 1 and maps[0].ndim == 4 and "norm" not in key}
