"""The check of a map at random places, over HTTP."""

import numpy as np

from tests.helpers.labelled_scene import TRUTH, read_raster


def test_random_places_score_the_map_and_are_no_labels(author, service, base):
    before = read_raster(author, base)
    asked = author.get(f"{base}/checks", params={"count": 30}).json()
    assert asked["answered"] == 0
    assert len({tuple(place) for place in asked["places"]}) == 30
    assert author.get(f"{base}/checks", params={"count": 12}).json()["places"] == asked["places"][:12]
    drawn = asked["places"]
    for (row, col), number in zip(
        drawn, [0, 0, 4, *[int(TRUTH[row, col]) or 1 for row, col in drawn[3:]]], strict=True
    ):
        assert answer_check(author, base, row, col, number).status_code == 200
    answer_check(author, base, *drawn[2], int(TRUTH[tuple(drawn[2])]) or 1)  # the later answer counts
    after = read_raster(author, base)
    np.testing.assert_array_equal(after.labels, before.labels)
    np.testing.assert_array_equal(after.classes, before.classes)
    hits = sum((int(TRUTH[row, col]) or 1) == after.classes[row, col] for row, col in drawn[2:])
    text = author.get(f"{base}/score").text
    assert f"{hits / 28:.0%} of 28 check places are mapped to their class" in text
    assert "the 2 places that were skipped" in text
    assert "how much of the whole map is right" in author.get(f"{base}/report.html").text
    lines = author.get(f"{base}/checks.csv").text.splitlines()
    assert len(lines) == 29
    later = author.get(f"{base}/checks", params={"count": 30}).json()
    assert (later["answered"], later["skipped"]) == (28, 2)
    assert not {tuple(place) for place in later["places"]} & {tuple(place) for place in drawn}


def test_answers_become_labels_on_request_and_undo_takes_that_back(author, base):
    drawn = author.get(f"{base}/checks", params={"count": 11}).json()["places"]
    labels = read_raster(author, base).labels.copy()
    for row, col in drawn:
        answer_check(author, base, row, col, 3)
    assert author.post(f"{base}/undo").json()["counts"] == {"1": 5, "2": 5, "3": 5, "4": 4}, "undo concerns labels"
    assert author.post(f"{base}/redo").json()["changed"]
    assert author.post(f"{base}/checks/join").json()["changed"]
    labels[tuple(np.transpose(drawn))] = 3
    np.testing.assert_array_equal(read_raster(author, base).labels, labels)
    assert "check places" not in author.get(f"{base}/score").text
    assert not author.post(f"{base}/checks/join").json()["changed"]
    refused = answer_check(author, base, *drawn[0], 2)
    assert refused.status_code == 409 and "is a label now" in refused.json()["detail"]
    author.post(f"{base}/undo")
    assert "of 11 check places" in author.get(f"{base}/score").text


def test_only_drawn_places_are_checked(author, reader, base):
    drawn = {tuple(place) for place in author.get(f"{base}/checks", params={"count": 500}).json()["places"]}
    row, col = next(place for place in np.ndindex(TRUTH.shape) if place not in drawn)
    for place, number in (((row, col), 1), ((0, 53), 1), ((75, 0), 1), ((-1, 3), 1), (min(drawn), 77)):
        assert answer_check(author, base, *place, number).status_code == 422
    assert answer_check(reader, base, *min(drawn), 1).status_code == 403
    assert author.get(f"{base}/checks").json()["answered"] == 0


def answer_check(http, base, row, col, number):
    return http.post(f"{base}/checks", json={"row": row, "col": col, "number": number})
