"""Samples as Arrow streams, against the features of the store read directly."""

import numpy as np
import pyarrow as pa
import pytest

import hsifeat

ROWS, COLS = [70, 3, 3, 0], [50, 5, 5, 52]


@pytest.fixture
def sample(service, reader):
    """Return a function that samples the store and returns an Arrow table."""

    def read(status=200, **wanted):
        response = reader.post(f"/stores/{service.key}/sample", json=wanted)
        assert response.status_code == status, response.text
        if status != 200:
            return response.json()["detail"]
        assert response.headers["content-type"] == "application/vnd.apache.arrow.stream"
        return pa.ipc.open_stream(response.content).read_all()

    return read


def values(table, *names):
    return np.concatenate([np.stack(table[name].to_numpy()) for name in names], axis=1)


def test_pixels_in_the_order_of_the_request(sample, features):
    table = sample(rows=ROWS, cols=COLS, planes=["t300/*"], spectra=True)
    names = [str(plane.id) for plane in features.select(["t300/*"])]
    assert table.column_names == ["row", "col", "spectrum", *names]
    assert table["row"].to_pylist() == ROWS and table["col"].to_pylist() == COLS
    np.testing.assert_array_equal(values(table, *names), features.sample(ROWS, COLS, ["t300/*"]))
    np.testing.assert_array_equal(values(table, "spectrum"), features.spectra(ROWS, COLS))
    assert table.schema.field("t300/mid_block").metadata[b"stride"] == b"4"


def test_means_over_windows(sample, features):
    table = sample(rows=ROWS, cols=COLS, planes=["t0/mid_block"], pool=9)
    np.testing.assert_array_equal(values(table, "t0/mid_block"), features.sample(ROWS, COLS, ["t0/mid_block"], pool=9))


def test_no_pixels_and_no_planes(sample):
    table = sample(rows=[], cols=[], planes=[])
    assert table.num_rows == 0 and table.column_names == ["row", "col"]


def test_the_pixels_of_a_label_map_in_blocks(service, scene, features, monkeypatch):
    """The request of a label map would exceed the limit of the running service, so the sample is made here."""
    from hsifeat.service import samples

    monkeypatch.setattr(samples, "_BLOCK_BYTES", 40_000)
    wanted = samples.SampleRequest(labels="fields", planes=["t0/mid_block"])
    sample = samples.prepare_sample(features, wanted, max_pixels=10**6, max_bytes=10**9)
    messages = list(sample.stream())
    table = pa.ipc.open_stream(b"".join(messages)).read_all()
    classes = scene.labels["fields"].classes
    rows, cols = np.nonzero(classes)
    assert len(messages) > 4 and table.schema.metadata[b"labels"] == b"fields"
    np.testing.assert_array_equal(table["row"], rows)
    np.testing.assert_array_equal(table["class"], classes[rows, cols])
    np.testing.assert_array_equal(
        values(table, "t0/mid_block"), hsifeat.Features(features.store).sample(rows, cols, ["t0/mid_block"])
    )


@pytest.mark.parametrize(
    ("status", "wanted", "message"),
    [
        (422, {}, "send either rows and cols, or labels"),
        (422, {"rows": [1], "cols": [1, 2]}, "same length"),
        (422, {"rows": [1], "cols": [1], "labels": "fields"}, "send either"),
        (422, {"rows": [75], "cols": [0]}, r"pixel \(75, 0\) lies outside of the scene of 75 x 53"),
        (422, {"rows": [-1], "cols": [0]}, "rows.0"),
        (422, {"rows": [1], "cols": [1], "planes": ["t7/*"]}, "has no plane 't7/"),
        (422, {"labels": "<script>"}, "has no labels"),
        (422, {"rows": [1], "cols": [1], "url": "http://x"}, "url"),
        (413, {"rows": [1] * 1001, "cols": [1] * 1001}, "1001 pixels .* allowed are 1000 pixels"),
        (413, {"labels": "fields"}, "ask for fewer pixels"),
    ],
)
def test_what_cannot_be_sampled(sample, status, wanted, message):
    import re

    assert re.search(message, sample(status, **wanted))
