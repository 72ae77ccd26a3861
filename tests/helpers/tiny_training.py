"""Network specifications that train within a second, and a training that kills its own process at a certain moment."""

import os
import signal
from dataclasses import replace
from functools import cache, partial

from hsifeat.pretraining import model_writer
from hsifeat.pretraining.data import fit_scenes, prepare_scenes
from hsifeat.pretraining.network_arguments import multistage_arguments, spectral_arguments, unet_arguments
from hsifeat.pretraining.network_spec import NetworkSpec
from hsifeat.pretraining.network_specs import NETWORK_SPECS
from hsifeat.pretraining.timestep_sampling import TimestepSampling
from hsifeat.pretraining.training_card import plot_losses
from hsifeat.runtime.events import silent
from hsifeat.scenes import Scene
from tests.helpers.own_networks import BOUNDARIES
from tests.helpers.small import small_cube


def _diffcrn(channels):
    return {"in_channels": channels, "width": 8, "heads": 2, "groups": 2, "patch_px": 8}


TINY = NetworkSpec(
    "UNet2DModel",
    partial(unet_arguments, side_px=16, widths=(8, 16), blocks=1, head_channels=8, norm_groups=4),
    components=4,
    patch_px=16,
    batch=4,
    learning_rate=2e-3,
    ema_decay=0.9,
    steps=12,
    evaluation_steps=4,
)
TINIES = {
    "mtmsd": TINY,
    "diffcrn": replace(TINY, class_name="DiffCRN", arguments=_diffcrn, objective="LogAbsoluteContrastive"),
    "spectraldiff": replace(
        NETWORK_SPECS["spectraldiff"]["small"],
        arguments=partial(spectral_arguments, widths=(2, 4)),
        components=4,
        batch=4,
        ema_decay=0.9,
        evaluation_steps=4,
    ),
    "multistage": replace(
        TINY,
        class_name="MultistageUNet",
        arguments=partial(
            multistage_arguments,
            encoder_width=8,
            decoder_widths=(8, 6, 4),
            multipliers=(1, 2),
            blocks=1,
            head_channels=8,
            norm_groups=2,
        ),
        timesteps=TimestepSampling(BOUNDARIES),
        decoders=3,
    ),
}


@cache
def remembered_plot():
    """Return a plot of losses, which is drawn once. Drawing it takes as long as a tiny training."""
    return plot_losses([2.0, 1.0, 1.5, 0.5], {2: [1.0] * 10, 4: [0.5] * 10})


def use_tiny(patch):
    """Replace the network specifications of size small by tiny specifications, until the monkeypatch ends.

    All plots of losses are replaced by one cached plot.
    """
    patch.setattr(model_writer, "plot_losses", lambda *_: remembered_plot())
    for name, count in {"_PATCHES": 200, "_DRAWS": 16, "_TRIPLES": 32}.items():
        patch.setattr(f"hsifeat.timesteps.rank.{name}", count)
    for name, spec in TINIES.items():
        patch.setitem(NETWORK_SPECS, name, {**NETWORK_SPECS.get(name, {}), "small": spec})


def tiny_scene(seed=0, rows=75, name="small"):
    return Scene(name, small_cube(rows=rows, seed=seed))


def prepare_tiny(spec):
    """Return training data of a tiny scene for a network specification."""
    scenes = [tiny_scene()]
    return prepare_scenes(scenes, fit_scenes(scenes, spec, None, silent), spec, 0, silent)


def train_and_die(out, network, options, moment, steps):
    """Train a network, put the number of each step into the queue `steps`, and kill the process at a moment.

    The moment is ``step N`` (after step N), ``save N`` (when half of checkpoint N is written) or ``model`` (while the model
    is written).
    """
    import pytest
    import torch

    import hsifeat
    from hsifeat.runtime.events import Advanced

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    what, _, number = moment.partition(" ")
    saves = []

    def save(state, path, plain=torch.save):
        plain(state, path)
        saves.append(path)
        if what == "save" and len(saves) == int(number):
            os.truncate(path, path.stat().st_size // 2)
            die()

    def listen(event):
        if isinstance(event, Advanced):
            steps.put(event.done)
            if what == "step" and event.done >= int(number):
                die()

    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch)
        patch.setattr(torch, "save", save)
        patch.setattr("hsifeat.pretraining.session._CHECKPOINT_RATIO", 0.0)
        if what == "model":
            patch.setattr(model_writer, "plot_losses", die)
        hsifeat.pretrain(tiny_scene(), network=network, out=out, listen=listen, **options)
