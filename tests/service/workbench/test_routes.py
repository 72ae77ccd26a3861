"""The workbench over HTTP: labels, maps, scores, files, rights, and two people on one scene."""

import base64
import io
import os
import re
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from tempfile import gettempdir

import httpx
import numpy as np
import pytest
from PIL import Image

from classifiers.labelling.label_files import import_labels
from hsifeat import load_model, open_features, predict_map
from hsifeat.service.workbench.map_tools import MapOptions, MapResources, MapTools
from hsifeat.service.workbench.rasters import aligned_window, coarse_labels
from hsifeat.service.workbench.workspace import Workspace
from hsifeat.types import Window
from tests.helpers.labelled_scene import (
    TRUTH,
    add_labels,
    edit,
    inner_pixels,
    open_label_set,
    read_raster,
)


def test_an_edit_labels_the_pixels_of_its_kind(author, service):
    path = open_label_set(author, service.key, "kinds")
    author.post(f"{path}/classes", data={"name": "corn"})
    expected = np.zeros(TRUTH.shape, np.uint16)
    for kind, points, part in (
        ("pixel", [[5.9, 7.2]], np.s_[5, 7]),
        ("brush", [[20.5, 20.5], [21.5, 21.5]], [np.s_[19:22, 19:22], np.s_[20:23, 20:23]]),
        ("polygon", [[40, 10], [40, 14], [44, 14], [44, 10]], np.s_[40:44, 10:14]),
    ):
        edit(author, path, kind, 1, points)
        for one in part if isinstance(part, list) else [part]:
            expected[one] = 1
        np.testing.assert_array_equal(read_raster(author, path).labels, expected)
    edit(author, path, "brush", 0, [[20.5, 20.5]])
    expected[19:22, 19:22] = 0
    np.testing.assert_array_equal(read_raster(author, path).labels, expected)
    answer = author.post(f"{path}/undo").json()
    assert answer["changed"]
    expected[19:22, 19:22] = 1
    expected[22, 19:20] = 0
    np.testing.assert_array_equal(read_raster(author, path).labels, expected)
    assert author.post(f"{path}/redo").json()["changed"]
    assert not author.post(f"{path}/redo").json()["changed"]


def test_a_segment_is_labelled_as_a_whole(author, service):
    path = open_label_set(author, service.key, "segments")
    author.post(f"{path}/classes", data={"name": "corn"})
    answer = edit(author, path, "segment", 1, [[30.5, 30.5]])
    labels = read_raster(author, path).labels
    from scipy.ndimage import label

    assert labels[30, 30] == 1
    assert 3 < answer["counts"]["1"] == (labels == 1).sum() < 200
    assert label(labels)[1] == 1, "one connected part"


def test_a_scene_that_is_too_noisy_for_superpixels_is_noted(author, service, base, monkeypatch):
    """Segments, suggestions and maps over segments say so; single pixels and other rules do not."""
    rasters = {rule: author.get(f"{base}/raster", params={"smooth": rule}) for rule in ("superpixel:20", "none")}
    assert {answer.headers["X-Note"] for answer in rasters.values()} == {""}
    monkeypatch.setattr("classifiers.smoothing.superpixel._MIN_SHARE", 100)
    opened = MapTools.segments
    monkeypatch.setattr(MapTools, "segments", lambda self: replace(opened(self), note="too noisy"))
    for rule, noted in (("superpixel:20", True), ("none", False)):
        answer = author.get(f"{base}/raster", params={"smooth": rule})
        assert ("the scene is too noisy for superpixels" in answer.headers["X-Note"]) == noted
        assert answer.content == rasters[rule].content and not answer.headers["X-Message"]
    assert author.get(f"{base}/suggestions").headers["X-Note"] == "too noisy"
    assert edit(author, base, "segment", 1, [[30.5, 30.5]])["note"] == "too noisy"
    assert edit(author, base, "pixel", 1, [[30.5, 30.5]])["note"] == ""


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_the_map_is_that_of_the_downloaded_model(author, service, base, tmp_path):
    shown = read_raster(author, base)
    assert set(np.unique(shown.classes)) == {1, 2, 3, 4}
    with zipfile.ZipFile(io.BytesIO(author.get(f"{base}/model.zip").content)) as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    model = load_model(folder)
    assert model.class_names == {number: f"field {number}" for number in (1, 2, 3, 4)}
    np.testing.assert_array_equal(shown.classes, predict_map(open_features(service.path), model).astype(np.uint16))
    content = author.get(f"{base}/map.tif").content
    import rasterio

    with rasterio.MemoryFile(content) as file, file.open() as dataset:
        np.testing.assert_array_equal(dataset.read(1), shown.classes)


