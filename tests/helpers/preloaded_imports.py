"""Imports of all modules that a training process needs, for the server that forks such processes."""

from importlib import import_module

from tests.helpers.remembered import remember_entry_points, remember_taps, remember_weights

remember_entry_points()
remember_taps()
remember_weights()

from hsifeat.backbones.networks import NETWORKS, network_type  # noqa: E402  # after the entry points

for module in (
    "hsifeat.pretraining.objectives",
    "hsifeat.pretraining.pretrain",
    "matplotlib.figure",
    "pytest",
    "scipy.ndimage",
    "tests.helpers.toy_networks",
    "tests.helpers.tiny_training",
    "torch.optim.swa_utils",
):
    import_module(module)
for name in NETWORKS:
    network_type(name)
