"""Imports all that a training process needs, for a server that forks such processes."""

from importlib import import_module

from hsifeat.diffusion.networks import NETWORKS, network_type

for module in (
    "hsifeat.pretraining.objectives",
    "hsifeat.pretraining.pretrain",
    "matplotlib.figure",
    "pytest",
    "scipy.ndimage",
    "tests.diffusion.networks.toys",
    "tests.pretraining.tiny",
    "torch.optim.swa_utils",
):
    import_module(module)
for name in NETWORKS:
    network_type(name)