def test_downloads_are_computed_in_the_slots_of_maps(author, service, base, monkeypatch):
    space, taken = service.app.state.workbench.workspace(service.key), []

    @contextmanager
    def slot():
        taken.append(1)
        yield

    for name in ("map.tif", "map.zip", "model.zip"):
        monkeypatch.setattr(space, "map_slots", slot())
        assert author.get(f"{base}/{name}").status_code == 200
    assert len(taken) == 3


def test_a_part_of_the_scene_is_mapped_as_in_the_whole(author, base):
    whole = read_raster(author, base)
    part = read_raster(author, base, row=10, col=20, rows=30, cols=20)
    assert (part.row, part.col, part.classes.shape) == (10, 20, (30, 20))
    np.testing.assert_array_equal(part.classes, whole.classes[10:40, 20:40])
    coarse = read_raster(author, base, step=2, row=11, rows=20)
    assert (coarse.row, coarse.step, coarse.classes.shape) == (10, 2, (11, 27))
    assert (coarse.classes == whole.classes[10:31:2, ::2]).mean() > 0.8


def test_labels_are_not_lost_on_a_coarse_grid():
    labels = np.zeros((7, 9), np.uint16)
    labels[5, 6] = 3
    window = aligned_window(Window(3, 2, 4, 7), labels.shape, 4)
    assert window == Window(0, 0, 7, 9)
    assert coarse_labels(labels, window, 4).tolist() == [[0, 0, 0], [0, 3, 0]]


def test_without_two_classes_there_is_a_message_and_no_map(author, service):
    path = open_label_set(author, service.key, "one class")
    add_labels(author, path, classes=(1,))
    shown = read_raster(author, path)
    assert "two classes" in shown.message
    assert not shown.classes.any()
    assert (shown.labels == 1).sum() == 5


