"""`hsifeat pretrain`: a backbone of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hsifeat.commands.options import Device, Seed
from hsifeat.commands.scene_options import SceneAsked, asks_for_scene


@asks_for_scene
def pretrain(
    scene: SceneAsked,
    out: Annotated[Path, typer.Option(help="Folder of the model; an interrupted run there goes on.")],
    network: Annotated[str, typer.Option(help="mtmsd, or natural32 for a folder or tar of images.")] = "mtmsd",
    size: Annotated[str, typer.Option(help="small (a few minutes on two CPU cores) or paper.")] = "small",
    steps: Annotated[int | None, typer.Option(help="Optimizer steps in all; by default the preset's.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Stop after this long; the same command goes on.")] = None,
    components: Annotated[int | None, typer.Option(min=1, help="Principal components that the network sees.")] = None,
    seed: Seed = 0,
    start: Annotated[Path | None, typer.Option(help="A model of the same network to begin with.")] = None,
    dtype: Annotated[
        str, typer.Option(help="How weights are kept: float32, or float16 for half the file.")
    ] = "float32",
    about: Annotated[str, typer.Option(help="Source and licence of images, for the model card.")] = "",
    device: Device = "auto",
) -> None:
    """Train a denoising U-Net, without labels, on a scene's own patches or on natural images.

    Example: `hsifeat pretrain indian-pines --network mtmsd --size small --out backbone`

    On images, in a folder or a tar archive: `hsifeat pretrain images.tar.gz --network natural32 --out backbone`
    """
    from hsifeat import terminal
    from hsifeat.pretraining.presets import find_preset
    from hsifeat.pretraining.pretrain import pretrain as train

    data = scene.open() if find_preset(network, size).images is None else scene.images()
    with terminal.progress() as listen:
        folder = train(
            data,
            network=network,
            size=size,
            out=out,
            steps=steps,
            minutes=minutes,
            components=components,
            seed=seed,
            start=start,
            dtype=dtype,
            about=about,
            device=device,
            listen=listen,
        )
    terminal.say(f"backbone: {folder}")
