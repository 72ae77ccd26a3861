"""Writing a trained model: a diffusers folder with safetensors, its pictures, card and record."""

from __future__ import annotations

import copy
import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import hsifeat
from hsifeat.errors import PretrainingError
from hsifeat.files import write_file
from hsifeat.pretraining.evaluation import samples_picture
from hsifeat.pretraining.model_folder import RECORD
from hsifeat.pretraining.training import Trainer, make_scheduler, parameter_count
from hsifeat.pretraining.training_card import loss_curve, model_card

WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"
_PACKAGES = ("torch", "diffusers", "numpy", "pillow")


def write_model(folder: Path, trainer: Trainer, facts: Mapping[str, Any], samples: int) -> None:
    """Write the folder; the record comes last and says that all is there.

    Parameters
    ----------
    folder : Path
        Is there.
    trainer : Trainer
        Has the averaged network, the losses and the number of steps.
    facts : mapping
        What was trained how, see `pretrain`; what came of it and what wrote it are added.
    samples : int
        Images of the picture of samples, 0 for none.
    """
    # An old record would vouch for weights that are about to go.
    (folder / RECORD).unlink(missing_ok=True)
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    kept = _as_stored(trainer.averaged, facts["dtype"])
    kept.save_pretrained(part / "unet", safe_serialization=True)
    make_scheduler().save_pretrained(part / "scheduler")
    for name in ("unet", "scheduler"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (part / name).rename(folder / name)
    part.rmdir()
    record = {
        **facts,
        "command": f"{facts['command']} --steps {trainer.step}",
        "steps": trainer.step,
        "seconds": trainer.seconds,
        "parameters": parameter_count(trainer.network),
        "held_out": {str(step): losses for step, losses in sorted(trainer.held_out.items())},
        "losses": trainer.losses,
        "versions": _versions(),
    }
    class_name = type(kept).__name__
    if class_name == "UNet2DModel":
        index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", class_name]}
        index["scheduler"] = ["diffusers", "DDPMScheduler"]
        write_file(folder / "model_index.json", json.dumps(index, indent=1))
    write_file(folder / "loss.png", loss_curve(trainer.losses, trainer.held_out))
    if samples:
        write_file(folder / "samples.png", samples_picture(trainer.averaged, make_scheduler(), samples))
    write_file(folder / "README.md", model_card(record))
    write_file(folder / RECORD, json.dumps(record, indent=1))


def _versions() -> dict[str, str]:
    here = {"python": platform.python_version(), "hsifeat": hsifeat.__version__}
    return {**here, **{name: version(name) for name in _PACKAGES}}


def _as_stored(network: Any, dtype: str) -> Any:
    """Return a copy on the CPU, contiguous as safetensors wants it, in the precision that is kept."""
    import torch

    kept = copy.deepcopy(network).to(device="cpu", memory_format=torch.contiguous_format)
    # Not by diffusers' own cast, which warns of layers that this network does not have.
    for tensor in kept.parameters():
        tensor.data = tensor.data.to(getattr(torch, dtype))
    if not all(bool(tensor.isfinite().all()) for tensor in kept.parameters()):
        raise PretrainingError(f"weights do not fit into {dtype}: keep them as float32")
    return kept
