"""Scenario of a person who labels a scene in the workbench, exports map and labels, and imports the labels again.

The service is killed several times during the scenario. Tests run the scenario on parts of two scenes, with a mouse, with
the keyboard alone and by touch. `benchmarks/workbench_story.py` runs the scenario on the whole scenes.
"""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import rasterio
from scipy.ndimage import binary_erosion

# Classes of Indian Pines with many pixels each, and of the Landsat scene; the person calls its ground of no class bare.
PINES_CLASSES = {8: "hay", 10: "no-till", 11: "min-till", 14: "woods"}
LANDSAT_CLASSES = {1: "town", 5: "forest", 7: "water", 0: "bare"}


def label_scene(kind, scene, service, visits, gdal, folder, clicks):
    """Run the scenario, and yield a description of each completed part.

    `kind` is one of `workbench_people.PEOPLE`. `scene` has these attributes: ``key``, the key of a store of the scene;
    ``truth``, the label map; ``classes``, a dict that maps four numbers of the label map to names; ``file``, the GeoTIFF of
    the scene or None. The person clicks `clicks` pixels of each class.
    """
    page = visits(f"{service.url}/login?token={service.token}&next=/label/{scene.key}", **kind.screen)
    person, labelled = kind(page), {}
    take_tour(person)
    open_set(person, f"by {kind.name}")
    yield "opened the scene, took the tour, and opened a label set"
    label_four_classes(person, scene, clicks, labelled)
    yield f"labelled {clicks} pixels of each of four classes, and saw the map"
    take_suggestion(person, scene, labelled)
    yield "took a suggestion, undid and redid it"
    check_map(person, scene)
    yield "checked the map at random places"
    lose_service(person, scene, service, visits, labelled)
    yield "labelled, and asked for a map, while the service was killed"
    person = come_back(person, service, visits)
    assert person.counts == counts_of(labelled, scene)
    person.page.wait_for_selector("#score :text('of 10 check places')")
    yield "loaded the page again after the service was killed, with all labels"
    person.download("a:text-is('Map, GeoTIFF')", folder / "map.tif")
    check_exported_map(folder / "map.tif", scene, gdal)
    yield "exported the map"
    bring_labels_back(person, folder, labelled)
    yield "exported the labels, and imported them into another set, pixel by pixel"
    person.page.context.close()


def take_tour(person):
    """Go through all steps of the tour, and check that the tour ends."""
    for _ in range(20):
        if not person.page.is_visible("#tour"):
            return
        person.press("#tour-next")
    raise AssertionError("the tour does not end")


def open_set(person, name):
    """Open a new label set with the menu of label sets."""
    page = person.page
    person.press(".title .menu >> nth=0 >> summary")
    person.write(".sheet input[name=name]", name)
    with page.expect_navigation():
        person.press(".sheet button:text-is('Open')")
    type(person)(page)


def pixels_of(truth, number, count):
    """Return random pixels inside the fields of a class. Calls with equal arguments return the same pixels."""
    places = np.argwhere(binary_erosion(truth == number, iterations=1))
    return [tuple(place) for place in np.random.default_rng(number).choice(places, count, replace=False).tolist()]


def counts_of(labelled, scene):
    """Return a dict that maps the name of each class to its number of labelled pixels."""
    names = list(labelled.values())
    return {name: names.count(name) for name in scene.classes.values()}


def label_four_classes(person, scene, clicks, labelled):
    """Add the classes, label `clicks` pixels of each class, and check the map, the score and the spectrum."""
    page = person.page
    for number, (true_number, name) in enumerate(scene.classes.items(), 1):
        person.write(".add input[name=name]", name)
        person.press(".add button:text-is('Add class')")
        page.wait_for_selector(f".class[data-number='{number}'][aria-pressed=true]")
        for pixel in pixels_of(scene.truth, true_number, clicks):
            person.until_drawn(person.label, *pixel)
            labelled[pixel] = name
    assert person.counts == counts_of(labelled, scene)
    assert page.get_attribute("#workbench", "data-mapped") == "1"
    page.wait_for_selector(f"#workbench[data-scored='{person.drawn}']")
    assert "held-out pixels" in page.inner_text("#score")
    person.point(*pixels_of(scene.truth, list(scene.classes)[1], clicks + 1)[clicks])
    names = "|".join(scene.classes.values())
    assert re.search(rf"mapped as ({names}), \d+ % sure", page.text_content("#readout"))
    page.wait_for_selector(f"#spectrum svg[aria-label*='{', '.join(scene.classes.values())}']")


