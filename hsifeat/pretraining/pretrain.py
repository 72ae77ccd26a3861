"""Training a backbone from the outside: settle, train or go on, write a diffusers folder that extraction takes."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hsifeat.diffusion.device import pick_device
from hsifeat.diffusion.unet2d import PROJECTION_FILE
from hsifeat.errors import PretrainingError
from hsifeat.files import disk_errors, write_whole
from hsifeat.pretraining.card import loss_curve, model_card
from hsifeat.pretraining.patches import PatchSampler
from hsifeat.pretraining.presets import TIMESTEPS, Preset, find_preset
from hsifeat.pretraining.training import Progress, Trainer, make_scheduler, parameter_count
from hsifeat.projection import fit_projection
from hsifeat.scenes import Scene, open_scene
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent

RECORD = "training.json"
_CHECKPOINT, _SETTINGS = "checkpoint.pt", "settings.json"
_CHECKPOINT_SECONDS = 30.0


def pretrain(
    scene: Scene | str | Path,
    *,
    network: str = "mtmsd",
    size: str = "small",
    out: str | Path,
    steps: int | None = None,
    minutes: float | None = None,
    components: int | None = None,
    seed: int = 0,
    device: str = "auto",
    listen: Listener = silent,
) -> Path:
    """Train a denoising U-Net on a scene's own unlabelled patches after PCA, in the manner of MTMSD.

    Parameters
    ----------
    scene : Scene, str or Path
        A scene, or what `open_scene` takes.
    network, size : str
        A preset: ``mtmsd``, ``small`` (about two minutes on two CPU cores) or ``paper``.
    out : str or Path
        Folder of the model. A run that was interrupted there goes on; one that is complete is left as it is, unless more
        steps are asked for.
    steps : int, optional
        Optimizer steps in all; by default the preset's.
    minutes : float, optional
        Stop after this long instead.
    components : int, optional
        Principal components that the network sees; by default the preset's.
    seed : int
        Seed of weights, patches, timesteps and noise.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Path
        The folder: a diffusers pipeline folder with safetensors, the projection, a record and a model card.

    Raises
    ------
    PretrainingError
        Unknown preset, a budget of nothing, a scene smaller than a patch, a loss that diverges, or a folder that holds
        something else.

    References
    ----------
    Zhou et al., "MTMSD", IEEE TGRS 2024, arXiv:2306.08964.
    """
    if steps is not None and minutes is not None:
        raise PretrainingError("give a budget in steps or in minutes, not both")
    if (steps is not None and steps < 1) or (minutes is not None and minutes <= 0):
        raise PretrainingError(
            f"a budget of {steps if steps is not None else minutes} trains nothing: give more than 0"
        )
    preset = find_preset(network, size)
    scene = scene if isinstance(scene, Scene) else open_scene(scene)
    for note in scene.notes:
        listen(Note(note))
    projection = fit_projection(f"pca:{components or min(preset.components, scene.bands)}", scene)
    sampler = PatchSampler(scene, projection, preset.patch_px, TIMESTEPS, seed)
    sampler.draw(0, 1)  # A scene that no patch fits is refused before a folder is made.
    identity = {
        "network": network,
        "size": size,
        "seed": seed,
        "scene": {"name": scene.name, "digest": scene.digest, "licence": scene.licence, "citation": scene.citation},
        "projection": {"spec": projection.spec, "digest": projection.digest},
        "settings": _settings(preset),
    }
    folder = Path(out)
    before = _record(folder, identity)
    target = None if minutes else steps or preset.steps
    if before and (before["steps"] >= target if target else before.get("minutes") == minutes):
        listen(Note(f"{folder} is trained already ({before['steps']} steps): nothing to do"))
        return folder

    folder.mkdir(parents=True, exist_ok=True)
    projection.save(folder / PROJECTION_FILE)
    where = pick_device(device)
    trainer = Trainer(preset, sampler, where)
    if (folder / _CHECKPOINT).exists():
        trainer.load(folder / _CHECKPOINT)
    write_whole(folder / _SETTINGS, json.dumps(identity, indent=1))
    seconds = (before or {}).get("seconds", 0.0) + _train(trainer, folder, target, minutes, listen)
    facts = {
        **identity,
        "steps": trainer.step,
        "minutes": minutes,
        "seconds": seconds,
        "device": where,
        "parameters": parameter_count(trainer.network),
        "command": _command(scene.name, network, size, trainer.step, components, seed),
        "losses": trainer.losses,
    }
    with disk_errors(folder):
        _write_model(folder, trainer, facts)
    return folder


def _train(trainer: Trainer, folder: Path, target: int | None, minutes: float | None, listen: Listener) -> float:
    """Train to the budget, with a checkpoint every half minute and at the end; return the seconds it took."""
    start = saved = time.monotonic()
    listen(
        Started("pretrain", target or (minutes or 0) * 60, "steps" if target else "s", trainer.step if target else 0)
    )
    for progress in _until(trainer, target, start, minutes):
        now = time.monotonic()
        listen(Advanced("pretrain", progress.step if target else now - start, f"loss {progress.loss:.3f}"))
        if now - saved > _CHECKPOINT_SECONDS:
            trainer.save(folder / _CHECKPOINT)
            saved = time.monotonic()
    trainer.save(folder / _CHECKPOINT)
    listen(Finished("pretrain"))
    return time.monotonic() - start


def _until(trainer: Trainer, target: int | None, start: float, minutes: float | None) -> Iterator[Progress]:
    if target is not None and trainer.step >= target:
        return
    for progress in trainer.run():
        yield progress
        if progress.step >= target if target else time.monotonic() - start >= 60 * (minutes or 0):
            return


def _record(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a model that is complete in a folder, None if there is none; refuse what does not belong."""
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise PretrainingError(f"{folder} is a file: name a folder with --out")
    settings = folder / _SETTINGS
    if not settings.exists():
        if any(p.name != PROJECTION_FILE for p in folder.iterdir()):
            raise PretrainingError(f"{folder} holds something else: name an empty or a new folder with --out")
        return None
    there = json.loads(settings.read_text(encoding="utf-8"))
    for name, value in identity.items():
        if there.get(name) != value:
            raise PretrainingError(
                f"{folder} holds a model with another {name} (there {_brief(there.get(name))}, asked for {_brief(value)}): "
                "name another folder with --out"
            )
    record = folder / RECORD
    return json.loads(record.read_text(encoding="utf-8")) if record.exists() else None


