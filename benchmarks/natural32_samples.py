"""Write the image of the model card of `natural32`: unseen pictures with noise, and the same pictures denoised in one step.

``.venv/bin/python benchmarks/natural32_samples.py`` writes ``hsifeat/backbones/natural32/samples.png``. The photographs are
those of scikit-image (astronaut: NASA, public domain; coffee and cat: CC0), reduced to 64 px. The network was not trained
on these pictures. The last row has the first three principal components of a part of Indian Pines, computed as in an
extraction. The numbers are peak signal-to-noise ratios in dB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import hsifeat
from hsifeat.backbones import natural32
from hsifeat.projection import ProjectedScene, fit_projection

FILE = Path(natural32.__file__).with_name("samples.png")
SIDE_PX, GAP_PX, HEAD_PX, COLOURS = 64, 4, 14, 96
# Noise levels relative to the image. Most training steps of natural32 had levels from 0.1 to 0.3.
SIGMAS = (0.1, 0.3, 1.0)


def main() -> None:
    """Denoise the pictures at each noise level, and write the image."""
    backbone = hsifeat.open_backbone("natural32")
    rows = [denoise(backbone, picture, seed) for seed, picture in enumerate([*photographs(), components()])]
    titles = ["clean", *(title for sigma in SIGMAS for title in (f"sigma {sigma:g}", "denoised"))]
    step_px = SIDE_PX + GAP_PX
    page = Image.new("RGB", (len(titles) * step_px - GAP_PX, HEAD_PX + len(rows) * (step_px + HEAD_PX)), "white")
    draw = ImageDraw.Draw(page)
    for column, title in enumerate(titles):
        draw.text((column * step_px, 0), title, "black", font_size=11)
        for number, panels in enumerate(rows):
            top = HEAD_PX + number * (step_px + HEAD_PX)
            levels = np.clip(127.5 * (panels[column] + 1), 0, 255).astype(np.uint8)
            page.paste(Image.fromarray(levels), (column * step_px, top))
            if column:
                ratio = 10 * np.log10(4 / np.mean((panels[column] - panels[0]) ** 2))
                draw.text((column * step_px, top + SIDE_PX), f"{ratio:.1f} dB", "black", font_size=11)
    page.quantize(COLOURS, dither=Image.Dither.NONE).save(FILE, optimize=True)
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")


def photographs() -> list[NDArray[np.float32]]:
    """Return three photographs, as (SIDE_PX, SIDE_PX, 3) float32 arrays from -1 to 1."""
    from skimage import data

    pictures = []
    for picture in (data.astronaut(), data.coffee(), data.chelsea()):
        side = min(picture.shape[:2])
        top, left = ((length - side) // 2 for length in picture.shape[:2])
        square = Image.fromarray(picture[top : top + side, left : left + side])
        reduced = square.resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
        pictures.append(np.asarray(reduced, np.float32) / 127.5 - 1)
    return pictures


def components() -> NDArray[np.float32]:
    """Return the first three principal components of a part of Indian Pines, computed as in an extraction."""
    scene = hsifeat.open_scene("indian-pines")
    channels = ProjectedScene(scene.cube, fit_projection("pca:3", scene), scene.valid)
    return np.asarray(channels[40 : 40 + SIDE_PX, 40 : 40 + SIDE_PX], np.float32)


def denoise(backbone: Any, picture: NDArray[np.float32], seed: int) -> list[NDArray[np.float32]]:
    """Return a picture, and for each noise level the noisy picture and the picture that the network predicts."""
    clean = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
    generator = torch.Generator().manual_seed(seed)
    abars = backbone.schedule.alphas_cumprod.astype(np.float64)
    sigmas = np.sqrt((1 - abars) / abars)
    panels = [picture]
    for sigma in SIGMAS:
        t = int(np.abs(sigmas - sigma).argmin())
        noisy = backbone.schedule.add_noise(clean, torch.randn(clean.shape, generator=generator), t)
        with torch.no_grad():
            noise = backbone.predict(noisy, t)
        scaled = noisy / abars[t] ** 0.5
        panels += [image[0].numpy().transpose(1, 2, 0) for image in (scaled, scaled - sigmas[t] * noise)]
    return panels


if __name__ == "__main__":
    main()
