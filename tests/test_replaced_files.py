"""A result replaces an earlier result of its kind, and no other file."""

import json
import sqlite3
import zipfile

import httpx
import numpy as np
import pytest
from PIL import Image

from classifiers.labelling.label_files import export_labels
from classifiers.splits.split_draw import SplitDraw
from classifiers.splits.split_plot import write_split_plot
from hsifeat.client.remote_job import RemoteJob
from hsifeat.client.transport import Transport
from hsifeat.errors import HsifeatError
from hsifeat.features.export import export_features
from hsifeat.projection import Projection
from hsifeat.scenes import Labels, Scene
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.maps import Legend, check_replaces_map, write_map
from hsifeat.scenes.scene_plot import scene_plot_path, write_scene_plot
from hsifeat.timesteps.rank import rank_timesteps
from hsifeat.timesteps.ranking_plot import plot_ranking


@pytest.fixture(scope="module")
def labels():
    georeference = Georeference("EPSG:32632", (10, 0, 500_000, 0, -10, 5_000_000))
    return Labels("fields", np.array([[0, 1], [2, 2]], np.uint8), {1: "oak", 2: "elm"}, georeference=georeference)


def text(path):
    path.write_text("place,class\nhill,3\n")


def similar_text(path):
    path.write_text("row,col,class,comment\n0,1,oak,dry\n")


def cube(path):
    np.save(path, np.ones((4, 4, 3), np.float32))


def matlab(path):
    from scipy.io import savemat

    savemat(path, {"X": np.ones((4, 4, 3)), "y": np.ones((4, 4))})


def parquet(path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"row": [1], "col": [2]}), path)


def fields(path):
    import geopandas
    import shapely

    geopandas.GeoDataFrame({"class": ["oak"]}, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32632").to_file(
        path, layer="labels"
    )


def photograph(path):
    Image.new("L", (2, 2)).save(path)


def with_a_further_layer(path):
    import geopandas
    import shapely

    columns = {"class": ["oak"], "number": [1], "colour": ["#008000"]}
    frame = geopandas.GeoDataFrame(columns, geometry=[shapely.box(0, 0, 1, 1)], crs="EPSG:32632")
    frame.to_file(path, layer="labels")
    frame.to_file(path, layer="parcels")


def map_of_classes(path):
    write_map(path, np.ones((4, 4), np.uint8), Legend((1,), ("oak",), ("#008000",)))


def other_columns(path):
    np.save(path, np.ones((4, 3), np.float32))
    path.with_suffix(".columns.json").write_text(json.dumps({"recipe_key": "1", "columns": ["a"]}))


def huge_picture(path):
    """A picture whose description PIL refuses to unpack."""
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Description", " " * 2_000_000, zip=True)
    Image.new("L", (2, 2)).save(path, pnginfo=text)


def structured(path):
    """An array whose header has as many bytes as that of a map."""
    names = ["row", "col", "class", "easting", "northing", "height", "species", "year"]
    np.save(path, np.zeros(3, [(name, "<f8") for name in names]))
    assert path.read_bytes()[8:10] == b"\xf6\x00"


def plot(path):
    scene_picture(None, path)


def class_map(labels, path):
    check_replaces_map(path)
    map_of_classes(path)


def archive(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("photographs/a.txt", "mine")


def table(features, path):
    export_features(features, path, planes=["t300/mid_block"])


def label_file(labels, path):
    export_labels(labels, path)


def scene_picture(labels, path):
    scene = Scene("a", np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32))
    write_scene_plot(scene, scene_plot_path(scene, path))


def plot_of_timesteps(labels, path):
    scene = Scene("a", np.random.default_rng(0).normal(size=(40, 40, 3)).astype(np.float32))
    plot_ranking(rank_timesteps(scene, timesteps=[0, 500], budget=1), path)


def split_plot(labels, path):
    train, test = np.packbits([0, 1, 0, 0]), np.packbits([0, 0, 1, 1])
    write_split_plot(path, SplitDraw((2, 2), train, test), labels)


