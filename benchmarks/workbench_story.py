"""Run the scenario of the workbench tests on two whole scenes in a real browser: Indian Pines, and the Landsat scene of North Carolina.

    .venv/bin/python benchmarks/workbench_story.py

Three simulated people label each scene while `hsifeat serve` is killed. They export maps and labels, and import the labels
again. One person uses the mouse, one only the keyboard, and one touches the screen of a phone; see
`tests/helpers/workbench_story.py`. Messages of the browser about requests to the killed service are ignored. Afterwards,
axe checks the accessibility of the workbench for both scenes at three widths. The results are written to
``benchmarks/results/workbench_story.json``. The folder of the Landsat GeoTIFF is in ``HSIFEAT_TEST_DATA``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import warnings
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import rasterio
from scoring import RESULTS, about_run
from service_process import ServiceProcess

from hsifeat import extract, open_features, open_scene
from tests.helpers.browser import audit
from tests.helpers.workbench_people import PEOPLE, Visits
from tests.helpers.workbench_story import LANDSAT_CLASSES, PINES_CLASSES, grid, label_scene

WIDTHS, CLICKS = (1280, 768, 390), 5
GEOTIFF, LABELS = "landsat_multiband.tif", "landsat96_labelled_pixels.tif"


def main() -> None:
    """Run the scenario, check the accessibility of the pages, and write the results."""
    from playwright.sync_api import sync_playwright

    about = about_run(("hsifeat", "playwright", "rasterio"))
    data = Path(os.environ["HSIFEAT_TEST_DATA"]) / "nc_landsat7"
    with TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        os.environ["HSIFEAT_CACHE"] = str(folder / "cache")
        pines = stored(folder, "indian-pines", PINES_CLASSES)
        landsat = stored(folder, data / GEOTIFF, LANDSAT_CLASSES)
        with rasterio.open(data / LABELS) as dataset:
            # Outside of the scene there is nothing to click.
            landsat.truth = np.where(landsat.valid, dataset.read(1).clip(0).astype(int), -1)
        landsat.file = data / GEOTIFF
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        visits, stories = Visits(browser), []
        with ServiceProcess(folder) as service:
            for scene, person in product((pines, landsat), PEOPLE):
                own = folder / f"{scene.name}-{person.name}"
                own.mkdir()
                start, steps = time.perf_counter(), {}
                for step in label_scene(person, scene, service, visits, run_gdal, own, CLICKS):
                    steps[step] = round(time.perf_counter() - start, 1)
                    print(scene.name, person.name, steps[step], step, flush=True)
                stories.append({"scene": scene.name, "by": person.name, "seconds_until": steps})
            overlay = [grid(run_gdal, file) for file in (*sorted(folder.glob("landsat*-*/map.tif")), landsat.file)]
            axe = [examine(visits, service, scene, width) for scene in (pines, landsat) for width in WIDTHS]
        browser.close()
    result = {
        **about,
        "scenes": {scene.name: list(scene.truth.shape) for scene in (pines, landsat)},
        "clicks_per_class": CLICKS,
        "stories": stories,
        "gdal_lays_the_maps_over_the_geotiff": all(one == overlay[-1] for one in overlay)
        and len(overlay) == len(PEOPLE) + 1,
        "map": {"size": overlay[0][0], "geo_transform": overlay[0][1]},
        "console_messages": visits.complaints,
        "requests": len(visits.requests),
        "requests_that_leave_the_service": visits.foreign_requests,
        "axe": axe,
    }
    text = json.dumps(result, indent=1)
    print(text)
    (RESULTS / "workbench_story.json").write_text(f"{text}\n")


def stored(folder: Path, source: str | Path, classes: dict[int, str]) -> SimpleNamespace:
    """Extract the context features of a scene. Return its name, valid pixels, label map and classes, and the key of its store."""
    scene = open_scene(source)
    features = open_features(extract(scene, backbone="context", out=folder / "stores" / f"{scene.name}.zarr"))
    truth = next((labels.classes for labels in scene.labels.values()), None)
    return SimpleNamespace(
        name=scene.name, valid=scene.valid, truth=truth, classes=classes, key=features.key, file=None
    )


def run_gdal(program: str, *arguments: object) -> str:
    """Run a program of GDAL, and return its output."""
    return subprocess.run([program, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def examine(visits: Visits, service: ServiceProcess, scene: SimpleNamespace, width: int) -> dict[str, Any]:
    """Open the workbench at a width in pixels, and return the serious violations that axe finds."""
    address = f"{service.url}/login?token={service.token}&next=/label/{scene.key}"
    page = visits(address, width, bypass_csp=True, has_touch=width < 600)
    page.wait_for_selector("#workbench[data-drawn]", timeout=60_000)
    page.click("#tour-leave")
    page.wait_for_selector("#score .figure")
    passes, faults = audit(page)
    overflow_px = page.evaluate("document.documentElement.scrollWidth") - width
    page.context.close()
    return {
        "scene": scene.name,
        "width": width,
        "rules_passed": len(passes),
        "serious": faults,
        "overflow_px": overflow_px,
    }


if __name__ == "__main__":
    with warnings.catch_warnings(action="ignore", category=rasterio.errors.NotGeoreferencedWarning):
        main()
