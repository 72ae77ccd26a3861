"""Take the pictures of the workbench for the documentation, in a real browser.

Run from the root of the repository, and look at the pictures before you commit them:

    .venv/bin/python benchmarks/workbench_pictures.py

A service runs in this process over a store of context features of Indian Pines. A simulated person labels three pixels of
each class by the ground truth, then labels suggested pixels, and answers 60 check places. The pictures are written to
``docs/user/img``.
"""

from __future__ import annotations

import io
import shutil
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import uvicorn
from PIL import Image

from hsifeat import Labels, extract, open_features
from hsifeat.service.app import create_app
from hsifeat.service.config import ServiceConfig
from hsifeat.service.server import address_of, bind, server_options

OUT = Path(__file__).parents[1] / "docs" / "user" / "img"
SCENE, LABELS_PER_CLASS, SUGGESTIONS, CHECKS = "indian-pines", 3, 4, 60
# Width, height and colour scheme of each page.
PAGES = {"desk": (1280, 860, "light"), "tablet": (768, 1024, "dark"), "phone": (390, 844, "light")}


def main() -> None:
    """Label the scene, and take all pictures."""
    with TemporaryDirectory() as folder:
        features = open_features(extract(SCENE, backbone="context", out=Path(folder) / "stores" / f"{SCENE}.zarr"))
        config = ServiceConfig.from_options({"cache": f"{folder}/stores", "state": f"{folder}/state", "port": 0})
        app, listener = create_app(config), bind(config)
        server = uvicorn.Server(server_options(config, app))
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        address = address_of(app.state.service, listener.getsockname()[1])
        label(address, features.key, features.labels())
        take_pictures(f"{address}&next=/label/{features.key}")
        server.should_exit = True


def label(address: str, key: str, labels: Labels) -> None:
    """Label some pixels and all suggestions by the ground truth, and answer check places."""
    truth = labels.classes
    base, _, token = address.partition("/login?token=")
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=600) as http:
        while "HX-Refresh" not in http.get(f"/label/{key}/progress").headers:
            time.sleep(0.3)
        number = http.post(f"/label/{key}/sets", data={"name": "labels"}).headers["location"].partition("set=")[2]
        path = f"/label/{key}/sets/{number}"

        def send(route: str, **options: Any) -> None:
            http.post(f"{path}/{route}", **options).raise_for_status()

        def paint(row: int, col: int) -> None:
            edit = {"kind": "pixel", "number": int(truth[row, col]), "points": [[int(row), int(col)]]}
            send("edits", json=edit)

        send("classes-of-map", data={"name": labels.name})
        random = np.random.default_rng(1)
        for value in np.unique(truth[truth > 0]):
            for row, col in random.permutation(np.argwhere(truth == value))[:LABELS_PER_CLASS]:
                paint(row, col)
        for _ in range(SUGGESTIONS):
            for place in http.get(f"{path}/suggestions").json():
                if truth[place["row"], place["col"]]:
                    paint(place["row"], place["col"])
        for row, col in http.get(f"{path}/checks", params={"count": CHECKS}).json()["places"]:
            send("checks", json={"row": row, "col": col, "number": int(truth[row, col])})


def take_pictures(address: str) -> None:
    """Open the workbench at several widths, and save a picture of the visible part of each page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, (width, height, scheme) in PAGES.items():
            is_phone = width < 600
            page = browser.new_page(
                viewport={"width": width, "height": height}, color_scheme=scheme, is_mobile=is_phone, has_touch=is_phone
            )
            page.set_default_timeout(180_000)
            page.goto(address)
            page.click("#tour-leave")
            for selector in ("#workbench[data-drawn]", "#score .figure", "#curve svg"):
                page.wait_for_selector(selector)
            if name == "desk":  # the picture of the README has suggestions, and shows where the map is unsure
                page.check("#shade")
                page.check("#in-view")
                page.evaluate("scrollTo(0, 0)")
                page.locator("#stage").focus()
                page.keyboard.press("n")
                page.wait_for_selector("#workbench[data-place]")
            box = page.locator("#stage").bounding_box()
            page.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
            page.wait_for_selector("#spectrum svg")
            if name == "desk":
                save(page, "workbench")
                page.locator("#stage").focus()
                page.keyboard.press("c")
                page.wait_for_selector("#workbench[data-check]")
                save(page, "workbench-check")
                page.keyboard.press("Escape")
                page.check("#patterns")
                page.evaluate("scrollTo(0, 0)")
                save(page, "workbench-patterns")
            else:
                save(page, f"workbench-{name}")
        browser.close()


def save(page: Any, name: str) -> None:
    """Save a picture of the visible part of a page, one second later, so that no animation runs."""
    page.wait_for_timeout(1000)
    Image.open(io.BytesIO(page.screenshot())).save(OUT / f"{name}.webp", quality=80, method=6)
    print(name)


if __name__ == "__main__":
    main()
