"""Features of two scenes whose channels have the same names in another order: every way that joins them says so."""

import numpy as np
import pytest
import rasterio
import xarray

import hsifeat
from classifiers import fit_model, load_model, predict_map
from classifiers.table import PixelTable
from hsifeat.features.plane_facts import PlaneFacts, plane_facts
from hsifeat.runtime.events import Note

NAMES = ("A0", "A1", "A2", "A10")
ORDER = (0, 1, 3, 2)
NORTH_UP = rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)


def features_of(kind, path, values, names):
    if kind == "array":
        return xarray.DataArray(values, dims=("y", "x", "channel"), coords={"channel": list(names)})
    with rasterio.open(
        path, "w", driver="GTiff", height=24, width=30, count=4, dtype="float32", transform=NORTH_UP
    ) as file:
        file.write(values.transpose(2, 0, 1))
        file.descriptions = names
    return path


@pytest.fixture(params=["array", "tif"])
def stores(request, tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for name, order in (("a", range(4)), ("b", ORDER), ("c", range(4))):
        truth = np.kron(rng.integers(1, 4, (4, 5)), np.ones((6, 6), int)).astype(np.uint8)
        scene = hsifeat.Scene(name, rng.random((24, 30, 3))).with_labels(hsifeat.Labels("gt", truth))
        values = (truth[..., None] * np.arange(1.0, 5) + rng.normal(0, 0.1, (24, 30, 4))).astype(np.float32)[
            ..., list(order)
        ]
        given = features_of(request.param, tmp_path / f"{name}.tif", values, [NAMES[channel] for channel in order])
        store = hsifeat.import_planes(scene, {"e": given}, window=1, out=tmp_path / f"{name}.zarr")
        paths.append(store.location.path)
    return paths


def test_every_way_says_that_channels_are_in_another_order(stores, tmp_path):
    a, b, c = stores
    assert plane_facts(hsifeat.open_features(b)) == {
        "t0/e": PlaneFacts(channels=("A0", "A1", "A10", "A2"), integers=False)
    }
    fit_model([a], "lda", inputs="planes").save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.plane_facts == {"t0/e": PlaneFacts(channels=NAMES, integers=False)}
    ways = {
        "table": lambda listen, other: PixelTable.from_store([a, other], listen=listen),
        "fit": lambda listen, other: fit_model([a, other], "lda", inputs="planes", listen=listen),
        "predict": lambda listen, other: predict_map(hsifeat.open_features(other), model, listen=listen),
    }  # fmt: skip
    for way, call in ways.items():
        for other, expected in ((b, 1), (c, 0)):
            events = []
            call(events.append, other)
            said = [
                event.message for event in events if isinstance(event, Note) and "the channels of t0/e" in event.message
            ]
            assert len(said) == expected, (way, said)
            assert all(
                "'A10' is taken for 'A2' of" in text and "the same names in another order" in text for text in said
            )
