"""Fixtures and functions for tests of the workbench: a label set of the small scene, and edits of this label set."""

import time
from types import SimpleNamespace

import httpx
import numpy as np
import pytest

from tests.helpers.small import small_labels

# Pixels inside the fields of each class.
TRUTH = small_labels()


def inner_pixels(number, count, seed=0):
    """Return rows and columns of random pixels of a class that are at least 2 pixels away from the border of their field."""
    from scipy.ndimage import binary_erosion

    places = np.argwhere(binary_erosion(number == TRUTH, iterations=2))
    return np.random.default_rng(seed).choice(places, count, replace=False)


def prepare_scene(http, key):
    """Wait until the columns of a scene are ready."""
    for _ in range(600):
        if "HX-Refresh" in (answer := http.get(f"/label/{key}/progress")).headers:
            return
        assert answer.status_code == 200
        time.sleep(0.1)
    raise AssertionError(answer.text)


def open_label_set(http, key, name="labels", *, shared=False):
    """Open a label set of a scene, and return the path of the label set on the service."""
    form = {"name": name, **({"shared": "true"} if shared else {})}
    answer = http.post(f"/label/{key}/sets", data=form)
    assert answer.status_code == 303, answer.text
    number = answer.headers["location"].partition("set=")[2]
    return f"/label/{key}/sets/{number}"


def add_labels(http, base, classes=(1, 2, 3, 4), count=5):
    """Add classes, and label `count` pixels of each class."""
    for number in classes:
        assert http.post(f"{base}/classes", data={"name": f"field {number}"}).status_code == 200
        for row, col in inner_pixels(number, count).tolist():
            edit(http, base, "pixel", number, [[row, col]])


def edit(http, base, kind, number, points):
    """Send an edit to the service, and return the response as JSON values."""
    answer = http.post(f"{base}/edits", json={"kind": kind, "number": number, "points": points})
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_raster(http, base, **query):
    """Return the labels, classes and confidence of a part of the scene, and the position of this part."""
    answer = http.get(f"{base}/raster", params=query)
    assert answer.status_code == 200, answer.text
    place = {name: int(answer.headers[f"X-{name}"]) for name in ("row", "col", "rows", "cols", "step", "version")}
    shape, count = (place["rows"], place["cols"]), place["rows"] * place["cols"]
    assert len(answer.content) == 5 * count
    return SimpleNamespace(
        labels=np.frombuffer(answer.content, "<u2", count).reshape(shape),
        classes=np.frombuffer(answer.content, "<u2", count, 2 * count).reshape(shape),
        confidence=np.frombuffer(answer.content, np.uint8, count, 4 * count).reshape(shape),
        message=answer.headers["X-Message"],
        **place,
    )


@pytest.fixture
def author(service):
    """An HTTP client with the right to write. The columns of the scene are already computed."""
    headers = {"Authorization": f"Bearer {service.tokens['write']}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as http:
        prepare_scene(http, service.key)
        yield http
