"""Training a backbone from the outside: settle, train or go on, write a diffusers folder that extraction takes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.diffusion.device import pick_device
from hsifeat.diffusion.folder import read_json
from hsifeat.diffusion.unet2d import PROJECTION_FILE
from hsifeat.diffusion.weights import digest_file
from hsifeat.errors import BackboneError, PretrainingError
from hsifeat.files import disk_errors, write_whole
from hsifeat.pretraining.presets import TIMESTEPS, Preset, find_preset
from hsifeat.pretraining.result import RECORD, WEIGHTS, write_model
from hsifeat.pretraining.subjects import Subject, of_images, of_scene
from hsifeat.pretraining.training import Trainer, parameter_count
from hsifeat.scenes import Scene, open_scene
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent

if TYPE_CHECKING:
    import torch

_CHECKPOINT, _SETTINGS = "checkpoint.pt", "settings.json"
_CHECKPOINT_SECONDS = 30.0
DTYPES = ("float32", "float16")


def pretrain(
    data: Scene | str | Path,
    *,
    network: str = "mtmsd",
    size: str = "small",
    out: str | Path,
    steps: int | None = None,
    minutes: float | None = None,
    components: int | None = None,
    seed: int = 0,
    start: str | Path | None = None,
    dtype: str = "float32",
    about: str = "",
    device: str = "auto",
    listen: Listener = silent,
) -> Path:
    """Train a denoising U-Net without labels: on a scene's own patches after PCA, or on natural images.

    Parameters
    ----------
    data : Scene, str or Path
        For ``mtmsd`` a scene, or what `open_scene` takes; for ``natural32`` a folder or tar archive of image files.
    network, size : str
        A preset: ``mtmsd`` (in the manner of MTMSD) or ``natural32``, each ``small`` (a few minutes on two CPU cores) or
        ``paper``.
    out : str or Path
        Folder of the model. A run that was interrupted there goes on; one that is complete is left as it is, unless more
        steps are asked for.
    steps : int, optional
        Optimizer steps in all; by default the preset's.
    minutes : float, optional
        Stop after this long, in this call. With `steps`, whichever comes first: the same call goes on from there.
    components : int, optional
        Principal components that the network sees of a scene; by default the preset's.
    seed : int
        Seed of weights, patches, timesteps and noise.
    start : str or Path, optional
        A model of the same network whose weights are the first ones.
    dtype : {"float32", "float16"}
        How the weights are kept in the model's file; training is the same.
    about : str
        Source and licence of the images, for the model card.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Path
        The folder: a diffusers pipeline folder with safetensors, a record and a model card, and the projection of a scene.

    Raises
    ------
    PretrainingError
        Unknown preset, a budget of nothing, a scene smaller than a patch, no images, a loss that diverges, or a folder
        that holds something else.

    References
    ----------
    Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020. Zhou et al., "MTMSD", IEEE TGRS 2024,
    arXiv:2306.08964.
    """
    for budget in (steps, minutes):
        if budget is not None and budget <= 0:
            raise PretrainingError(f"a budget of {budget} trains nothing: give more than 0")
    if dtype not in DTYPES:
        raise PretrainingError(f"weights are kept as {' or '.join(DTYPES)}; found {dtype!r}")
    preset = find_preset(network, size)
    folder = Path(out)
    _check_folder(folder)
    subject = _subject(data, network, preset, components, folder, seed, listen)
    weights, weights_digest = _start(start)
    identity = {
        "network": network,
        "size": size,
        "seed": seed,
        "start": weights_digest,
        **subject.identity,
        "settings": _settings(preset),
    }
    before = _record(folder, identity)
    target = steps or (None if minutes else preset.steps)
    if before and before.get("dtype", "float32") == dtype and _enough(before, target, minutes):
        listen(Note(f"{folder} is trained already ({before['steps']} steps): nothing to do"))
        return folder

    where = pick_device(device)
    trainer = Trainer(preset, subject.sampler, where, weights)
    folder.mkdir(parents=True, exist_ok=True)
    if subject.projection is not None:
        subject.projection.save(folder / PROJECTION_FILE)
    if (folder / _CHECKPOINT).exists():
        trainer.load(folder / _CHECKPOINT)
    write_whole(folder / _SETTINGS, json.dumps(identity, indent=1))
    seconds = (before or {}).get("seconds", 0.0)
    if target is None or trainer.step < target:
        seconds += _train(trainer, subject, preset, folder, target, minutes, listen)
    facts = {
        **identity,
        "steps": trainer.step,
        "minutes": minutes,
        "seconds": seconds,
        "device": where,
        "dtype": dtype,
        "parameters": parameter_count(trainer.network),
        "command": _command(subject.name, identity, trainer.step, components, start, dtype),
        "about": about,
        "held_out": {str(step): losses for step, losses in sorted(trainer.held_out.items())},
        "losses": trainer.losses,
    }
    with disk_errors(folder):
        write_model(folder, trainer.averaged, facts, 0 if preset.images is None else preset.images.samples)
    return folder


def _subject(
    data: Scene | str | Path,
    network: str,
    preset: Preset,
    components: int | None,
    folder: Path,
    seed: int,
    listen: Listener,
) -> Subject:
    if preset.images is None:
        return of_scene(data if isinstance(data, Scene) else open_scene(data), preset, components, seed, listen)
    if isinstance(data, Scene):
        raise PretrainingError(
            f"{network} learns from natural images: name a folder or tar archive of them, not the scene {data.name}"
        )
    if components is not None:
        raise PretrainingError(f"{network} sees the three channels of images: leave out {components} components")
    return of_images(data, preset, preset.images, folder, seed, listen)


def _start(model: str | Path | None) -> tuple[dict[str, torch.Tensor] | None, str | None]:
    """Return the weights of a model to start from, and their digest."""
    if model is None:
        return None, None
    file = Path(model) / WEIGHTS
    if not file.exists():
        raise PretrainingError(f"no {WEIGHTS} in {model}: start from a folder that hsifeat pretrain wrote")
    digest = digest_file(file)  # Says plainly what is wrong with a damaged file.
    from safetensors.torch import load_file

    return load_file(file), digest


def _enough(before: Mapping[str, Any], target: int | None, minutes: float | None) -> bool:
    """Tell whether an earlier run used the budget up."""
    return bool(before["steps"] >= target if target else before.get("minutes") == minutes)


def _train(
    trainer: Trainer,
    subject: Subject,
    preset: Preset,
    folder: Path,
    target: int | None,
    minutes: float | None,
    listen: Listener,
) -> float:
    """Train to the budget, with a checkpoint every half minute and at the end; return the seconds it took."""
    start = saved = time.monotonic()
    held_out = None if subject.held_out is None else subject.held_out()
    judge_steps = 0 if preset.images is None else preset.images.judge_steps
    limit_s = None if minutes is None else 60 * minutes
    total, done = (target, trainer.step) if target else (limit_s or 0, 0)
    listen(Started("pretrain", total, "steps" if target else "s", done))
    for progress in trainer.run(target):
        now = time.monotonic()
        listen(Advanced("pretrain", progress.step if target else now - start, f"loss {progress.loss:.3f}"))
        if held_out is not None and progress.step % judge_steps == 0:
            trainer.judge(held_out)
        if now - saved > _CHECKPOINT_SECONDS:
            trainer.save(folder / _CHECKPOINT)
            saved = time.monotonic()
        if limit_s is not None and time.monotonic() - start >= limit_s:
            break
    if held_out is not None and trainer.step not in trainer.held_out:
        trainer.judge(held_out)
    trainer.save(folder / _CHECKPOINT)
    listen(Finished("pretrain"))
    return time.monotonic() - start


def _check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than a model of ours."""
    if folder.exists() and not folder.is_dir():
        raise PretrainingError(f"{folder} is a file: name a folder with --out")
    if (
        folder.is_dir()
        and not (folder / _SETTINGS).exists()
        and any(p.name != PROJECTION_FILE for p in folder.iterdir())
    ):
        raise PretrainingError(f"{folder} holds something else: name an empty or a new folder with --out")


