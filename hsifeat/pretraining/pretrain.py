"""Training a backbone from the outside: settle, train or go on, write a diffusers folder that extraction takes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.weights import digest_file
from hsifeat.errors import PretrainingError
from hsifeat.files import disk_errors
from hsifeat.pretraining.config import resolve_training
from hsifeat.pretraining.data import Subject, of_images, of_scenes
from hsifeat.pretraining.model_folder import FORMAT, ModelFolder, check_free
from hsifeat.pretraining.networks import Preset, find_preset
from hsifeat.pretraining.session import Budget, train
from hsifeat.pretraining.trained_model import WEIGHTS, write_model
from hsifeat.pretraining.training import DivergedError, Trainer
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes import Scene, open_scene

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "float16")

Data = Scene | str | Path


def pretrain(
    data: Data | Sequence[Data],
    *,
    network: str | None = None,
    size: str | None = None,
    out: str | Path,
    steps: int | None = None,
    minutes: float | None = None,
    components: int | None = None,
    learning_rate: float | None = None,
    preset: str | Path | None = None,
    seed: int = 0,
    start: str | Path | None = None,
    dtype: str = "float32",
    about: str = "",
    device: str = "auto",
    source: str = "",
    listen: Listener = silent,
) -> Path:
    """Train a denoiser without labels: on patches of one scene or several after PCA, or on natural images.

    Parameters
    ----------
    data : Scene, str or Path, or a sequence of them
        Scenes with the same bands, or what `open_scene` takes; for ``natural32`` a folder or tar archive of image files.
    network, size : str, optional
        A preset, by default ``mtmsd`` in ``small``. There are ``mtmsd`` (in the manner of MTMSD), ``diffcrn`` (of DiffCRN) or ``natural32``, each ``small`` (a few
        minutes on two CPU cores) or ``paper``.
    out : str or Path
        Folder of the model. A run that was interrupted there goes on; one that is complete is left as it is, unless more
        steps are asked for.
    steps : int, optional
        Optimizer steps in all; by default the preset's.
    minutes : float, optional
        Stop after this long, in this call. With `steps`, whichever comes first: the same call goes on from there.
    components : int, optional
        Principal components that the network sees of a scene; by default the preset's.
    learning_rate : float, optional
        Of AdamW; by default the preset's.
    preset : str or Path, optional
        A published training by name, or a ``.toml`` file, see `hsifeat.presets`: whatever of the options above is not given
        is chosen as there.
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
    source : str
        How a command line names the data, for the model card; by default by their names.
    listen : callable
        Gets the events of the run.

    Returns
    -------
    Path
        The folder: a diffusers folder with safetensors, a record and a model card, and the projection of the scenes.

    Raises
    ------
    PretrainingError
        Unknown preset, a budget of nothing, a scene smaller than a patch, scenes of unlike bands, no images, a loss that
        diverges (the folder then holds the model from before), or a folder that holds something else.

    Examples
    --------
    >>> import hsifeat
    >>> hsifeat.pretrain("indian-pines", network="mtmsd", size="small", out="backbone")  # doctest: +SKIP

    References
    ----------
    Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020. Zhou et al., "MTMSD", IEEE TGRS 2024,
    arXiv:2306.08964. Zhu & Xu, "DiffCRN", arXiv:2502.19699.
    """
    if dtype not in DTYPES:
        raise PretrainingError(f"weights are kept as {' or '.join(DTYPES)}; found {dtype!r}")
    chosen = resolve_training(
        preset, network=network, size=size, steps=steps, components=components, learning_rate=learning_rate
    )
    network, size, steps, components = chosen.network, chosen.size, chosen.steps, chosen.components
    setup = _preset(network, size, chosen.learning_rate)
    budget = Budget(setup.steps if steps is None and minutes is None else steps, minutes)
    folder = Path(out)
    check_free(folder)
    given = [data] if isinstance(data, Data) else list(data)
    subject = _subject(given, network, setup, components, folder, seed, listen)
    weights, weights_digest = _start(start)
    identity = {
        "format": FORMAT,
        "network": network,
        "size": size,
        "seed": seed,
        "start": weights_digest,
        **subject.identity,
        "settings": setup.settings(),
    }
    model = ModelFolder(folder, identity)
    before = model.record()
    if before and before.get("dtype") == dtype and budget.used_up_by(before):
        listen(Note(f"{folder} is trained already ({before['steps']} steps): nothing to do"))
        return folder

    where = pick_device(device)
    trainer = Trainer(setup, subject.sampler, where, weights)
    model.sweep()
    if model.checkpoint.exists():
        trainer.load(model.checkpoint)
    options = {
        "network": network,
        "size": size,
        "components": components,
        "learning-rate": chosen.learning_rate,
        "start": start,
        "dtype": None if dtype == "float32" else dtype,
        "seed": seed,
        "about": about or None,
    }
    told = {"minutes": minutes, "device": where, "dtype": dtype, "about": about}
    facts = {**identity, **told, "command": _command(source or _names(given), options)}
    samples = 0 if setup.images is None else setup.images.samples
    if budget.steps is None or trainer.step < budget.steps:
        try:
            train(trainer, subject, setup, budget, model, listen)
        except DivergedError as diverged:
            raise _kept(diverged, trainer, model, facts, samples, setup.learning_rate) from diverged
    with disk_errors(folder):
        write_model(folder, trainer, facts, samples)
    return folder


def _preset(network: str, size: str, learning_rate: float | None) -> Preset:
    preset = find_preset(network, size)
    if learning_rate is None:
        return preset
    if not 0 < learning_rate < 1:
        raise PretrainingError(f"a learning rate lies between 0 and 1; found {learning_rate}")
    return replace(preset, learning_rate=learning_rate)


def _subject(
    data: Sequence[Data],
    network: str,
    preset: Preset,
    components: int | None,
    folder: Path,
    seed: int,
    listen: Listener,
) -> Subject:
    if not data:
        raise PretrainingError("no scene is named to train on")
    if preset.images is None:
        scenes = [one if isinstance(one, Scene) else open_scene(one) for one in data]
        return of_scenes(scenes, preset, components, seed, listen)
    if isinstance(data[0], Scene) or len(data) > 1:
        names = ", ".join(one.name if isinstance(one, Scene) else str(one) for one in data)
        raise PretrainingError(
            f"{network} learns from natural images: name one folder or tar archive of them; found {names}"
        )
    if components is not None:
        raise PretrainingError(f"{network} sees the three channels of images: leave out {components} components")
    return of_images(data[0], preset, preset.images, folder, seed, listen)


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


def _kept(
    diverged: DivergedError, trainer: Trainer, model: ModelFolder, facts: dict[str, Any], samples: int, rate: float
) -> PretrainingError:
    """Write the model of the last checkpoint, and return what to say of a run that diverged."""
    advice = f"try --learning-rate {rate / 5:.1g}, and look for extreme values in the data"
    if not model.checkpoint.exists():
        return PretrainingError(f"{diverged}, and nothing was learned before: {advice}")
    trainer.load(model.checkpoint)
    with disk_errors(model.path):
        write_model(model.path, trainer, {**facts, "diverged": str(diverged)}, samples)
    return PretrainingError(
        f"{diverged}; the model of step {trainer.step} is kept in {model.path}. To train further, {advice}; another folder "
        "with --out"
    )


def _names(data: Sequence[Data]) -> str:
    first, *others = (shlex.quote(one.name if isinstance(one, Scene) else str(one)) for one in data)
    return " ".join([first, *(f"--also {other}" for other in others)])


def _command(names: str, options: dict[str, Any]) -> str:
    """Return the command without its number of steps."""
    given = (f"--{option} {shlex.quote(str(value))}" for option, value in options.items() if value is not None)
    return " ".join(["hsifeat pretrain", names, *given])
