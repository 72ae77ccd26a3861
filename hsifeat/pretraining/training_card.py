"""Model card of a trained backbone: its data, its settings, its losses, and the command that repeats the training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np

from hsifeat.formatting import escape_markdown, printable
from hsifeat.pretraining.timestep_sampling import TIMESTEPS


def write_card(record: Mapping[str, Any]) -> str:
    """Return the model card, in Markdown, for a training record of `hsifeat.pretraining.model_writer.write_model`."""
    command = " ".join(printable(record["command"]).split())
    licence = _licence(record) if "scenes" in record else None
    # Names, licences and attributions come from files and options, and must not add markup or HTML to the card.
    record = _escape(record)
    has_scenes = "scenes" in record
    losses = np.asarray(record["losses"])
    tail = max(1, len(losses) // 10)
    rows = {
        **(_scene_rows(record) if has_scenes else _image_rows(record)),
        "parameters": f"{record['parameters']:,} (exponential moving average), saved as {record['dtype']}",
        "steps": f"{record['steps']:,}",
        f"loss, mean of the last {tail} steps": f"{losses[-tail:].mean():.4f}",
        **({"stopped early; the model precedes this step": record["diverged"]} if record.get("diverged") else {}),
        "training time": f"{record['seconds']:.0f} s on {record['device']}",
        "seed": record["seed"],
        **({"digest of the initial weights": record["start"]} if record["start"] else {}),
        **record["settings"],
        "versions": ", ".join(f"{name} {number}" for name, number in record["versions"].items()),
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    name = " and ".join(source["name"] for source in (record["scenes"] if has_scenes else record["images"]["sources"]))
    return f"""---
library_name: diffusers
license: {json.dumps(licence, ensure_ascii=False) if licence else "unknown"}
---

# {record["network"]} ({record["size"]}) trained on {name}

{_SCENE_PURPOSE if has_scenes else _IMAGE_PURPOSE}

| | |
| --- | --- |
{table}

![loss](loss.png)
{_held_out(record)}{_citations(record) if has_scenes else _SAMPLES if record["samples"] else ""}
To train it again:

    {command} --out DIR
"""


def _escape(value: Any) -> Any:
    """Escape all text in a training record for Markdown."""
    if isinstance(value, Mapping):
        return {_escape(name): _escape(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escape(item) for item in value]
    return escape_markdown(value) if isinstance(value, str) else value


_SCENE_PURPOSE = """A denoiser for feature extraction by hsifeat, trained on unlabelled patches.
It is meant for the scenes that it was trained on and for scenes of the same sensor."""

_IMAGE_PURPOSE = """A denoising U-Net for feature extraction by hsifeat, trained on natural images without labels, as red, green and
blue from -1 to 1. It is meant as a frozen backbone, not for generating images."""

_SAMPLES = """
![samples](samples.png)

Samples by deterministic DDIM in 50 steps from fixed noise, without selection. FID is not computed: it needs the weights of
another network and tens of thousands of samples, while features depend on good denoising, which the table measures.
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
    rows = {
        f"images {source['name']}": f"{source['count']:,}; digest `{source['digest']}`" for source in images["sources"]
    }
    return {
        **rows,
        "held out": f"{images['held_out']:,} images",
        "source and licence of the images": record["attribution"]
        or "unknown (not set by `--attribution`); look them up before sharing the weights",
    }


def _licence(record: Mapping[str, Any]) -> str | None:
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
    history: Mapping[str, Sequence[float]] = record["held_out"]
    if not history:
        return "\nNothing was held out: the scenes are too small for that.\n"
    bands = len(next(iter(history.values())))
    width = record.get("timesteps", TIMESTEPS) // bands
    head = " | ".join(f"{band * width} to {(band + 1) * width - 1}" for band in range(bands))
    rows = "\n".join(
        f"| {int(step):,} | " + " | ".join(f"{loss:.4f}" for loss in losses) + f" | {np.mean(losses):.4f} |"
        for step, losses in history.items()
    )
    return f"""
Mean squared error of the noise that the averaged weights predict on held-out data, by timestep. The first columns are nearly
clean images; a network that predicts 0 gets 1.

| step | {head} | mean |
| --- | {"--- | " * bands}--- |
{rows}
"""


def plot_losses(losses: Sequence[float], held_out: Mapping[int, Sequence[float]]) -> bytes:
    """Return a PNG that plots the loss of every step, its running mean, and the mean losses on held-out data.

    Parameters
    ----------
    losses : sequence of float
        Value of the objective at each step.
    held_out : mapping of int to sequence of float
        Maps numbers of completed steps to the losses on held-out data at these steps. Each sequence has one mean
        squared error of the predicted noise for each tenth of the timesteps.

    Returns
    -------
    bytes
        Content of the PNG file.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullFormatter

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.add_subplot()
    steps = np.arange(1, len(losses) + 1)
    width = max(1, min(25, len(losses) // 4))
    running = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps, losses, color="0.8", linewidth=0.8)
    axes.plot(steps[width - 1 :], running, color="#0072b2", label="training")
    if held_out:
        evaluated = sorted(held_out)
        means = [np.mean(held_out[step]) for step in evaluated]
        axes.plot(evaluated, means, "o-", color="#d55e00", label="held out, squared error of the noise")
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 8 * low else range(1, 10)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)
    png = BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()