def _record(folder: Path, identity: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record of a model that is complete in a folder, None if there is none; refuse another one."""
    settings = folder / _SETTINGS
    if not settings.exists():
        return None
    there = _read(settings)
    for name, value in identity.items():
        if there.get(name) != value:
            raise PretrainingError(
                f"{folder} holds a model with another {name} (there {_brief(there.get(name))}, asked for {_brief(value)}): "
                "name another folder with --out"
            )
    if not (folder / RECORD).exists():
        return None
    record = _read(folder / RECORD)
    if not all(isinstance(record.get(name), int | float) for name in ("steps", "seconds")):
        raise PretrainingError(
            f"{folder / RECORD} is no record of a training: delete it, or name another folder with --out"
        )
    return record


def _read(file: Path) -> dict[str, Any]:
    try:
        return read_json(file)
    except BackboneError as error:
        raise PretrainingError(f"{error}: delete it, or name another folder with --out") from error


def _brief(value: object) -> str:
    return str(value["name"] if isinstance(value, dict) and "name" in value else value)


def _settings(preset: Preset) -> dict[str, Any]:
    changed = "mirrored at random" if preset.images else "flipped and turned"
    return {
        "patch": f"{preset.patch_px} px, {changed}",
        "batch": preset.batch,
        "schedule": f"cosine, T = {TIMESTEPS}",
        "optimizer": f"AdamW, learning rate {preset.learning_rate}, gradient norm clipped at 1",
        "moving average": preset.ema_decay,
    }


def _command(
    name: str, identity: dict[str, Any], steps: int, components: int | None, start: str | Path | None, dtype: str
) -> str:
    given = {
        "network": identity["network"],
        "size": identity["size"],
        "steps": steps,
        "components": components,
        "start": start,
        "dtype": None if dtype == "float32" else dtype,
        "seed": identity["seed"],
    }
    options = " ".join(f"--{option} {value}" for option, value in given.items() if value is not None)
    return f"hsifeat pretrain {name} {options} --out DIR"
