"""Train a backbone: validate options, prepare data, start or continue the training, and write the model folder."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsifeat.backbones.device import pick_device
from hsifeat.backbones.diffusers_folder import read_json
from hsifeat.backbones.recorded_files import RecordedFiles
from hsifeat.backbones.weights import digest_file
from hsifeat.base_config import flag_of
from hsifeat.errors import PretrainingError
from hsifeat.files import disk_errors, resumable
from hsifeat.formatting import format_value
from hsifeat.pretraining.config import PretrainingConfig, resolve_training
from hsifeat.pretraining.data import TrainingData, fit_scenes, match_scenes, prepare_images, prepare_scenes
from hsifeat.pretraining.decoder_boundaries import choose_boundaries
from hsifeat.pretraining.model_folder import FORMAT, ModelFolder, check_usable, lock_folder
from hsifeat.pretraining.model_writer import WEIGHTS, write_model
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.pretraining.network_specs import find_spec
from hsifeat.pretraining.session import TrainingBudget, train
from hsifeat.pretraining.training import DivergedError, Trainer
from hsifeat.runtime.events import Listener, Note, check_listener, silent
from hsifeat.scenes import Scene, open_scene
from hsifeat.types import check_path

if TYPE_CHECKING:
    import torch

    from hsifeat.projection import Projection

DataSource = Scene | str | Path
# Options that determine when the training stops. The command in the model card omits these options.
_BUDGET_OPTIONS = {"steps", "minutes"}
# Options that the command in the model card includes even if they have their defaults.
_STATED_OPTIONS = {"network", "size", "seed"}


def pretrain(
    data: DataSource | Sequence[DataSource],
    *,
    out: str | Path,
    network: str | None = None,
    size: str | None = None,
    norm: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    components: int | None = None,
    boundaries: Sequence[int] | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    start: str | Path | None = None,
    dtype: str | None = None,
    attribution: str | None = None,
    preset: str | Path | None = None,
    device: str = "auto",
    source: str = "",
    listen: Listener = silent,
) -> Path:
    """Train a denoiser without labels, on patches of scenes or on natural images.

    The bands of scenes are projected to the channels of the network, by PCA or by a selection of bands. If an option is
    None, its value comes from the preset. If no preset sets the option, the default of
    `hsifeat.pretraining.config.PretrainingConfig` applies.

    Parameters
    ----------
    data : Scene, str or Path, or a sequence of these
        Scenes with the same bands, or paths or names that `hsifeat.open_scene` accepts. For the network ``natural32``,
        folders or tar archives of images.
    out : str or Path
        Folder of the model. If the folder contains an interrupted training run, the run is continued. A complete model is
        trained further if `steps` exceeds the steps of the model. If `steps` is None, a complete model is trained further
        if `minutes` has another value than in the previous call.
    network : str, optional
        ``mtmsd``, ``diffcrn``, ``spectraldiff`` or ``multistage`` for scenes; ``natural32`` for natural images. [default:
        mtmsd]
    size : {"small", "paper"}, optional
        ``small`` trains in minutes on two CPU cores; ``paper`` is the published size. [default: small]
    norm : {"group", "pixel-rms"}, optional
        Normalisation of a U-Net. ``group`` normalises groups of channels over a whole tile. ``pixel-rms`` normalises the
        channels of each pixel separately. With ``pixel-rms``, the network has no attention, and a feature depends only on
        pixels in its receptive field. [default: group]
    steps : int, optional
        Total optimizer steps, including those of earlier calls. [default: depends on the network]
    minutes : float, optional
        Maximum duration of this call, in minutes. The call ends earlier when `steps` is reached. If `steps` is set and
        not yet reached, a repeated call continues the training. [default: no limit]
    components : int, optional
        Number of channels that the network receives: principal components, or evenly spaced bands for ``spectraldiff``.
        [default: depends on the network]
    boundaries : sequence of int, optional
        First timesteps of the second and third decoder of ``multistage``. [default: computed from the first
        scene by `rank_timesteps`]
    learning_rate : float, optional
        Learning rate of AdamW. [default: depends on the network]
    seed : int, optional
        Seed of the weights, patches, timesteps and noise. [default: 0]
    start : str or Path, optional
        Folder of a model with the same network. The weights of this model are the initial weights.
    dtype : {"float32", "float16"}, optional
        Precision of the saved weights; it does not affect the training. [default: float32]
    attribution : str, optional
        Source and licence of the images, for the model card.
    preset : str or Path, optional
        Name or ``.toml`` file of a preset.
    device : str
        Device of the training: ``auto``, ``cpu`` or ``cuda``.
    source : str
        Command-line arguments that select the data, for the model card. [default: the names of the data]
    listen : callable
        Receives the events of the training.

    Returns
    -------
    Path
        The folder `out`, in the layout of diffusers. It contains the weights as safetensors, a training record, a model
        card, and the projection of the scenes.

    Raises
    ------
    HsifeatError
        If an option is invalid, or if the preset has no ``[pretrain]`` section.
    PretrainingError
        If the data are unsuitable. If the folder contains other files or another model. If another training is running in
        the folder. If the loss diverges; the folder then contains the model of the last checkpoint, if there is a
        checkpoint.

    References
    ----------
    Ho et al., "Denoising diffusion probabilistic models", NeurIPS 2020. Zhou et al., "MTMSD", IEEE TGRS 2024,
    arXiv:2306.08964. Zhu & Xu, "DiffCRN", arXiv:2502.19699. Chen et al., "SpectralDiff", IEEE TGRS 2023, arXiv:2304.05961.
    Zhang et al., "Improving training efficiency of diffusion models via multi-stage framework", CVPR 2024, arXiv:2312.09181.

    Examples
    --------
    >>> import hsifeat
    >>> hsifeat.pretrain("indian-pines", network="mtmsd", size="small", out="backbone")  # doctest: +SKIP
    PosixPath('backbone')
    """
    arguments = locals()
    config = resolve_training(preset, **{name: arguments[name] for name in PretrainingConfig.model_fields})
    spec = find_spec(config.network, config.size).with_norm(config.norm)
    if config.learning_rate is not None:
        spec = replace(spec, learning_rate=config.learning_rate)
    has_budget = config.steps is not None or config.minutes is not None
    budget = TrainingBudget(config.steps if has_budget else spec.steps, config.minutes)

    check_listener(listen)
    check_path("the folder of a model", out)
    if not isinstance(source, str):
        raise PretrainingError(f"the source of a model is a text; found {format_value(source)}")
    folder = Path(out)
    check_usable(folder)
    sources = [data] if isinstance(data, DataSource) or not isinstance(data, Iterable) else list(data)
    for one in sources:
        if not isinstance(one, DataSource):
            raise PretrainingError(f"a model is trained on scenes or paths; found {format_value(one)}")
    with lock_folder(folder):
        training_data, spec = _prepare_data(sources, config, spec, folder, listen)
        weights, weights_digest = _load_start(config.start)
        identity = {
            "format": FORMAT,
            "network": config.network,
            "size": config.size,
            "seed": config.seed,
            "start": weights_digest,
            **training_data.identity,
            "settings": spec.settings(),
        }
        model = ModelFolder(folder, identity)
        record = model.read_record()
        if record and record.get("dtype") == config.dtype and budget.is_used_up(record):
            further = "more steps train" if budget.steps else "a number of steps, or other minutes, trains"
            listen(
                Note(f"{folder} is already trained for {record['steps']} steps: nothing to do; {further} it further")
            )
            return folder

        resolved_device = pick_device(device)
        trainer = Trainer(spec, training_data.sampler, resolved_device, weights)
        _check_start(config.start, trainer)
        if model.checkpoint.exists():
            model.load_checkpoint(trainer)
        description = {
            **identity,
            "minutes": config.minutes,
            "device": resolved_device,
            "dtype": config.dtype,
            "attribution": config.attribution,
            "command": _format_command(source or _name_sources(sources), config),
        }
        if budget.steps is None or trainer.step < budget.steps:
            try:
                with resumable():
                    train(trainer, training_data, spec, budget, model, listen)
            except DivergedError as diverged:
                raise _save_sound_model(
                    diverged, trainer, model, training_data.projection, description, spec
                ) from diverged
        with resumable(), disk_errors(folder):
            write_model(model, trainer, training_data.projection, description, spec)
        return folder


def _prepare_data(
    sources: Sequence[DataSource], config: PretrainingConfig, spec: NetworkSpec, folder: Path, listen: Listener
) -> tuple[TrainingData, NetworkSpec]:
    """Return the training data, and the specification with the boundaries of its decoders."""
    if not sources:
        raise PretrainingError("there is no scene to train on: name one or more")
    if spec.images is None:
        opened = [source if isinstance(source, Scene) else open_scene(source) for source in sources]
        for scene in opened:
            scene.check_unchanged()
        scenes = match_scenes(opened)
        projection = fit_scenes(scenes, spec, config.components, listen)
        if config.boundaries is not None:
            spec = spec.with_boundaries(config.boundaries)
        elif spec.decoders > 1:
            spec = spec.with_boundaries(choose_boundaries(scenes[0], projection, spec, config.seed, listen))
        return prepare_scenes(scenes, projection, spec, config.seed, listen), spec
    collections = [source for source in sources if not isinstance(source, Scene)]
    if len(collections) < len(sources):
        names = ", ".join(source.name for source in sources if isinstance(source, Scene))
        raise PretrainingError(
            f"{config.network} learns from natural images: name folders or tar archives of them; found the scene {names}"
        )
    if config.components is not None:
        raise PretrainingError(
            f"{config.network} takes the three channels of images: leave out components, found {config.components}"
        )
    if config.boundaries is not None:
        spec.with_boundaries(config.boundaries)  # an error: networks of images have one decoder
    return prepare_images(collections, spec, spec.images, folder, config.seed, listen), spec


def _load_start(model: str | None) -> tuple[dict[str, torch.Tensor] | None, str | None]:
    if model is None:
        return None, None
    file = Path(model) / WEIGHTS
    if not file.exists():
        raise PretrainingError(f"{model} has no {WEIGHTS}: start from a folder that hsifeat pretrain wrote")
    RecordedFiles(Path(model)).check(file)
    digest = digest_file(file)  # Runs before load_file, because safetensors describes damage less clearly.
    from safetensors.torch import load_file

    return load_file(file), digest


def _check_start(model: str | None, trainer: Trainer) -> None:
    """Check that a network of the class that is trained wrote the initial weights: networks of other classes can have such weights."""
    if model is None:
        return
    found, wanted = (
        read_json((Path(model) / WEIGHTS).with_name("config.json")).get("_class_name"),
        type(trainer.network).__name__,
    )
    if found != wanted:
        raise PretrainingError(
            f"{model} holds a {found}, and a {wanted} is to be trained: give `start` a model with the same `network` and `norm`"
        )


def _save_sound_model(
    diverged: DivergedError,
    trainer: Trainer,
    model: ModelFolder,
    projection: Projection | None,
    description: dict[str, Any],
    spec: NetworkSpec,
) -> PretrainingError:
    """Write the model of the last checkpoint, and return an error that reports the divergence."""
    advice = f"try `learning_rate={spec.learning_rate / 5:.1g}`, and look for extreme values in the data"
    if not model.checkpoint.exists():
        return PretrainingError(f"{diverged}, before the first checkpoint: {advice}")
    model.load_checkpoint(trainer)
    with disk_errors(model.path):
        write_model(model, trainer, projection, {**description, "diverged": str(diverged)}, spec)
    return PretrainingError(
        f"{diverged}; the model of step {trainer.step} is saved in {model.path}. To train further, name another folder with "
        f"`out`, {advice}"
    )


def _name_sources(sources: Sequence[DataSource]) -> str:
    return shlex.join(one.name if isinstance(one, Scene) else str(one) for one in sources)


def _format_command(data: str, config: PretrainingConfig) -> str:
    words = ["hsifeat pretrain", data]
    for name, field in PretrainingConfig.model_fields.items():
        value = getattr(config, name)
        if name not in _BUDGET_OPTIONS and (name in _STATED_OPTIONS or value != field.default):
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [flag_of(name, field), shlex.quote(text)]
    return " ".join(words)
