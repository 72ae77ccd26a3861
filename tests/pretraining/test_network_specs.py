"""The network of MTMSD in its published size has the parameters and layers that its code and checkpoints state."""

import pytest
import torch
from diffusers import DDPMScheduler

from hsifeat.backbones.open_backbone import open_backbone
from hsifeat.pretraining.network_specs import find_spec


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        return find_spec("mtmsd", "paper").build(25)


@pytest.fixture(scope="module")
def taps(network, tmp_path_factory):
    """By the papers' numbers; layers are listed without weights."""
    folder = tmp_path_factory.mktemp("mtmsd")
    network.save_config(folder)
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(folder)
    return {tap.alias: tap for tap in open_backbone(folder).taps if tap.alias}


def test_it_has_24_6_million_parameters(network):
    count = sum(p.numel() for p in network.parameters())
    assert round(count / 1e6, 1) == 24.6
    # The published one predicts a variance beside the noise: its last convolution has twice the 25 filters of 128 x 3 x 3
    # weights and a bias, 28,825 parameters more.
    head = network.conv_out
    assert (head.in_channels, head.out_channels) == (128, 25)
    assert sum(p.numel() for p in head.parameters()) == 25 * (128 * 9 + 1) == 28_825
    assert round((count + 28_825) / 1e6, 1) == 24.6


def test_attention_is_in_the_middle_block_alone(network):
    attending = {name.split(".")[0] for name, _ in network.named_modules() if "attentions." in name}
    assert attending == {"mid_block"}


def test_blocks_have_the_published_shapes_at_48_px(taps):
    sides = {alias: (tap.channels, 48 // tap.stride) for alias, tap in taps.items()}
    assert sides == {
        **{f"output_blocks.{i}": (256, 12) for i in (0, 1)},
        **{f"output_blocks.{i}": (256, 24) for i in (2, 3, 4)},
        "output_blocks.5": (256, 48),
        **{f"output_blocks.{i}": (128, 48) for i in (6, 7, 8)},
    }


def test_a_forward_to_block_5_is_0_71_of_the_whole(taps):
    assert taps["output_blocks.5"].share == pytest.approx(0.71, abs=0.01)


def test_a_forward_is_12_9_billion_multiplications(network):
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 25, 48, 48), 0)
    assert counter.get_total_flops() / 2e9 == pytest.approx(12.9, abs=0.1)
