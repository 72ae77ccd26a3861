"""Small networks of two classes of this package: `SpectralUNet` and `MultistageUNet`."""

import torch
from diffusers import DDPMScheduler

from hsifeat.backbones.networks import network_type

BOUNDARIES = (442, 631)
ARGUMENTS = {
    "SpectralUNet": {"in_channels": 6, "widths": [2, 3, 4]},
    "MultistageUNet": {
        "in_channels": 6, "encoder_width": 8, "decoder_widths": [8, 6, 4], "boundaries": list(BOUNDARIES),
        "multipliers": [1, 2], "blocks": 1, "head_channels": 8, "norm_groups": 2,
    },
}  # fmt: skip
SCHEDULES = {"SpectralUNet": {"beta_schedule": "linear", "num_train_timesteps": 500}}


def make(name):
    """Return a network with fixed random weights. Batch normalisations, if any, have the statistics of a random batch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = network_type(name)(**ARGUMENTS[name])
        network.train()
        network(torch.randn(4, 6, 8, 8), 3)
        return network.eval()


def save(name, folder):
    """Write a network with a noise schedule in the layout of `hsifeat pretrain`, and return the network."""
    network = make(name)
    network.save_pretrained(folder / "unet")
    schedule = SCHEDULES.get(name, {"beta_schedule": "squaredcos_cap_v2"})
    DDPMScheduler(**schedule).save_pretrained(folder / "scheduler")
    return network
