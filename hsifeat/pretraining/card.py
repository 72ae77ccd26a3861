"""The model card of a trained backbone: what it learned from, how, and how to do it again."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np


def model_card(facts: dict[str, Any]) -> str:
    """Write the card (Markdown) from a training record, see `pretrain`."""
    settings = "\n".join(f"| {name} | {value} |" for name, value in facts["settings"].items())
    losses = np.asarray(facts["losses"])
    tail = max(1, len(losses) // 10)
    return f"""---
library_name: diffusers
license: {facts["scene"]["licence"] or "unknown"}
---

# {facts["network"]} ({facts["size"]}) trained on {facts["scene"]["name"]}

A denoising U-Net for feature extraction by hsifeat. It saw {facts["steps"]:,} batches of unlabelled patches; no label
played a part. It is meant for the scene that it was trained on and for scenes of the same sensor.

| | |
| --- | --- |
| scene | {facts["scene"]["name"]}, digest `{facts["scene"]["digest"]}` |
| projection | {facts["projection"]["spec"]}, in `projection.safetensors` |
| parameters | {facts["parameters"]:,} (exponential moving average) |
| loss, mean of the last {tail} steps | {losses[-tail:].mean():.4f} (noise prediction; 1 is what a network that says 0 gets) |
| training time | {facts["seconds"]:.0f} s on {facts["device"]} |
{settings}

![loss](loss.png)

Citation of the data: {facts["scene"]["citation"] or "not known"}

To train it again:

    {facts["command"]}
"""


def loss_curve(losses: list[float]) -> bytes:
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
