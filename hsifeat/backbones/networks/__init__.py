"""The network classes that a model folder may name in its ``config.json``: diffusers' U-Net and hsifeat's own networks.

Each class is a diffusers ``ModelMixin`` with an argument ``in_channels``. Its ``forward(noisy, t, return_dict=False)``
returns ``(prediction,)``. To add a class, add a line to `NETWORKS`. The layers of a network are found in a forward
pass. Two attributes of the network control this pass. ``probe_side`` is the side of the input, a multiple of the stride
of every layer [default: 64]. If the network runs different layers in different intervals of timesteps, it
must have ``probe_timesteps``: the first timestep of each interval, in ascending order from 0.
"""

from __future__ import annotations

from importlib import import_module

from hsifeat.backbones.locked_imports import load_diffusers
from hsifeat.errors import BackboneError, suggest_names

# Each class, and the module that defines it.
NETWORKS = {
    "UNet2DModel": "diffusers",
    "RMSNormUNet2DModel": "hsifeat.backbones.networks.rms_unet",
    "DiffCRN": "hsifeat.backbones.networks.diffcrn",
    "SpectralUNet": "hsifeat.backbones.networks.spectral_unet",
    "MultistageUNet": "hsifeat.backbones.networks.multistage_unet",
}


def network_type(class_name: str) -> type:
    """Return the network class with the name `class_name`.

    If the name is unknown, the message of the `BackboneError` lists similar names.
    """
    if class_name not in NETWORKS:
        raise BackboneError(f"unknown network {class_name!r}; {suggest_names(class_name, NETWORKS)}")
    load_diffusers()
    network_class: type = getattr(import_module(NETWORKS[class_name]), class_name)
    return network_class