def take_suggestion(person, scene, labelled):
    """Go to a suggested pixel, label the pixel with the second class, undo the edit, and redo the edit."""
    page, name = person.page, list(scene.classes.values())[1]
    person.press("#suggest")
    page.wait_for_selector("#workbench[data-place]")
    pixel = tuple(map(int, page.get_attribute("#workbench", "data-place").split(",")))
    assert person.pixel_shown is None and f"row {pixel[0]}, column {pixel[1]}" in page.text_content("#readout")
    person.choose_class(2)
    person.until_drawn(person.label, *pixel)
    before = counts_of(labelled, scene)
    labelled[pixel] = name
    assert person.counts == counts_of(labelled, scene)
    person.until_drawn(person.press, "#undo")
    assert person.counts == before
    person.until_drawn(person.press, "#redo")
    assert person.counts == counts_of(labelled, scene)


def check_map(person, scene):
    """Name the classes of random places until ten places have a class. Check that the map is hidden meanwhile."""
    page, named = person.page, 0
    numbers = {true_number: number for number, true_number in enumerate(scene.classes, 1)}
    person.press("#check")
    while named < 10:
        place = page.get_attribute("#workbench[data-check]", "data-check")
        assert "mapped" not in page.text_content("#readout")
        assert page.locator("#stage canvas").first.is_hidden()
        mark = page.locator("#stage").bounding_box()
        assert 0 < mark["y"] + mark["height"] / 2 < page.viewport_size["height"], "the mark is on the screen"
        number = numbers.get(int(scene.truth[tuple(map(int, place.split(",")))]), 0)
        person.answer(number)
        page.wait_for_selector(f"#workbench:not([data-check='{place}'])")
        named += number > 0
    person.press("[data-check=stop]")
    page.wait_for_selector("#score :text('of 10 check places')")
    assert page.locator("#stage canvas").first.is_visible()


def lose_service(person, scene, service, visits, labelled):
    """Label a pixel while the service is killed, and check that the label is saved when the service runs again.

    Then request a map while the service is killed, and check that the map appears when the service runs again.
    """
    page, number = person.page, list(scene.classes)[1]
    pixel = next(pixel for pixel in pixels_of(scene.truth, number, 20) if pixel not in labelled)
    person.choose_class(2)
    before = person.drawn
    with visits.killed(service):
        person.label(*pixel)
        page.wait_for_selector("#message:not([hidden])")
    page.wait_for_selector(f"#workbench:not([data-drawn='{before}'])", timeout=60_000)
    visits.back()
    assert not page.is_visible("#message")
    labelled[pixel] = scene.classes[number]
    assert person.counts == counts_of(labelled, scene)
    person.press("summary:text-is('How it is made')")
    page.evaluate("() => delete document.getElementById('workbench').dataset.ms")
    with visits.killed(service):
        person.choose("#smooth", "none")
        page.wait_for_selector("#message:not([hidden])")
    page.wait_for_selector("#workbench[data-ms]")  # set when a map is painted; two maps may take equally long
    visits.back()


def come_back(person, service, visits):
    """Close the page, kill the service, and open the page again in the same browser."""
    page = person.page
    cookies, address = page.context.storage_state(), page.url
    page.context.close()
    service.kill()
    service.start()
    return type(person)(visits(address, **person.screen, storage_state=cookies))


def check_exported_map(file, scene, gdal):
    """Check that an exported map has no class where `scene.truth` is -1, and a class at all other pixels.

    If the scene has a file, also check with GDAL that map and scene have the same georeference.
    """
    with rasterio.open(file) as dataset:
        classes = dataset.read(1)
    assert classes.max() <= 4
    np.testing.assert_array_equal(classes == 0, scene.truth == -1)
    if scene.file is not None:
        assert grid(gdal, file) == grid(gdal, scene.file)


def bring_labels_back(person, folder, labelled):
    """Export the labels, import the labels into another label set, and export the labels again.

    Check that each pixel has the class that the person assigned to it.
    """
    page = person.page
    person.download("a[href$='labels.csv']", folder / "labels.csv")
    assert read_labels(folder / "labels.csv") == labelled
    open_set(person, f"again by {person.name}")
    assert person.counts == {}
    person.press("#files > summary")
    person.choose_file("#import input[type=file]", folder / "labels.csv")
    person.until_drawn(person.press, "#import button")
    page.wait_for_selector("#files:not([open]) summary")
    assert "The labels are imported" in page.text_content("#readout")
    person.download("a[href$='labels.csv']", folder / "again.csv")
    assert read_labels(folder / "again.csv") == labelled
    person.download("a[href$='labels.tif']", folder / "again.tif")
    with rasterio.open(folder / "again.tif") as dataset:
        assert set(zip(*np.nonzero(dataset.read(1)), strict=True)) == set(labelled)


def read_labels(file):
    """Read a CSV file of labels, and return a dict that maps (row, column) to the class name."""
    return {
        (int(line["row"]), int(line["col"])): line["class"] for line in csv.DictReader(file.read_text().splitlines())
    }


def grid(gdal, file):
    """Return the size, transform, coordinate reference system and corners of a file, as ``gdalinfo`` reports them."""
    facts = json.loads(gdal("gdalinfo", "-json", file))
    return facts["size"], facts["geoTransform"], facts["coordinateSystem"]["wkt"], facts["cornerCoordinates"]