def test_the_first_map_is_prepared_when_the_page_opens(author, service):
    path, smooth = open_label_set(author, service.key, "no labels"), "guided:3,0.01"
    assert read_raster(author, path, smooth=smooth, step=2).message
    mapper = service.app.state.workbench.workspace(service.key).mapper(MapOptions(smooth=smooth))
    for _ in range(200):  # after the answer
        if mapper._filters:
            break
        time.sleep(0.01)
    assert list(mapper._filters) == [2]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_maps_come_before_the_preparation_of_suggestions(service, monkeypatch):
    """Segments of a large scene take seconds, in which a person makes the first clicks."""
    found = []
    monkeypatch.setattr(
        Workspace, "suggester", lambda *_: found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    )
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    space = Workspace(open_features(service.path), MapResources())
    for _ in range(500):
        if found:
            break
        time.sleep(0.01)
    assert space.preparation.finished and not space.preparation.error
    assert found == [min(own + 10, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own


def test_the_score_says_which_question_it_answers(author, base):
    text = author.get(f"{base}/score").text
    assert "held-out pixels" in text
    assert "fills in the ground between labels" in text
    text = author.get(f"{base}/score", params={"folds": "blocks:8+2:3fold"}).text
    assert "carries over" in text or "Too few labels" in text
    assert author.get(f"{base}/score", params={"folds": "nonsense"}).status_code == 422
    assert author.get(f"{base}/curve").status_code == 200


def test_the_truth_scores_pixels_without_labels(author, base):
    form = {"name": "fields"}
    path = open_label_set(author, base.split("/")[2], "with the names of the truth")
    assert author.post(f"{path}/classes-of-map", data=form).status_code == 200
    for number in (1, 2):
        for row, col in inner_pixels(number, 5).tolist():
            edit(author, path, "pixel", number, [[row, col]])
    shown = read_raster(author, path)
    tested = (TRUTH > 0) & (shown.labels == 0)
    right = (shown.classes == TRUTH)[tested].sum()
    text = author.get(f"{path}/score", params={"truth": "fields"}).text
    assert f"<b>{right / tested.sum():.1%}</b> of {tested.sum():,} pixels" in text
    assert "no class with the name" not in text
    other = author.get(f"{base}/score", params={"truth": "fields"}).text
    assert "<b>0.0%</b>" in other and "Your label set has no class with the name " in other
    truth = author.get(f"{path}/truth", params={"name": "fields"}).content
    np.testing.assert_array_equal(np.frombuffer(truth, "<u2").reshape(TRUTH.shape), TRUTH)


def test_the_report_has_the_map_and_needs_no_network(author, base):
    text = author.get(f"{base}/report.html").text
    assert "held-out pixels" in text
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    image = np.asarray(
        Image.open(io.BytesIO(base64.b64decode(re.search(r'src="data:image/png;base64,([^"]*)"', text)[1])))
    )
    classes = read_raster(author, base).classes
    from hsifeat.scenes.colours import default_colours

    for number, colour in default_colours([1, 2, 3, 4]).items():
        rgb = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
        np.testing.assert_array_equal((image[..., :3] == rgb).all(axis=2), classes == number)


def test_suggestions_lie_apart_and_away_from_labels(author, base):
    places = author.get(f"{base}/suggestions").json()
    assert len(places) == 5
    at = {(place["row"], place["col"]) for place in places}
    assert len(at) == 5
    labels = read_raster(author, base).labels
    assert not any(labels[place] for place in at)


def test_the_spectrum_is_that_of_the_pixel(author, service, base):
    text = author.get(f"{base}/spectrum", params={"row": 10, "col": 20}).text
    path = re.search(r'<path class="pixel" d="M([^"]*)"', text)[1]
    y = np.array([float(point.split()[1]) for point in path.split("L")])
    spectrum = open_features(service.path).scene.cube[10, 20].astype(float)
    assert np.corrcoef(y, spectrum)[0, 1] < -0.999, "up is brighter"
    assert text.count('stroke-width="1.6"') == 4


def test_false_colours_are_the_bands(author, service):
    query = {"red": 9, "green": 5, "blue": 1, "cut": 0}
    answer = author.get(f"/label/{service.key}/colour.png", params=query)
    shown = np.asarray(Image.open(io.BytesIO(answer.content)))
    cube = np.asarray(open_features(service.path).scene.cube[:]).astype(float)
    for channel, band in enumerate((9, 5, 1)):
        low, high = cube[..., band].min(), cube[..., band].max()
        assert abs(shown[..., channel] - 255 * (cube[..., band] - low) / (high - low)).max() <= 0.51
    assert author.get(f"/label/{service.key}/colour.png", params={**query, "red": 12}).status_code == 422


def test_suggestions_can_be_limited_to_a_part(author, base):
    part = {"row": 20, "col": 10, "rows": 30, "cols": 25}
    places = author.get(f"{base}/suggestions", params=part).json()
    assert places
    assert all(20 <= place["row"] < 50 and 10 <= place["col"] < 35 for place in places)


@pytest.mark.parametrize("suffix", ["tif", "csv"])
def test_exported_labels_are_imported_again(author, service, base, suffix):
    before = read_raster(author, base)
    content = author.get(f"{base}/labels.{suffix}").content
    path = open_label_set(author, service.key, f"import {suffix}")
    answer = author.post(f"{path}/import", files={"file": (f"../my labels.{suffix}", content)})
    assert answer.status_code == 200, answer.text
    np.testing.assert_array_equal(read_raster(author, path).labels > 0, before.labels > 0)
    assert author.post(f"{path}/undo").json()["counts"] == {}


def test_notes_on_an_imported_file_are_sent_without_the_folder(author, service, monkeypatch):
    def import_with_notes(*arguments, **options):
        version, notes = import_labels(*arguments, **options)
        assert not notes
        return version, (f"{arguments[3]}: 4 pixels hold features of different classes", "reprojected")

    monkeypatch.setattr("hsifeat.service.workbench.label_routes.import_labels", import_with_notes)
    path = open_label_set(author, service.key, "import with notes")
    file = ("points.csv", "row,col,class\n2,2,corn\n3,2,oats\n")
    answer = author.post(f"{path}/import", files={"file": file}).json()
    assert answer["counts"] == {"1": 1, "2": 1}
    assert answer["note"] == "points.csv: 4 pixels hold features of different classes; reprojected"


def test_files_of_other_kinds_are_not_imported(author, base):
    for name, content in (("a.vrt", b"<VRTDataset/>"), ("a.tif", b"<VRTDataset/>"), ("a.gpkg", b"text"), ("", b"")):
        answer = author.post(f"{base}/import", files={"file": (name or "x", content)})
        assert answer.status_code == 422, answer.text
        assert gettempdir() not in answer.text


def test_who_may_only_read_sees_the_page_but_changes_nothing(author, reader, service):
    path = open_label_set(author, service.key, "shared", shared=True)
    add_labels(author, path)
    page = reader.get(f"/label/{service.key}", params={"set": path.rpartition("/")[2]})
    assert page.status_code == 200
    assert 'data-editable="0"' in page.text
    assert 'data-tool="pixel"' not in page.text
    before = read_raster(reader, path)
    for call in ("edits", "undo", "classes", "import"):
        assert reader.post(f"{path}/{call}", json={"kind": "pixel", "number": 1, "points": [[0, 0]]}).status_code == 403
    np.testing.assert_array_equal(read_raster(author, path).labels, before.labels)


def test_the_labels_of_one_person_are_not_those_of_another(author, reader, base):
    for path in ("raster", "score", "labels.csv", "classes", "map.tif"):
        assert reader.get(f"{base}/{path}").status_code == 404


def test_two_writers_edit_own_sets_and_a_shared_set_at_once(author, service):
    """Two people label the same pixels at once. Each has a label set with the same name, and both edit a shared set."""
    headers = {"Authorization": f"Bearer {service.tokens['admin']}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as other:
        people = (author, other)
        own = [open_label_set(person, service.key, "mine") for person in people]
        shared = open_label_set(author, service.key, "ours", shared=True)
        assert open_label_set(other, service.key, "ours", shared=True) == shared
        assert own[0] != own[1]
        for person, path in zip(people, own, strict=True):
            for name in ("corn", "wheat"):
                person.post(f"{path}/classes", data={"name": name}).raise_for_status()
        for person, name in zip(people, ("corn", "wheat"), strict=True):
            person.post(f"{shared}/classes", data={"name": name}).raise_for_status()
        pixels = [(row, col) for row in range(12) for col in (2, 40)]
        with ThreadPoolExecutor(8) as pool:
            jobs = [
                pool.submit(edit, person, path, "pixel", at + 1, [[row, col + shift]])
                for row, col in pixels
                for at, person in enumerate(people)
                for path, shift in ((own[at], 0), (shared, at))
            ]
            for job in jobs:
                job.result()
        expected = np.zeros(TRUTH.shape, int)
        for at, (person, path) in enumerate(zip(people, own, strict=True)):
            expected[tuple(zip(*pixels, strict=True))] = at + 1
            np.testing.assert_array_equal(read_raster(person, path).labels, expected)
            assert people[1 - at].get(f"{path}/raster").status_code == 404
            assert people[1 - at].post(f"{path}/undo").status_code == 404
        for shift in (0, 1):
            expected[tuple(zip(*((row, col + shift) for row, col in pixels), strict=True))] = shift + 1
        for person in people:
            np.testing.assert_array_equal(read_raster(person, shared).labels, expected)
        assert other.post(f"{shared}/undo").json()["changed"]
        labels = read_raster(author, shared).labels
    assert (np.count_nonzero(labels == 1), np.count_nonzero(labels == 2)) == (24, 23), "each person undoes their own"


def test_a_stale_request_is_dropped(author, base):
    assert author.get(f"{base}/raster", params={"page": "a", "number": 5}).status_code == 200
    for path in ("raster", "score"):
        assert author.get(f"{base}/{path}", params={"page": "a", "number": 4}).status_code == 204
    assert author.get(f"{base}/raster", params={"page": "b", "number": 1}).status_code == 200


def test_a_score_never_replaces_a_map(author, base):
    for path, number in (("score", 9), ("curve", 10)):
        assert author.get(f"{base}/{path}", params={"page": "b", "number": number}).status_code == 200
        assert author.get(f"{base}/raster", params={"page": "b", "number": 8}).status_code == 200
    assert author.get(f"{base}/raster", params={"page": "b", "number": 12}).status_code == 200
    for path in ("score", "curve"):
        assert author.get(f"{base}/{path}", params={"page": "b", "number": 11}).status_code == 204


def test_names_are_no_markup(author, service):
    name = "<img src=x onerror=alert(1)>'\""
    path = open_label_set(author, service.key, name)
    assert author.post(f"{path}/classes", data={"name": name}).status_code == 200
    page = author.get(f"/label/{service.key}", params={"set": path.rpartition("/")[2]}).text
    assert "&lt;img src=x" in page
    assert "<img src=x" not in page


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "pixel", "number": 9, "points": [[1, 1]]},
        {"kind": "pixel", "number": 1, "points": [[-1, 1]]},
        {"kind": "pixel", "number": 1, "points": [[75, 1]]},
        {"kind": "pixel", "number": 1, "points": []},
        {"kind": "polygon", "number": 1, "points": [[1, 1], [2, 2]]},
        {"kind": "segment", "number": 1, "points": [[1e300, 1]]},
        {"kind": "stamp", "number": 1, "points": [[1, 1]]},
    ],
)
def test_a_wrong_edit_is_refused_with_a_reason(author, base, body):
    answer = author.post(f"{base}/edits", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["detail"]) > 10
