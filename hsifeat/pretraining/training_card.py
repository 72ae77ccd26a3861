"""The model card of a trained backbone: what it learned from, how, how well, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from hsifeat.pretraining.batches import TIMESTEPS


def model_card(record: Mapping[str, Any]) -> str:
    """Write the card (Markdown) from a training record, see `write_model`."""
    of_scenes = "scenes" in record
    losses = np.asarray(record["losses"])
    tail = max(1, len(losses) // 10)
    rows = {
        **(_scene_rows(record) if of_scenes else _image_rows(record)),
        "parameters": f"{record['parameters']:,} (exponential moving average), kept as {record['dtype']}",
        "steps": f"{record['steps']:,}",
        f"loss, mean of the last {tail} steps": f"{losses[-tail:].mean():.4f}",
        **({"stopped, the model is from before": record["diverged"]} if record.get("diverged") else {}),
        "training time": f"{record['seconds']:.0f} s on {record['device']}",
        "seed": record["seed"],
        **({"weights at the start": record["start"]} if record["start"] else {}),
        **record["settings"],
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    name = " and ".join(scene["name"] for scene in record["scenes"]) if of_scenes else record["images"]["name"]
    return f"""---
library_name: diffusers
license: {(_licence(record) if of_scenes else None) or "unknown"}
---

# {record["network"]} ({record["size"]}) trained on {name}

{_SCENE_PURPOSE if of_scenes else _IMAGE_PURPOSE}

| | |
| --- | --- |
{table}

![loss](loss.png)
{_held_out(record)}{_citations(record) if of_scenes else _SAMPLES}
To train it again:

    {record["command"]} --out DIR
"""


_SCENE_PURPOSE = """A denoiser for feature extraction by hsifeat. It saw unlabelled patches; no label played a part.
It is meant for what it was trained on and for scenes of the same sensor."""

_IMAGE_PURPOSE = """A denoising U-Net for feature extraction by hsifeat. It saw natural images without their labels, as red, green and blue
from -1 to 1. It is meant as a frozen backbone, not for making pictures."""

_SAMPLES = """
![samples](samples.png)

Samples by deterministic DDIM in 50 steps from fixed noise, none chosen. FID is not computed: it needs another network's
weights, and compares tens of thousands of samples; features profit from good denoising, which the table measures.
"""


def _scene_rows(record: Mapping[str, Any]) -> dict[str, str]:
    rows = {}
    for scene in record["scenes"]:
        blocks = "; ".join(
            f"{rows} x {cols} px at row {row}, column {col}" for row, col, rows, cols in scene["held_out"]
        )
        rows[f"scene {scene['name']}"] = f"digest `{scene['digest']}`; held out: {blocks or 'nothing'}"
    return {**rows, "projection": f"{record['projection']['spec']} of all scenes, in `projection.safetensors`"}


def _image_rows(record: Mapping[str, Any]) -> dict[str, str]:
    images = record["images"]
    return {
        "images": f"{images['name']}: {images['count']:,}, of which {images['held_out']:,} held out; digest `{images['digest']}`",
        "source and licence of the images": record["about"]
        or "not given (`--about`); look them up before passing the weights on",
    }


def _licence(record: Mapping[str, Any]) -> str | None:
    """Return the licence of all scenes, None where they differ."""
    licences = {scene["licence"] for scene in record["scenes"]}
    return licences.pop() if len(licences) == 1 else None


def _citations(record: Mapping[str, Any]) -> str:
    return "".join(
        f"\nCitation of {scene['name']}: {scene['citation'] or 'not known'}"
        + (f" (licence: {scene['licence']})" if scene["licence"] else "")
        + "\n"
        for scene in record["scenes"]
    )


def _held_out(record: Mapping[str, Any]) -> str:
    """Say how good it is: squared error of the noise on what was held out, by timestep."""
    history: Mapping[str, Sequence[float]] = record["held_out"]
    if not history:
        return "\nNothing was held out: the scenes are too small for that.\n"
    bands = len(next(iter(history.values())))
    width = TIMESTEPS // bands
    head = " | ".join(f"{band * width} to {(band + 1) * width - 1}" for band in range(bands))
    rows = "\n".join(
        f"| {int(step):,} | " + " | ".join(f"{loss:.4f}" for loss in losses) + f" | {np.mean(losses):.4f} |"
        for step, losses in history.items()
    )
    return f"""
Mean squared error of the noise that the averaged weights predict for what was held out, by timestep (the first columns are
nearly clean; 1 is what a network that says 0 gets):

| step | {head} | mean |
| --- | {"--- | " * bands}--- |
{rows}
"""


def loss_curve(losses: Sequence[float], held_out: Mapping[int, Sequence[float]]) -> bytes:
    """Draw the loss of every step, its running mean, and the mean held-out losses; PNG bytes.

    Parameters
    ----------
    losses : sequence of float
        The objective at each step.
    held_out : mapping of int to sequence of float
        Noise prediction loss of each band of timesteps, by the step after which it was taken.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(1, len(losses) + 1)
    width = max(1, min(25, len(losses) // 4))
    running = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps, losses, color="0.8", linewidth=0.8)
    axes.plot(steps[width - 1 :], running, color="#0072b2", label="training")
    if held_out:
        judged = sorted(held_out)
        means = [np.mean(held_out[step]) for step in judged]
        axes.plot(judged, means, "o-", color="#d55e00", label="held out, squared error of the noise")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    axes.legend(frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
