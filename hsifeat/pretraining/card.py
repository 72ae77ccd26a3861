"""The model card of a trained backbone: what it learned from, how, how well, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np


def model_card(facts: Mapping[str, Any]) -> str:
    """Write the card (Markdown) from a training record, see `pretrain`."""
    of_scene = "scene" in facts
    losses = np.asarray(facts["losses"])
    tail = max(1, len(losses) // 10)
    rows = {
        **(_scene_rows(facts) if of_scene else _image_rows(facts)),
        "parameters": f"{facts['parameters']:,} (exponential moving average), kept as {facts['dtype']}",
        "steps": f"{facts['steps']:,}",
        f"loss, mean of the last {tail} steps": f"{losses[-tail:].mean():.4f} (noise prediction; 1 is what a network that says 0 gets)",
        "training time": f"{facts['seconds']:.0f} s on {facts['device']}",
        **({"weights at the start": facts["start"]} if facts["start"] else {}),
        **facts["settings"],
        "versions": ", ".join(f"{name} {number}" for name, number in facts["versions"].items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"""---
library_name: diffusers
license: {(facts["scene"]["licence"] if of_scene else None) or "unknown"}
---

# {facts["network"]} ({facts["size"]}) trained on {facts["scene" if of_scene else "images"]["name"]}

{_SCENE_PURPOSE if of_scene else _IMAGE_PURPOSE}

| | |
| --- | --- |
{table}

![loss](loss.png)
{_citation(facts) if of_scene else _quality(facts)}
To train it again:

    {facts["command"]}
"""


_SCENE_PURPOSE = """A denoising U-Net for feature extraction by hsifeat. It saw unlabelled patches of one scene; no label played a part.
It is meant for the scene that it was trained on and for scenes of the same sensor."""

_IMAGE_PURPOSE = """A denoising U-Net for feature extraction by hsifeat. It saw natural images without their labels, as red, green and blue
from -1 to 1. It is meant as a frozen backbone, not for making pictures."""


def _scene_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    scene, projection = facts["scene"], facts["projection"]
    return {
        "scene": f"{scene['name']}, digest `{scene['digest']}`",
        "projection": f"{projection['spec']}, in `projection.safetensors`",
    }


def _image_rows(facts: Mapping[str, Any]) -> dict[str, str]:
    images = facts["images"]
    return {
        "images": f"{images['name']}: {images['count']:,}, of which {images['held_out']:,} held out; digest `{images['digest']}`",
        "source and licence of the images": facts["about"]
        or "not given (`--about`); look them up before passing the weights on",
    }


def _citation(facts: Mapping[str, Any]) -> str:
    return f"\nCitation of the data: {facts['scene']['citation'] or 'not known'}\n"


def _quality(facts: Mapping[str, Any]) -> str:
    """Say how good it is: loss on held-out images by timestep, samples, and what was not measured."""
    history: Mapping[str, Sequence[float]] = facts["held_out"]
    bands = len(next(iter(history.values())))
    width = 1000 // bands
    head = " | ".join(f"{band * width} to {(band + 1) * width - 1}" for band in range(bands))
    rows = "\n".join(
        f"| {int(step):,} | " + " | ".join(f"{loss:.4f}" for loss in losses) + f" | {np.mean(losses):.4f} |"
        for step, losses in history.items()
    )
    return f"""
Noise prediction loss of the averaged weights on the held-out images, by timestep (the first columns are nearly clean images):

| step | {head} | mean |
| --- | {"--- | " * bands}--- |
{rows}

![samples](samples.png)

Samples by deterministic DDIM in 50 steps from fixed noise, none chosen. FID is not computed: it needs another network's
weights, and compares tens of thousands of samples; features profit from good denoising, which the table measures.
"""


def loss_curve(losses: Sequence[float]) -> bytes:
    """Draw the loss of every step and its running mean; PNG bytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(1, len(losses) + 1)
    width = max(1, min(25, len(losses) // 4))
    running = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps, losses, color="0.8", linewidth=0.8)
    axes.plot(steps[width - 1 :], running, color="#0072b2")
    axes.set(xlabel="step", ylabel="noise prediction loss", yscale="log")
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
