"""`hsifeat pretrain`: train a backbone (a denoising network) on scenes or images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hsifeat.commands.config_options import with_options
from hsifeat.commands.scene_options import SceneArguments, with_scene_arguments
from hsifeat.commands.shared_options import Device
from hsifeat.pretraining.config import PretrainingConfig


@with_options(PretrainingConfig)
@with_scene_arguments
def pretrain(
    scene: SceneArguments,
    out: Annotated[
        Path, typer.Option(help="Folder for the model. An interrupted training in this folder is continued.")
    ],
    options: dict[str, Any],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.toml", help="Name or file of a preset, which provides all options that are not set."
        ),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train a backbone (a denoising network) on scenes or on natural images, without labels.

    A network can be trained on several scenes together. Their bands are matched by wavelength and share one projection. A
    scene of several files is given as a folder, a VRT, or `@FILE`, where FILE lists the files.

    Example: `hsifeat pretrain indian-pines --network mtmsd --size small --out backbone`

    On two scenes with one projection, for 20 minutes: `hsifeat pretrain north.hdr south.hdr --network diffcrn --minutes 20 --out backbone`

    As in a paper: `hsifeat pretrain indian-pines --preset mtmsd-indian-pines --out mtmsd-indian-pines`

    On images, in folders or tar archives: `hsifeat pretrain images.tar.gz --network natural32 --size small --out backbone`
    """
    from hsifeat.commands import terminal
    from hsifeat.pretraining.config import resolve_training
    from hsifeat.pretraining.network_specs import find_spec
    from hsifeat.pretraining.pretrain import pretrain as train

    config = resolve_training(preset, **options)
    takes_scenes = find_spec(config.network, config.size).images is None
    data = [one.open() for one in scene.each()] if takes_scenes else scene.image_paths()
    with terminal.progress() as listen:
        folder = train(
            data, out=out, **options, preset=preset, device=device, source=scene.command_line(), listen=listen
        )
    terminal.say(f"backbone: {folder}")
