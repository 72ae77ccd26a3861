"""Presets that train in a blink, in place of the small ones, and a process that trains and may be killed while it does."""

import os
import signal
from dataclasses import replace
from functools import partial

from hsifeat.pretraining.batches import TimestepRule
from hsifeat.pretraining.networks import PRESETS, Preset, unet_config
from hsifeat.scenes import Scene
from tests.helpers.small import small_cube


def _diffcrn(channels):
    return {"in_channels": channels, "width": 8, "heads": 2, "groups": 2, "patch_px": 8}


def _spectral(channels):
    return {"in_channels": channels, "width": 3}


def _staged(channels):
    return {"in_channels": channels, "widths": (8, 6, 4), "boundaries": (442, 631)}


TINY = Preset(
    "UNet2DModel",
    partial(unet_config, side_px=16, widths=(8, 16), blocks=1, head_channels=8, norm_groups=4),
    components=4,
    patch_px=16,
    batch=4,
    learning_rate=2e-3,
    ema_decay=0.9,
    steps=12,
    judge_steps=4,
)
TINIES = {
    "mtmsd": TINY,
    "diffcrn": replace(TINY, class_name="DiffCRN", config=_diffcrn, objective="LogAbsoluteContrastive"),
    "spectral": replace(TINY, class_name="SpectralToy", config=_spectral),
    "staged": replace(TINY, class_name="StagedToy", config=_staged, timesteps=TimestepRule((442, 631))),
}


def use_tiny(patch):
    """Put the tiny presets in place of the small ones, as long as a monkeypatch lasts."""
    from tests.helpers.toy_networks import register

    register(patch)
    for name, preset in TINIES.items():
        patch.setitem(PRESETS, name, {**PRESETS.get(name, {}), "small": preset})


def tiny_scene(seed=0, rows=75, name="small"):
    return Scene(name, small_cube(rows=rows, seed=seed))


def train_and_die(out, network, options, moment, told):
    """Train; die by SIGKILL at a moment: ``step 5``, ``save 2`` (half a checkpoint written) or ``model``; else tell steps."""
    import pytest
    import torch

    import hsifeat
    from hsifeat.pretraining import trained_model as result
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
            told.put(event.done)
            if what == "step" and event.done >= int(number):
                die()

    with pytest.MonkeyPatch.context() as patch:
        use_tiny(patch)
        patch.setattr(torch, "save", save)
        patch.setattr("hsifeat.pretraining.session._CHECKPOINT_TIMES", 0.0)
        if what == "model":
            patch.setattr(result, "loss_curve", die)
        hsifeat.pretrain(tiny_scene(), network=network, out=out, listen=listen, **options)
