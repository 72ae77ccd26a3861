"""The network classes that a model folder may name in its ``config.json``: diffusers' U-Net and hsifeat's own.

Each is a diffusers ``ModelMixin`` with an argument ``in_channels``, whose ``forward(noisy, t, return_dict=False)`` returns
``(prediction,)``. A new one is one more line in `NETWORKS`. Two optional attributes control how its layers are listed:
``probe_side``, a side of the input that all strides divide, by default 64; and ``probe_timesteps``, where t decides which layers
are reached.
"""

from __future__ import annotations

from importlib import import_module

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import BackboneError, suggest_names

# Module of each class.
NETWORKS = {
    "UNet2DModel": "diffusers",
    "DiffCRN": "hsifeat.backbones.networks.diffcrn",
}


def network_type(class_name: str) -> type:
    """Return a network class by name; `BackboneError` with the nearest names if it is unknown."""
    if class_name not in NETWORKS:
        raise BackboneError(f"unknown network {class_name!r}; {suggest_names(class_name, NETWORKS)}")
    load_diffusers()
    network_class: type = getattr(import_module(NETWORKS[class_name]), class_name)
    return network_class
