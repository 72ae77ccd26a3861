"""Compare planes from tiles with planes from one pass over the scene, for networks with per-pixel norm and with group norm.

``.venv/bin/python benchmarks/exact_tiles.py`` extracts planes of parts of Indian Pines twice: from tiles with cores of 64
px, and from a single tile. The parts are cut in both directions, in rows only and in columns only. The halo is that of the
preset ``natural32-rms``, and covers the receptive field. The networks have the size of ``natural32`` and random weights.

The script writes largest differences to ``benchmarks/results/exact_tiles.json``, in standard deviations of the plane:

- of the stored planes of the tiles from those of the single tile;
- of the stored planes of the tiles from one pass of plain torch in float64 over the part with its reflection around it;
- of the same tiles from this pass, all in float64 without `hsifeat.extract`.

Each part is written as soon as it is measured, and the same command continues an interrupted run.
"""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DDPMScheduler
from numpy.typing import NDArray
from scoring import RESULTS, about_run

import hsifeat
from hsifeat.presets import preset_options
from hsifeat.pretraining.network_specs import find_spec

RESULT = RESULTS / "exact_tiles.json"
CORE_PX = 64
# Rows and columns of the parts of the scene.
PARTS = ((96, 96), (64, 128), (128, 64))
NORMS = ("pixel-rms", "group")
PRESET = preset_options("natural32-rms", "extract")
LAYERS, HALO_PX, T = PRESET["layers"], PRESET["halo"], PRESET["timesteps"][0]

Planes = dict[str, NDArray[Any]]


def main() -> None:
    """Measure the differences, and write the result."""
    rows: list[dict[str, Any]] = json.loads(RESULT.read_text()).get("parts", []) if RESULT.exists() else []
    known = {(row["norm"], *row["part_px"]) for row in rows}
    with tempfile.TemporaryDirectory() as folder:
        for norm in NORMS:
            backbone = save_network(norm, Path(folder) / norm)
            for part in PARTS if norm == "pixel-rms" else PARTS[:1]:
                if (norm, *part) in known:
                    continue
                start = time.process_time()
                rows.append({"norm": norm, "part_px": part, **differences(backbone, part)})
                rows[-1]["cpu_seconds"] = round(time.process_time() - start, 1)
                print(rows[-1], flush=True)
                content = {
                    **about_run(("torch", "diffusers")),
                    "core_px": CORE_PX,
                    "halo_px": HALO_PX,
                    "t": T,
                    "parts": rows,
                }
                RESULT.write_text(json.dumps(content, indent=1) + "\n")


def save_network(norm: str, folder: Path) -> Path:
    """Save a network with random weights, and return its folder."""
    torch.manual_seed(0)
    find_spec("natural32", "small").with_norm(norm).build(3).save_pretrained(folder / "unet")
    DDPMScheduler(beta_schedule="squaredcos_cap_v2").save_pretrained(folder / "scheduler")
    return folder


def differences(backbone: Path, part: tuple[int, int]) -> dict[str, Any]:
    """Return the largest differences of each layer on the first rows and columns of the scene."""
    scene = hsifeat.open_scene("indian-pines")
    scene = hsifeat.Scene("part", scene.cube[: part[0], : part[1]], scene.wavelengths_nm)
    projection = hsifeat.fit_projection(PRESET["projection"], scene)
    tiled, single = (stored_planes(scene, backbone, projection, side + 2 * HALO_PX) for side in (CORE_PX, max(part)))
    network: Any = hsifeat.open_backbone(backbone).load().eval().double()
    margin = [(HALO_PX, HALO_PX), (HALO_PX, HALO_PX), (0, 0)]
    image = np.pad(projection.apply(scene.cube[:]).astype(np.float64), margin, mode="reflect")
    whole = core(forward(network, image), *part)
    found = {
        "tiles_from_single_tile": largest(tiled, single, whole),
        "tiles_from_float64": largest(tiled, whole, whole),
    }
    if "RMS" in type(network).__name__:
        found["float64_tiles_from_float64"] = largest(tiled_forward(network, image), whole, whole)
    return found


def stored_planes(scene: Any, backbone: Path, projection: Any, tile: int) -> Planes:
    """Extract the layers from tiles with a halo, and return their planes as (rows, cols, channels) arrays."""
    with tempfile.TemporaryDirectory() as folder:
        store = hsifeat.extract(
            scene,
            backbone=backbone,
            timesteps=[T],
            layers=LAYERS,
            projection=projection,
            tile=tile,
            halo=HALO_PX,
            noise="none",
            dtype="float32",
            out=Path(folder) / "planes.zarr",
        )
        return {plane.id.layer: store.plane(plane.id)[:] for plane in store.planes}


def tiled_forward(network: Any, image: NDArray[np.float64]) -> Planes:
    """Return the planes of tiles of a padded image. The last tiles of a row or column are moved inwards."""
    rows, cols = (side - 2 * HALO_PX for side in image.shape[:2])
    planes: Planes = {}
    for row in {0, *range(CORE_PX, rows, CORE_PX)}:
        for col in {0, *range(CORE_PX, cols, CORE_PX)}:
            top, left = min(row, rows - CORE_PX), min(col, cols - CORE_PX)
            tile = image[top : top + CORE_PX + 2 * HALO_PX, left : left + CORE_PX + 2 * HALO_PX]
            for name, plane in core(forward(network, tile), CORE_PX, CORE_PX).items():
                stride = CORE_PX // plane.shape[0]
                joined = planes.setdefault(name, np.zeros((rows // stride, cols // stride, plane.shape[2])))
                joined[top // stride :, left // stride :][: plane.shape[0], : plane.shape[1]] = plane
    return planes


class _LastLayerReached(Exception):  # noqa: N818  # control flow, not an error
    """Signal that stops a forward pass after the last of `LAYERS`."""


def forward(network: Any, image: NDArray[np.float64]) -> Planes:
    """Return the outputs of the layers for a (rows, cols, 3) image, as (rows, cols, channels) arrays."""
    outputs: Planes = {}

    def keep(name: str) -> Any:
        def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
            outputs[name] = output[0].permute(1, 2, 0).numpy()
            if len(outputs) == len(LAYERS):
                raise _LastLayerReached

        return network.get_submodule(name).register_forward_hook(hook)

    hooks = [keep(name) for name in LAYERS]
    with torch.no_grad(), suppress(_LastLayerReached):
        network(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))[None]), T)
    for hook in hooks:
        hook.remove()
    return outputs


def core(planes: Planes, rows: int, cols: int) -> Planes:
    """Cut off the halo of planes of an image whose core has `rows` x `cols` pixels."""
    cut = {}
    for name, plane in planes.items():
        stride = (rows + 2 * HALO_PX) // plane.shape[0]
        near = HALO_PX // stride
        cut[name] = plane[near : near + rows // stride, near : near + cols // stride]
    return cut


def largest(planes: Planes, others: Planes, whole: Planes) -> dict[str, float]:
    """Return the largest difference of each layer, in standard deviations of `whole`."""
    return {name: float(np.abs(planes[name] - others[name]).max() / whole[name].std()) for name in LAYERS}


if __name__ == "__main__":
    main()
