"""Measure the time from a click to a new map on the screen, in a real browser.

Run from the root of the repository:

    .venv/bin/python benchmarks/workbench.py --scene indian-pines --clicks 24
    .venv/bin/python benchmarks/workbench.py --scene indian-pines --tile-to 1000 --clicks 24

A service runs in this process over stores of context features and of planes of `natural32`. The system's Chromium opens the
workbench at 1280 x 860 pixels. A simulated person chooses the inputs ``spectra+window+context+planes``, and labels random
pixels by the ground truth, one click after the other. The page measures each time from the mouse button to the painted map.
Afterwards, the map of the whole scene in full resolution is downloaded three times, as GeoTIFF.

``--tile-to N`` mirrors the scene to N x N pixels. With ``--no-planes``, there is no store of planes, and the map has the
inputs that suit its head. Results are added to ``benchmarks/results/workbench.json``, to the table in
``docs/user/workbench.md`` and to the README.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvicorn

from hsifeat import Labels, Scene, extract, open_features, open_scene
from hsifeat.service.app import create_app
from hsifeat.service.config import ServiceConfig
from hsifeat.service.server import address_of, bind, server_options

INPUTS = "spectra+window+context+planes"
ROOT = Path(__file__).parents[1]
OUT, PAGE, README = (
    ROOT / "benchmarks" / "results" / "workbench.json",
    ROOT / "docs" / "user" / "workbench.md",
    ROOT / "README.md",
)


def main() -> None:
    """Measure one scene, and add the result to the file of results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scene", default="indian-pines")
    parser.add_argument("--tile-to", type=int, default=0, help="mirror the scene to a square of this many pixels")
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-planes", action="store_true", help="map from spectra, windows and context alone")
    parser.add_argument("--folder", type=Path, help="keep the stores here, to measure again without computing them")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    scene = open_scene(arguments.scene)
    if arguments.tile_to:
        scene = mirrored(scene, arguments.tile_to)
    with TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        seconds = {}
        for backbone in ("context",) if arguments.no_planes else ("natural32", "context"):
            start = time.process_time()
            out = folder / "stores" / f"{arguments.scene}-{scene.rows}-{backbone}.zarr"
            features = open_features(extract(scene, backbone=backbone, out=out))
            seconds[f"{backbone}_cpu_s"] = round(time.process_time() - start, 1)
        config = ServiceConfig.from_options({"cache": f"{folder}/stores", "state": f"{temporary}/state", "port": 0})
        app, listener = create_app(config), bind(config)
        server = uvicorn.Server(server_options(config, app))
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        address = address_of(app.state.service, listener.getsockname()[1])
        truth, inputs = next(iter(scene.labels.values())), "" if arguments.no_planes else INPUTS
        seconds["columns_s"], result = measure(address, features.key, truth, arguments.clicks, arguments.seed, inputs)
        server.should_exit = True
    shape = f"{scene.rows} x {scene.cols}"
    tiled = f" --tile-to {arguments.tile_to}" if arguments.tile_to else ""
    without = " --no-planes" if arguments.no_planes else ""
    options = f"--scene {arguments.scene}{tiled} --clicks {arguments.clicks}{without}"
    record = {
        "command": f".venv/bin/python benchmarks/workbench.py {options}",
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "scene": f"{arguments.scene}, {shape}",
        "cpus": os.cpu_count(),
        "load_before": round(load, 1),
        **({} if arguments.folder else seconds),
        **result,
    }
    print(json.dumps(record, indent=1))
    earlier = json.loads(OUT.read_text()) if OUT.exists() else []
    others = [one for one in earlier if (one["scene"], one.get("inputs")) != (record["scene"], record["inputs"])]
    records = sorted(
        [*others, record], key=lambda one: (len(one["inputs"]), len(one["scene"]))
    )  # 145 x 145 before 1000 x 1000
    OUT.write_text(json.dumps(records, indent=1) + "\n")
    write_times(records)