def _brief(value: object) -> str:
    return str(value["name"] if isinstance(value, dict) and "name" in value else value)


def _settings(preset: Preset) -> dict[str, Any]:
    return {
        "patch": f"{preset.patch_px} px, flipped and turned",
        "batch": preset.batch,
        "schedule": f"cosine, T = {TIMESTEPS}",
        "optimizer": f"AdamW, learning rate {preset.learning_rate}, gradient norm clipped at 1",
        "moving average": preset.ema_decay,
    }


def _command(scene: str, network: str, size: str, steps: int, components: int | None, seed: int) -> str:
    more = f" --components {components}" if components else ""
    return f"hsifeat pretrain {scene} --network {network} --size {size} --steps {steps}{more} --seed {seed} --out DIR"


def _write_model(folder: Path, trainer: Trainer, facts: dict[str, Any]) -> None:
    """Write the diffusers folder; the record comes last and says that all is there."""
    # An old record would vouch for weights that are about to go.
    (folder / RECORD).unlink(missing_ok=True)
    part = folder / ".part"
    shutil.rmtree(part, ignore_errors=True)
    trainer.averaged.save_pretrained(part / "unet", safe_serialization=True)
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
    write_whole(folder / "model_index.json", json.dumps(index, indent=1))
    write_whole(folder / "loss.png", loss_curve(facts["losses"]))
    write_whole(folder / "README.md", model_card(facts))
    write_whole(folder / RECORD, json.dumps(facts, indent=1))
