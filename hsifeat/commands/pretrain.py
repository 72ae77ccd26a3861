"""`hsifeat pretrain`: a backbone of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.scene_options import SceneArguments, with_scene_arguments
from hsifeat.commands.shared_options import Device, Seed


@with_scene_arguments
def pretrain(
    scene: SceneArguments,
    out: Annotated[Path, typer.Option(help="Folder of the model; an interrupted run there goes on.")],
    network: Annotated[
        str | None, typer.Option(help="mtmsd (usual) or diffcrn, on scenes; natural32, on a folder or tar of images.")
    ] = None,
    size: Annotated[str | None, typer.Option(help="small (usual; a few minutes on two CPU cores) or paper.")] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(metavar="SCENE", help="One more scene with the same bands, read as the first; again for more."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all; by default the preset's.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this long; the same command goes on.")] = None,
    components: Annotated[int | None, typer.Option(min=1, help="Principal components that the network sees.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of AdamW; by default the preset's.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="A published training, or a .toml file: what isn't given is as it says.")
    ] = None,
    seed: Seed = 0,
    start: Annotated[Path | None, typer.Option(help="A model of the same network to begin with.")] = None,
    dtype: Annotated[
        str, typer.Option(help="How weights are kept: float32, or float16 for half the file.")
    ] = "float32",
    about: Annotated[str, typer.Option(help="Source and licence of images, for the model card.")] = "",
    device: Device = "auto",
) -> None:
    """Train a denoiser, without labels, on patches of one scene or several, or on natural images.

    Example: `hsifeat pretrain indian-pines --network mtmsd --size small --out backbone`

    On two scenes, for 20 minutes: `hsifeat pretrain north.hdr --also south.hdr --network diffcrn --minutes 20 --out backbone`

    As a paper did it: `hsifeat pretrain indian-pines --preset mtmsd-indian-pines --out mtmsd-indian-pines`

    On images, in a folder or a tar archive: `hsifeat pretrain images.tar.gz --network natural32 --size small --out backbone`
    """
    from hsifeat.commands import terminal
    from hsifeat.pretraining.config import resolve_training
    from hsifeat.pretraining.networks import find_preset
    from hsifeat.pretraining.pretrain import pretrain as train

    chosen = resolve_training(preset, network=network, size=size)
    scenes = find_preset(chosen.network, chosen.size).images is None
    if also and not scenes:
        raise typer.BadParameter("--also names one more scene; images lie in one folder or archive")
    with terminal.progress() as listen:
        folder = train(
            [scene.open(), *map(scene.open_another, also or [])] if scenes else scene.image_path(),
            network=network,
            size=size,
            out=out,
            steps=steps,
            minutes=minutes,
            components=components,
            learning_rate=learning_rate,
            preset=preset,
            seed=seed,
            start=start,
            dtype=dtype,
            about=about,
            device=device,
            source=scene.command_line(also or []),
            listen=listen,
        )
    terminal.say(f"backbone: {folder}")
