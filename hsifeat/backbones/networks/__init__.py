"""Networks that a folder can hold, by the class that its ``config.json`` names: diffusers' U-Net, and ours.

Each is a diffusers ``ModelMixin`` with ``in_channels`` among its arguments, whose ``forward(noised, t, return_dict=False)`` gives
``(prediction,)``. A further one is a further line here. By attributes it may say how its layers are listed: ``probe_side``, a side
that all of their strides divide, if not 64; ``probe_timesteps``, if t decides which layers are reached.
"""

from __future__ import annotations

from importlib import import_module

from hsifeat.backbones.quiet_imports import load_diffusers
from hsifeat.errors import BackboneError, suggest_names

# Class, and the module that it lies in.
NETWORKS = {
    "UNet2DModel": "diffusers",
    "DiffCRN": "hsifeat.backbones.networks.diffcrn",
}


def network_type(class_name: str) -> type:
    """Return a network's class by its name; `BackboneError` with the known ones for any other."""
    if class_name not in NETWORKS:
        raise BackboneError(f"unknown network {class_name!r}; {suggest_names(class_name, NETWORKS)}")
    load_diffusers()
    found: type = getattr(import_module(NETWORKS[class_name]), class_name)
    return found
