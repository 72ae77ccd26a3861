"""Multi-stage U-Net: with equal widths it is the U-Net of diffusers, and the published sizes hold."""

import pytest
import torch
from diffusers import UNet2DModel
from torch.utils.flop_counter import FlopCounterMode

from hsifeat.backbones.networks.multistage_unet import MultistageUNet
from hsifeat.errors import BackboneError
from hsifeat.pretraining.network_specs import find_spec


def test_with_equal_widths_it_is_the_network_of_diffusers():
    torch.manual_seed(0)
    ours = MultistageUNet(3, 16, (16, 16), (500,), (1, 2), blocks=1, head_channels=8, norm_groups=4).eval()
    theirs = UNet2DModel(
        in_channels=3, out_channels=3, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=4, attention_head_dim=8,
        down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2, norm_eps=1e-6,
    ).eval()  # fmt: skip
    for name, parameter in theirs.named_parameters():
        renamed = name.replace("conv_in.", "input_convolution.")
        if name.startswith("up_blocks"):
            renamed = "decoders.1." + name.replace("resnets", "residuals").replace("upsamplers.0", "upsampling")
        elif name.startswith(("conv_norm_out", "conv_out")):
            renamed = "decoders.1.output." + name.replace("conv_norm_out", "0").replace("conv_out", "2")
        parameter.data.copy_(ours.get_parameter(renamed))
    for module in theirs.modules():  # ours has one epsilon
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
    for module in ours.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(x, 700)[0], theirs(x, 700).sample)
        assert not torch.allclose(ours(x, 499)[0], theirs(x, 499).sample)


def test_the_published_widths_and_cost():
    """The paper states 17.65 GFLOPs (multiplications) of the base network and 18.65 of the multi-stage network for 32-px images."""
    with torch.device("meta"):
        network = find_spec("multistage", "paper").build(3)
    taps = [[block.residuals[-1].out_channels for block in decoder.up_blocks] for decoder in network.decoders]
    assert taps == [[384, 384, 384, 192], [256, 256, 256, 128], [32, 32, 32, 16]]
    assert [len(block.residuals) for block in network.decoders[0].up_blocks] == [9] * 4
    cost = []
    for t in (0, 500, 900):
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            network(torch.zeros(1, 3, 32, 32), t)
        cost.append(counter.get_total_flops() / 2e9)
    assert cost[1] == pytest.approx(17.65, rel=0.01)  # the second decoder has the width of the encoder
    assert cost[0] * 0.442 + cost[1] * 0.189 + cost[2] * 0.369 == pytest.approx(18.65, rel=0.01)


@pytest.mark.parametrize(
    ("widths", "boundaries"), [((8, 8), ()), ((8, 8), (0,)), ((8, 8, 8), (500, 400)), ((8,), (3,))]
)
def test_impossible_boundaries_are_refused(widths, boundaries):
    with pytest.raises(BackboneError, match="one boundary less than decoders, and its boundaries ascend from 1"):
        MultistageUNet(3, 8, widths, boundaries, (1, 2), blocks=1)
