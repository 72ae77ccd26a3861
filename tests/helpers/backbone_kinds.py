"""A small backbone of each kind, with random weights, for the conformance tests. Add new kinds to the list at the end."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.helpers.own_networks import save
from tests.helpers.small import save_latent, save_unet

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DOCUMENT = Path(__file__).parents[2] / "docs" / "user" / "backbones.md"


@dataclass(frozen=True)
class Kind:
    """Test case for one kind of backbone: functions that write a backbone, and options for opening the backbone.

    Attributes
    ----------
    name : str
        Name of the test case.
    plugin : str
        Entry point that opens the backbone.
    write : callable
        Writes all files of the backbone to a folder.
    source : callable
        Converts this folder to the argument of `open_backbone`.
    options : dict
        Options for opening the backbone.
    refused : dict
        Options that must raise an error.
    weights : bool
        Whether the backbone uses the weights in the folder.
    """

    name: str
    plugin: str
    write: Callable[[Path], Any]
    source: Callable[[Path], str] = str
    options: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, Any] = field(default_factory=lambda: {"prompt": "a field of maize"})
    weights: bool = True


def save_single_file(folder):
    """Write a U-Net as a single weights file with an arbitrary name, beside the configuration files of network and schedule."""
    save_unet(folder / "parts")
    folder.joinpath("config.json").write_text((folder / "parts/unet/config.json").read_text())
    folder.joinpath("scheduler_config.json").write_text((folder / "parts/scheduler/scheduler_config.json").read_text())
    (folder / "parts/unet/diffusion_pytorch_model.safetensors").rename(folder / "ema.safetensors")
    shutil.rmtree(folder / "parts")


def documented_code():
    """Return the Python code blocks of docs/user/backbones.md: a user-defined network, and its use."""
    return re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


def install_lab(site):
    """Install the network of the documentation into a folder, with its entry point."""
    (site / "lab.py").write_text(documented_code()[0])
    facts = site / "lab-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    toml = re.search(r"```toml\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)[1]
    name, target = re.search(r'^(\w+) = "(.*)"', toml, re.MULTILINE).groups()
    (facts / "entry_points.txt").write_text(f"[hsifeat.backbones]\n{name} = {target}\n")


def save_denoiser(folder):
    """Write weights of the network of the documentation. The package of the network need not be installed."""
    import torch

    namespace: dict[str, Any] = {}
    exec(documented_code()[0], namespace)  # noqa: S102  # the code that the page tells people to run
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        torch.save(namespace["Denoiser"]().state_dict(), folder / "denoiser.pt")


def nudge(file):
    """Change one number in a weights file."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    safe = file.suffix == ".safetensors"
    tensors = load_file(file) if safe else torch.load(file, weights_only=True)
    name = max((n for n, tensor in tensors.items() if tensor.is_floating_point()), key=lambda n: tensors[n].numel())
    tensors[name] = tensors[name].clone()
    tensors[name].view(-1)[0] += 0.125
    if safe:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
        save_file(tensors, file, metadata)
    else:
        torch.save(tensors, file)


def class_conditional(folder):
    """Write a U-Net with one input channel and five class labels, which predicts velocities (``v_prediction``)."""
    save_unet(folder, channels=1, num_class_embeds=5)
    file = folder / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "prediction_type": "v_prediction"}))


def save_adm(folder, **plan):
    """Write a guided-diffusion checkpoint in the legacy attention order, and the flags that its tensors do not determine."""
    import torch

    from tests.helpers.adm_oracle import Plan

    torch.save(Plan(heads=2, **plan).draw(), folder / "adm.pt")
    facts = 'heads = 2\nattention_order = "legacy"\nnoise_schedule = "cosine"\ntimesteps = 1000\n'
    (folder / "adm.pt.toml").write_text(facts)


def conditional_adm(folder):
    """Write a class-conditional guided-diffusion checkpoint with seven classes."""
    save_adm(folder, classes=7)


def save_diffcrn(folder):
    """Write a small DiffCRN network."""
    import torch
    from diffusers import DDPMScheduler

    from hsifeat.backbones.networks import network_type

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = network_type("DiffCRN")(in_channels=4, width=8, heads=2, groups=4, patch_px=4)
    network.save_pretrained(folder / "unet")
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(folder / "scheduler")


def adm_file(folder):
    """Return the backbone name of the checkpoint in a folder."""
    return str(folder / "adm.pt")


def hub_source(folder):
    """Copy a folder to the cache of the hub client, and return the name of the model on the hub."""
    from huggingface_hub import constants

    name = f"model-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    snapshot = Path(constants.HF_HUB_CACHE) / f"models--somebody--{name}" / "snapshots" / COMMIT
    if not snapshot.exists():
        shutil.copytree(folder, snapshot)
    return f"somebody/{name}@{COMMIT}"


# By plugin: the built-in ones have an entry each, or several where their code differs, and `denoiser` is another package's.
KINDS = [
    Kind("folder", "unet2d-folder", save_unet, refused={"prompt": "maize", "class_label": 1, "upsample": 4}),
    Kind("file", "unet2d-file", save_single_file, lambda folder: str(folder / "ema.safetensors")),
    Kind("label", "unet2d-folder", class_conditional, options={"class_label": 3}, refused={"class_label": 5}),
    Kind("hub", "hub", save_unet, hub_source),
    Kind("untrained", "untrained", save_unet, lambda folder: f"untrained:{folder}", weights=False),
    Kind("module", "denoiser", save_denoiser, lambda folder: f"denoiser:{folder / 'denoiser.pt'}", refused={"class_label": 2, "prompt": "maize"}),
    Kind("adm", "adm", save_adm, adm_file, refused={"prompt": "maize", "class_label": 1, "upsample": 4}),
    Kind("adm-mean-label", "adm", conditional_adm, adm_file, options={"class_label": "mean"}, refused={"class_label": "maize"}),
    Kind("diffcrn", "unet2d-folder", save_diffcrn, refused={"prompt": "maize", "class_label": 1, "upsample": 4}),
    Kind("spectral", "unet2d-folder", partial(save, "SpectralUNet"), refused={"prompt": "maize", "class_label": 1, "upsample": 4}),
    Kind("multistage", "unet2d-folder", partial(save, "MultistageUNet"), refused={"prompt": "maize", "class_label": 1, "upsample": 4}),
    Kind("latent", "latent", save_latent, options={"prompt": "a pin"}, refused={"class_label": 1, "upsample": 3}),
    Kind("latent-coarse", "latent", save_latent, options={"upsample": 2}, refused={"class_label": "mean"}),
]  # fmt: skip
