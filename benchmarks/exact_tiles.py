"""Compare planes from tiles with planes from one pass over the scene, for networks with per-pixel norm and with group norm.

``.venv/bin/python benchmarks/exact_tiles.py`` pads a part of Indian Pines by reflection, and cuts it into tiles with cores
of 64 px. The halo is that of the preset ``natural32-rms``, and covers the receptive field. The script writes the largest
difference between the two planes to ``benchmarks/results/exact_tiles.json``, in standard deviations of the plane. Two of
the three networks have random weights. The third network is ``natural32``, with group norm and the weights in the package.
All networks have the faster layers of an extraction.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import torch
from scoring import RESULTS, about_run

import hsifeat
from hsifeat.backbones.inference import speed_up
from hsifeat.presets import preset_options
from hsifeat.pretraining.network_specs import find_spec

CORE_PX, TILES = 64, 2
PRESET = preset_options("natural32-rms", "extract")
LAYERS, HALO_PX, T = PRESET["layers"], PRESET["halo"], PRESET["timesteps"][0]


def main() -> None:
    """Measure the differences, and write the result."""
    scene = hsifeat.open_scene("indian-pines")
    projected = hsifeat.fit_projection(PRESET["projection"], scene).apply(
        scene.cube[40 : 40 + CORE_PX, 8 : 8 + TILES * CORE_PX]
    )
    image = np.pad(projected, [(HALO_PX, HALO_PX), (HALO_PX, HALO_PX), (0, 0)], mode="reflect")
    torch.manual_seed(0)
    spec = find_spec("natural32", "small")
    networks = {"pixel-rms": spec.with_norm("pixel-rms").build(3), "group": spec.build(3)}
    for network in networks.values():
        speed_up(network.eval())
    networks["group, natural32"] = hsifeat.open_backbone("natural32").network
    rows = []
    for name, network in networks.items():
        for dtype in (torch.float32, torch.float64):
            if name == "pixel-rms" or dtype == torch.float32:
                start = time.process_time()
                rows.append({
                    "norm": name,
                    "dtype": str(dtype).removeprefix("torch."),
                    "largest_difference_in_sd": largest_differences(network.to(dtype), torch.from_numpy(image).to(dtype)),
                    "cpu_seconds": round(time.process_time() - start, 1),
                })  # fmt: skip
                print(rows[-1], flush=True)
    content = {
        **about_run(("torch", "diffusers")),
        "core_px": CORE_PX,
        "halo_px": HALO_PX,
        "tiles": TILES,
        "t": T,
        "networks": rows,
    }
    (RESULTS / "exact_tiles.json").write_text(json.dumps(content, indent=1) + "\n")


def largest_differences(network: torch.nn.Module, image: torch.Tensor) -> dict[str, float]:
    """Return the largest difference of each layer between the cores of tiles and one pass over the whole image.

    `image` is a (rows, cols, 3) tensor with a margin of `HALO_PX`. Differences are in standard deviations of the plane.
    """
    batch = image.permute(2, 0, 1)[None].contiguous()
    whole = planes(network, batch)
    differences = dict.fromkeys(LAYERS, 0.0)
    for left in range(0, TILES * CORE_PX, CORE_PX):
        tile = planes(network, batch[..., left : left + CORE_PX + 2 * HALO_PX].contiguous())
        for name, plane in whole.items():
            stride = batch.shape[2] // plane.shape[2]
            halo, core, at = HALO_PX // stride, CORE_PX // stride, (HALO_PX + left) // stride
            rows = slice(halo, halo + core)
            same = (tile[name][:, :, rows, rows] - plane[:, :, rows, at : at + core]).abs().max() / plane.std()
            differences[name] = max(differences[name], float(same))
    return differences


def planes(network: torch.nn.Module, batch: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the outputs of `LAYERS` for a batch with one image."""
    outputs: dict[str, torch.Tensor] = {}

    def keep(name: str) -> Any:
        return network.get_submodule(name).register_forward_hook(lambda _, __, output: outputs.update({name: output}))

    hooks = [keep(name) for name in LAYERS]
    with torch.no_grad():
        network(batch, T)
    for hook in hooks:
        hook.remove()
    return outputs


if __name__ == "__main__":
    main()