def projection(labels, path):
    Projection("bands:1", np.ones((1, 1), np.float32), np.zeros(1, np.float32), clip=False).save(path)


def download(labels, path):
    content = path.with_name("result.tmp")
    if path.suffix == ".zip":
        with zipfile.ZipFile(content, "w") as file:
            file.writestr("model/model.json", json.dumps({}))
    else:
        map_of_classes(content.with_suffix(".tif"))
        content = content.with_suffix(".tif")
    replies = {"result": content.read_bytes(), "files": b"[]"}
    transport = Transport("http://service.example", "token")
    reply = httpx.MockTransport(lambda request: httpx.Response(200, content=replies[request.url.path.split("/")[-1]]))
    transport._client = httpx.Client(base_url=transport.url, transport=reply)
    state = {"id": "1", "state": "done", "result": {"download": f"map{path.suffix}"}}
    RemoteJob(transport, state).download(path)


WRITERS = {
    "table": [(table, name, mine) for name, mine in ((".npy", cube), (".npy", other_columns), (".parquet", parquet), (".mat", matlab), (".pixels.csv", text), (".columns.json", text))],
    "label file": [
        (label_file, name, mine)
        for name, mine in ((".tif", photograph), (".gpkg", fields), (".gpkg", text), (".geojson", fields), (".csv", text), (".csv", similar_text), (".gpkg", with_a_further_layer), (".tif", map_of_classes))
    ],
    "projection": [(projection, ".safetensors", text), (projection, ".npy", cube)],
    "picture": [(split_plot, ".png", photograph), (split_plot, ".png", huge_picture), (scene_picture, ".png", map_of_classes), (scene_picture, ".png", photograph), (scene_picture, ".png", text), (plot_of_timesteps, ".png", photograph)],
    "result of a job": [(download, ".zip", archive), (download, ".zip", text)],
    "map": [(download, ".tif", photograph), *((class_map, suffix, mine) for suffix, mine in ((".png", photograph), (".png", plot), (".npy", structured), (".npy", cube)))],
}  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "write", "suffix", "mine"),
    [
        pytest.param(kind, *case, id=f"{case[0].__name__}{case[1]}-{case[2].__name__}")
        for kind, cases in WRITERS.items()
        for case in cases
    ],
)
def test_a_result_replaces_only_an_earlier_result_of_its_kind(kind, write, suffix, mine, features, labels, tmp_path):
    subject = features if write is table else labels
    existing = tmp_path / f"a{suffix}"
    mine(existing)
    before = existing.read_bytes()
    out = tmp_path / "a.npy" if suffix.count(".") > 1 else existing
    with pytest.raises(HsifeatError, match=rf"a{suffix} exists, and is no {kind} that hsifeat wrote"):
        write(subject, out)
    assert existing.read_bytes() == before
    existing.unlink()
    write(subject, out)
    write(subject, out)
    assert existing.read_bytes() != before


def test_a_geopackage_that_another_program_has_open_is_only_read(labels, tmp_path):
    path = tmp_path / "a.gpkg"
    export_labels(labels, path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE notes (text)")
        before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        with pytest.raises(HsifeatError, match="no label file"):
            export_labels(labels, path)
        assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    other.close()


def test_an_empty_file_is_replaced_and_labels_are_no_map(labels, tmp_path):
    (tmp_path / "a.tif").touch()
    check_replaces_map(tmp_path / "a.tif")
    export_labels(labels, tmp_path / "a.tif")
    with pytest.raises(HsifeatError, match="no map that hsifeat wrote"):
        check_replaces_map(tmp_path / "a.tif")


def test_pixels_of_a_table_are_no_label_file(features, labels, tmp_path):
    table(features, tmp_path / "a.npy")
    with pytest.raises(HsifeatError, match=r"a\.pixels\.csv exists, and is no label file"):
        export_labels(labels, tmp_path / "a.pixels.csv")
    export_labels(labels, tmp_path / "a.csv")
    (tmp_path / "a.csv").write_bytes((tmp_path / "a.csv").read_bytes().replace(b"\r\n", b"\n"))
    export_labels(labels, tmp_path / "a.csv")