def write_times(records: list[dict[str, Any]]) -> None:
    """Write the times into the table of the page on the workbench, and the median times without planes into the README."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("| scene, pixels |")) + 2
    stop = next(at for at in range(start, len(lines)) if not lines[at])
    lines[start:stop] = [table_row(record) for record in records]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    small, large = (one["median_ms"] / 1000 for one in records if "planes" not in one["inputs"])
    sentence = rf"\g<1>{small:.2f} s after a click (median; 145 x 145 pixels; {large:.2f} s"
    pattern = r"(\nmap is on the screen )[\d.]+ s after a click \(median; 145 x 145 pixels; [\d.]+ s"
    README.write_text(re.sub(pattern, sentence, README.read_text(encoding="utf-8")), encoding="utf-8")


def table_row(record: dict[str, Any]) -> str:
    """Return a record as a row of the table on the page."""
    command = record["command"].removeprefix(".venv/bin/python ")
    cells = (
        record["scene"].partition(", ")[2],
        f"`{record['inputs']}`",
        *(record.get(name, "-") for name in ("first_map_ms", "median_ms", "p95_ms", "maps", "full_resolution_s")),
        f"`{command}`",
    )
    return f"| {' | '.join(map(str, cells))} |"


def mirrored(scene: Scene, side: int) -> Scene:
    """Return a scene of `side` x `side` pixels that repeats a scene and its labels by mirroring."""
    cube = np.asarray(scene.cube[:])
    pad = [(0, side - size) for size in cube.shape[:2]]
    labels = next(iter(scene.labels.values()))
    return Scene(
        scene.name,
        np.pad(cube, [*pad, (0, 0)], mode="symmetric"),
        wavelengths_nm=scene.wavelengths_nm,
        labels={labels.name: Labels(labels.name, np.pad(labels.classes, pad, mode="symmetric"), labels.class_names)},
    )


def measure(address: str, key: str, truth: Labels, clicks: int, seed: int, inputs: str) -> tuple[float, dict[str, Any]]:
    """Label random pixels in the browser, and measure times.

    The result is the time in seconds until the page is ready, and the times in ms from a click to the map. `inputs` is the
    input set of the map; if empty, the input set that suits the head.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.set_default_timeout(3_600_000)
        page.goto(f"{address}&next=/label/{key}")
        start = time.perf_counter()
        page.wait_for_selector("#workbench[data-drawn]")
        columns_s = time.perf_counter() - start
        page.click("#tour-leave")
        page.evaluate("document.getElementById('inputs').closest('details').open = true")
        page.select_option("#inputs", inputs)
        page.click("text=Take them")
        page.wait_for_selector(".class")
        place = screen_places(page)
        pixels = np.random.default_rng(seed).permutation(np.argwhere(truth.classes))
        times, parts = [], []
        for row, col in pixels[:clicks]:
            page.click(f".class[data-number='{truth.classes[row, col]}']")
            before = page.get_attribute("#workbench", "data-drawn")
            page.mouse.click(*place(row, col))
            page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])")
            if page.get_attribute("#workbench", "data-mapped") == "1":
                times.append(int(page.get_attribute("#workbench", "data-ms")))
                parts.append([int(ms) for ms in page.get_attribute("#workbench", "data-parts").split(",")])
            page.wait_for_selector(f"#workbench[data-scored='{page.get_attribute('#workbench', 'data-drawn')}']")
        full = [seconds_of(lambda: page.request.get(map_address(page))) for _ in range(3)]
        used = inputs or page.locator("#inputs option").first.text_content().partition(": ")[2]
        browser.close()
    # The columns of the inputs are computed for the first map, and kept.
    low, middle, high = np.percentile(times[1:], [5, 50, 95])
    saved, mapped, painted = np.median(parts[1:], axis=0).tolist()
    return round(columns_s, 1), {
        "inputs": used,
        "first_map_ms": times[0],
        "maps": len(times) - 1,
        "p5_ms": round(low),
        "median_ms": round(middle),
        "p95_ms": round(high),
        "full_resolution_s": round(float(np.median(full)), 2),
        "median_of_parts_ms": {"label saved": saved, "map answered": mapped, "painted": painted},
    }


def map_address(page: Any) -> str:
    """Return the address of the map in full resolution, with the inputs that are selected on the page."""
    return str(page.locator("#files a:text-is('Map, GeoTIFF')").evaluate("link => link.href"))


def seconds_of(request: Callable[[], Any]) -> float:
    """Send a request that must succeed, and return its wall time in seconds."""
    start = time.perf_counter()
    if not request().ok:
        raise RuntimeError("the map in full resolution can't be downloaded")
    return time.perf_counter() - start


def screen_places(page: object):  # noqa: ANN201  # a function
    """Return a function that maps the row and column of a pixel to a position (x, y) on the screen.

    The mapping is computed from two mouse positions. The page displays the row and column under the mouse.
    """
    box = page.locator("#stage").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def pixel(offset: int) -> tuple[int, int]:
        page.mouse.move(x + offset, y + offset)
        found = re.match(r"row (\d+), column (\d+)", page.text_content("#readout"))
        return int(found[1]), int(found[2])

    first, last = pixel(-250), pixel(250)
    scale = 1000 / (last[0] - first[0] + last[1] - first[1])
    return lambda row, col: (x - 250 + (col - first[1]) * scale, y - 250 + (row - first[0]) * scale)


if __name__ == "__main__":
    main()
