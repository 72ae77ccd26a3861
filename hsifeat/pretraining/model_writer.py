"""Writing of a trained model as a diffusers folder with safetensors, plots, a model card and a training record."""

from __future__ import annotations

import copy
import json
import platform
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hsifeat.backbones.recorded_files import RECORD, record_files
from hsifeat.backbones.unet2d import PROJECTION_FILE
from hsifeat.errors import PretrainingError
from hsifeat.files import follow_umask, write_file
from hsifeat.pretraining.evaluation import draw_samples
from hsifeat.pretraining.model_folder import ModelFolder
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.pretraining.training import Trainer, count_parameters, make_scheduler
from hsifeat.pretraining.training_card import plot_losses, write_card
from hsifeat.projection import Projection
from hsifeat.seals import seal_json

WEIGHTS = Path("unet") / "diffusion_pytorch_model.safetensors"
_PACKAGES = ("torch", "diffusers", "numpy", "pillow")


def write_model(
    model: ModelFolder,
    trainer: Trainer,
    projection: Projection | None,
    description: Mapping[str, Any],
    spec: NetworkSpec,
) -> None:
    """Write a trained model to a folder.

    The training record is written last. It contains the checksums of the files from which a backbone is loaded. If a folder
    has a training record, the model is complete.

    Parameters
    ----------
    model : ModelFolder
        Folder of the model, which must exist.
    trainer : Trainer
        Trainer with the averaged network, the losses and the number of steps.
    projection : Projection or None
        Projection of the scenes; None if the network was trained on images.
    description : mapping
        Identity and options of the training. They are written to the training record, together with the results and the
        versions of packages.
    spec : NetworkSpec
        Specification of the network. It has the noise schedule. If the network was trained on images, it also has the
        number of generated images that the model card shows.

    Raises
    ------
    PretrainingError
        If the weights are not finite in the dtype of the saved file.
    """
    folder = model.path
    sample_count = 0 if spec.images is None else spec.images.sample_count
    # The existing record describes weights that are about to be replaced.
    (folder / RECORD).unlink(missing_ok=True)
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    network = as_stored(trainer.averaged, description["dtype"])
    network.save_pretrained(part / "unet", safe_serialization=True)
    for file in (part / "unet").iterdir():
        follow_umask(file)
    scheduler = make_scheduler(spec)
    scheduler.save_pretrained(part / "scheduler")
    for name in ("unet", "scheduler"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (part / name).rename(folder / name)
    part.rmdir()
    model.write_projection(projection)
    record = {
        **description,
        "command": f"{description['command']} --steps {trainer.step}",
        "steps": trainer.step,
        "samples": sample_count,
        "timesteps": spec.timesteps.count,
        "seconds": trainer.seconds,
        "parameters": count_parameters(trainer.network),
        "held_out": {str(step): losses for step, losses in sorted(trainer.held_out.items())},
        "losses": trainer.losses,
        "versions": _versions(),
    }
    class_name = type(network).__name__
    if class_name == "UNet2DModel":
        index = {"_class_name": "DDPMPipeline", "unet": ["diffusers", class_name]}
        index["scheduler"] = ["diffusers", "DDPMScheduler"]
        write_file(folder / "model_index.json", json.dumps(index, indent=1))
    write_file(folder / "loss.png", plot_losses(trainer.losses, trainer.held_out))
    if sample_count:
        write_file(folder / "samples.png", draw_samples(trainer.averaged, scheduler, sample_count))
    write_file(folder / "README.md", write_card(record))
    files = [
        file.relative_to(folder).as_posix()
        for name in ("unet", "scheduler")
        for file in sorted((folder / name).iterdir())
    ]
    if projection is not None:
        files.append(PROJECTION_FILE)
    write_file(folder / RECORD, seal_json({**record, "files": record_files(folder, files)}, RECORD))


def _versions() -> dict[str, str]:
    own = {"python": platform.python_version(), "hsifeat": version("hsifeat")}
    return {**own, **{name: version(name) for name in _PACKAGES}}


def as_stored(network: Any, dtype: str) -> Any:
    """Return a copy of a network for safetensors: on the CPU, with weights of dtype `dtype`.

    Raises
    ------
    PretrainingError
        If a weight is not finite in `dtype`.
    """
    import torch

    stored = copy.deepcopy(network).to(device="cpu", memory_format=torch.contiguous_format)
    # Cast each tensor, because the cast of diffusers warns about layers that this network does not have.
    for tensor in stored.parameters():
        tensor.data = tensor.data.to(getattr(torch, dtype))
    if not all(bool(tensor.isfinite().all()) for tensor in stored.parameters()):
        raise PretrainingError(f"the weights exceed the range of {dtype}: save them as float32")
    return stored
