"""Writing a trained model: a diffusers pipeline folder with safetensors, its pictures, card and record."""

from __future__ import annotations

import copy
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hsifeat
from hsifeat.errors import PretrainingError
from hsifeat.files import write_whole
from hsifeat.pretraining.card import loss_curve, model_card
from hsifeat.pretraining.judging import samples_picture
from hsifeat.pretraining.training import make_scheduler

if TYPE_CHECKING:
    from diffusers import UNet2DModel

RECORD = "training.json"
WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"
_PACKAGES = ("torch", "diffusers", "numpy", "pillow")


def write_model(folder: Path, network: UNet2DModel, facts: dict[str, Any], samples: int) -> None:
    """Write the folder; the record comes last and says that all is there.

    Parameters
    ----------
    folder : Path
        Is there.
    network : UNet2DModel
        The averaged network.
    facts : dict
        The record of the training, see `pretrain`; what wrote it is added.
    samples : int
        Images of the picture of samples, 0 for none.
    """
    # An old record would vouch for weights that are about to go.
    (folder / RECORD).unlink(missing_ok=True)
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    kept = _as_stored(network, facts["dtype"])
    kept.save_pretrained(part / "unet", safe_serialization=True)
    make_scheduler().save_pretrained(part / "scheduler")
    for name in ("unet", "scheduler"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (part / name).rename(folder / name)
    part.rmdir()
    index = {
        "_class_name": "DDPMPipeline",
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "DDPMScheduler"],
    }
    versions = {"python": platform.python_version(), "hsifeat": hsifeat.__version__}
    facts = {**facts, "versions": {**versions, **{name: version(name) for name in _PACKAGES}}}
    write_whole(folder / "model_index.json", json.dumps(index, indent=1))
    write_whole(folder / "loss.png", loss_curve(facts["losses"]))
    if samples:
        write_whole(folder / "samples.png", samples_picture(network, make_scheduler(), samples))
    write_whole(folder / "README.md", model_card(facts))
    write_whole(folder / RECORD, json.dumps(facts, indent=1))


def _as_stored(network: UNet2DModel, dtype: str) -> UNet2DModel:
    """Return a copy on the CPU, contiguous as safetensors wants it, in the precision that is kept."""
    import torch

    kept = copy.deepcopy(network).to(device="cpu", memory_format=torch.contiguous_format)
    # Not by diffusers' own cast, which warns of layers that this network does not have.
    for tensor in kept.parameters():
        tensor.data = tensor.data.to(getattr(torch, dtype))
    if not all(bool(tensor.isfinite().all()) for tensor in kept.parameters()):
        raise PretrainingError(f"weights do not fit into {dtype}: keep them as float32")
    return kept
