"""Files of labels: GDAL reads what was exported, and an import gives the same labels back."""

import csv
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from classifiers.labelling.edit_log import LabelEdit
from classifiers.labelling.label_files import export_labels, import_labels
from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.errors import SceneError, StoreError
from hsifeat.scenes.colours import default_colours
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.label_map import Labels
from hsifeat.scenes.labels.open_labels import open_labels

SHAPE = (30, 40)


@pytest.fixture(scope="module")
def georeference():
    from pyproj import CRS

    return Georeference(CRS.from_epsg(32617).to_wkt(), (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_000_000.0))


@pytest.fixture
def database(tmp_path):
    with LabelDatabase(tmp_path / "database.sqlite") as database:
        yield database


@pytest.fixture
def labelled(database):
    """A set with single pixels and fields of three classes; the names are not in the order of the numbers."""
    found = database.open_set("scene", SHAPE, person="ada")
    for name in ("oak", "birch", "=meadow, dry"):
        database.add_class(found.id, "ada", name)
    rng = np.random.default_rng(0)
    for number in (1, 2, 3):
        database.paint(found.id, "ada", LabelEdit.of_class("pixel", rng.integers(0, 1200, 12), number))
        row, col = rng.integers(0, 25, 2)
        field = (row + np.arange(5))[:, None] * 40 + col + np.arange(7)
        database.paint(found.id, "ada", LabelEdit.of_class("polygon", field.ravel(), number))
    return found


def rasterised_by_gdal(gdal, path, out, grid):
    """Class numbers of polygons, burnt by gdal_rasterize onto the grid of the scene."""
    extent = ["-te", "500000", "3999700", "500400", "4000000", "-tr", "10", "10"]
    source = path
    if path.suffix == ".geojson":
        source = out.with_suffix(".gpkg")
        gdal("ogr2ogr", "-t_srs", "EPSG:32617", source, path)
    gdal("gdal_rasterize", "-q", "-a", "number", "-ot", "Byte", "-init", "0", *extent, source, out)
    gdal("gdal_translate", "-q", "-of", "ENVI", out, grid)
    return np.fromfile(grid, np.uint8).reshape(SHAPE)


@pytest.mark.parametrize("suffix", [".tif", ".gpkg", ".geojson", ".csv"])
def test_other_programs_read_exported_labels_and_an_import_gives_them_back(
    suffix, database, labelled, georeference, gdal, tmp_path
):
    labels = database.labels(labelled.id, georeference)
    path = tmp_path / f"labels{suffix}"
    assert export_labels(labels, path) == ()
    if suffix == ".tif":
        gdal("gdal_translate", "-q", "-of", "ENVI", path, tmp_path / "plain")
        np.testing.assert_array_equal(np.fromfile(tmp_path / "plain", np.uint8).reshape(SHAPE), labels.classes)
        info = json.loads(gdal("gdalinfo", "-json", path))
        assert info["geoTransform"] == [500_000.0, 10.0, 0.0, 4_000_000.0, 0.0, -10.0]
        names = {row["f"][0]: row["f"][2] for row in info["rat"]["row"]}
        assert names == labels.class_names
    elif suffix == ".csv":
        with path.open(newline="") as file:
            rows = {(int(row["row"]), int(row["col"])): row["class"] for row in csv.DictReader(file)}
        # A spreadsheet must not run a name as a formula.
        names = {**labels.class_names, 3: "'=meadow, dry"}
        assert rows == {at: names[int(number)] for at, number in np.ndenumerate(labels.classes) if number}
    else:
        found = rasterised_by_gdal(gdal, path, tmp_path / "burnt.tif", tmp_path / "plain")
        np.testing.assert_array_equal(found, labels.classes)
    again = database.open_set("scene", SHAPE, name="again", person="ada")
    version, _ = import_labels(database, again.id, "ada", path, labels)
    found = database.labels(again.id)
    assert version == database.version(again.id)
    assert as_names(found) == as_names(labels)
    if suffix == ".tif":
        assert found.class_colours == labels.class_colours
    import_labels(database, labelled.id, "ada", path, labels)
    np.testing.assert_array_equal(database.class_map(labelled.id)[1], labels.classes)
    assert len(database.classes(labelled.id)) == 3
    classes = database.classes(again.id)
    assert database.undo(again.id, "ada")
    assert not database.class_map(again.id)[1].any() and database.classes(again.id) == []
    assert database.redo(again.id, "ada") and database.classes(again.id) == classes
    assert {path.suffix for path in tmp_path.glob("labels.*")} <= {suffix, ".xml"}


def test_classes_of_a_file_without_colours_get_colours_that_no_class_has(tmp_path):
    """They got the default colours of their numbers in the file, so that two classes looked alike in maps."""
    grid = Labels("grid", np.zeros((4, 4), np.uint8))
    (tmp_path / "fields.csv").write_text("row,col,class\n0,0,elm\n1,1,oak\n2,2,pine\n")
    with LabelDatabase(tmp_path / "l.sqlite") as database:
        labels = database.open_set("scene", (4, 4), person="ada")
        for name in ("ash", "elm", "water"):
            database.add_class(labels.id, "ada", name)
        import_labels(database, labels.id, "ada", tmp_path / "fields.csv", grid)
        taken = default_colours([7])[7]
        database.change_class(labels.id, "ada", replace(database.classes(labels.id)[0], colour=taken))
        database.add_class(labels.id, "ada", "yew", number=7)
        colours = {entry.name: entry.colour for entry in database.classes(labels.id)}
    assert list(colours) == ["ash", "elm", "water", "oak", "pine", "yew"] and len(set(colours.values())) == 6


def test_a_text_names_a_file_of_labels(tmp_path):
    labels = Labels("trees", np.array([[0, 1], [2, 2]]), {1: "oak", 2: "ash"})
    export_labels(labels, str(tmp_path / "trees.csv"))
    assert (tmp_path / "trees.csv").read_text().split() == ["row,col,class", "0,1,oak", "1,0,ash", "1,1,ash"]


@pytest.mark.parametrize("suffix", [".tif", ".csv", ".gpkg", ".geojson"])
def test_class_names_that_are_numbers_are_not_written_as_texts(suffix, georeference, tmp_path):
    """They were read back as class numbers: crop code 211 became class 211, and names in another order exchanged classes."""
    classes = np.indices(SHAPE).sum(axis=0) % 4
    for names in ({1: "211", 2: "311", 3: "oak"}, {1: "2", 2: "3", 3: "1"}, {1: "NaN", 2: "a", 3: "b"}):
        labels = Labels("codes", classes, names, georeference=georeference)
        path = tmp_path / f"labels{suffix}"
        if suffix == ".tif":
            export_labels(labels, path)
            found = open_labels(path, labels)
            assert as_names(found) == as_names(labels)
        else:
            with pytest.raises(
                SceneError, match="are numbers, which would be read .* as class numbers: write a .tif file"
            ):
                export_labels(labels, path)
    same = Labels("codes", classes, {1: "1", 2: "2", 3: "3"}, georeference=georeference)
    export_labels(same, tmp_path / f"same{suffix}")
    np.testing.assert_array_equal(open_labels(tmp_path / f"same{suffix}", same).classes, classes)


@pytest.mark.parametrize("suffix", [".tif", ".csv", ".geojson"])
def test_labels_are_not_written_into_a_store(suffix, tmp_path):
    (tmp_path / "zarr.copy.json").touch()
    with pytest.raises(StoreError, match="lies in .* which is a store"):
        export_labels(Labels("trees", np.ones((2, 3), int)), tmp_path / f"labels{suffix}")
    assert [path.name for path in tmp_path.iterdir()] == ["zarr.copy.json"]


@settings(max_examples=10, deadline=None)
@given(names=st.lists(st.text(min_size=1, max_size=8), min_size=2, max_size=4, unique_by=str.strip))
@example(names=["=x", "'=x", "''=x"])
@example(names=["meadow", "null", "none", "1E2", "2A"])
@example(names=["class 2", "class 1", "a,b", 'c"d', "e\u0301", "\u00e9"])
@example(names=["<b>&amp;</b>", " x", "x\u00a0", "a=b"])
def test_every_name_that_a_set_accepts_comes_back_from_every_file(names, georeference):
    with TemporaryDirectory() as folder, LabelDatabase(Path(folder) / "database.sqlite") as database:
        kept = database.open_set("scene", SHAPE, person="ada")
        for name in names:
            with suppress(SceneError):
                number = database.add_class(kept.id, "ada", name).number
                database.paint(kept.id, "ada", LabelEdit.of_class("pixel", np.array([number, 50 + number]), number))
        labels = database.labels(kept.id, georeference)
        assume(labels.counts)
        for suffix in (".tif", ".csv", ".geojson", ".gpkg"):
            path = Path(folder) / f"labels{suffix}"
            export_labels(labels, path)
            Path(f"{path}.aux.xml").unlink(missing_ok=True)  # a browser downloads the GeoTIFF alone
            again = database.open_set("scene", SHAPE, name=suffix, person="ada")
            import_labels(database, again.id, "ada", path, labels)
            assert as_names(database.labels(again.id)) == as_names(labels), suffix
            assert suffix != ".csv" or as_names(open_labels(path, labels)) == as_names(labels), (
                "as other commands read it"
            )


def test_accents_in_two_spellings_are_one_name(database, labelled):
    assert database.add_class(labelled.id, "ada", "for\u0065\u0302t").name == "for\u00eat"
    with pytest.raises(SceneError, match="is named 'for\u00eat' already"):
        database.add_class(labelled.id, "ada", "for\u00eat")


def as_names(labels):
    return {at: labels.class_names[int(number)] for at, number in np.ndenumerate(labels.classes) if number}


def test_a_file_without_names_is_matched_by_number(database, labelled, tmp_path):
    np.save(tmp_path / "plain.npy", np.pad(np.array([[2, 5]], np.uint8), ((0, 29), (0, 38))))
    labels = database.labels(labelled.id)
    import_labels(database, labelled.id, "ada", tmp_path / "plain.npy", labels)
    assert database.class_map(labelled.id)[1][0, :2].tolist() == [2, 5]
    assert [entry.name for entry in database.classes(labelled.id)] == ["oak", "birch", "=meadow, dry", "class 5"]
    np.save(tmp_path / "plain.npy", np.pad(np.array([[2, 2**31 - 1]], np.int32), ((0, 29), (0, 38))))
    with pytest.raises(SceneError, match="2147483647"):
        import_labels(database, labelled.id, "ada", tmp_path / "plain.npy", labels)


def test_an_undone_import_takes_its_unused_classes_along(database, labelled, tmp_path):
    (tmp_path / "more.csv").write_text("row,col,class\n0,0,oak\n0,1,fern\n0,2,moss\n0,3,heath\n0,4,sedge\n")
    import_labels(database, labelled.id, "ada", tmp_path / "more.csv", database.labels(labelled.id))
    number = {entry.name: entry.number for entry in database.classes(labelled.id)}
    # One class is in use by another person, one by a check answer, and one was renamed; all of them stay.
    shared = database.open_set("scene", SHAPE, name="shared")
    import_labels(database, shared.id, "ada", tmp_path / "more.csv", database.labels(labelled.id))
    added = {entry.name: entry for entry in database.classes(shared.id)}
    database.paint(shared.id, "bo", LabelEdit.of_class("pixel", np.array([7]), added["fern"].number))
    database.paint(shared.id, "ada", LabelEdit.of_class("check", np.array([8]), added["moss"].number))
    database.change_class(shared.id, "bo", replace(added["heath"], name="heather"))
    assert database.undo(shared.id, "ada")
    assert {entry.name for entry in database.classes(shared.id)} == {"fern", "moss", "heather"}
    # A class that is added again has its number again, and another one gets a new number, so that the import can be done again.
    assert database.undo(labelled.id, "ada")
    assert "sedge" not in {entry.name for entry in database.classes(labelled.id)}
    assert database.add_class(labelled.id, "ada", "sedge").number == number["sedge"]
    assert database.add_class(labelled.id, "ada", "reed").number == max(number.values()) + 1
    assert database.redo(labelled.id, "ada")
    names = database.labels(labelled.id).class_names
    assert [names[int(found)] for found in database.class_map(labelled.id)[1][0, :5]] == [
        "oak",
        "fern",
        "moss",
        "heath",
        "sedge",
    ]


def test_an_edit_after_a_refused_import_appears_on_the_map(database, labelled, tmp_path):
    """The edit has a number in the log that the refused import had before it was rolled back."""
    labels = database.labels(labelled.id)
    for names in (["fern"], ["moss", "heath", "z\x07b"]):
        lines = [f"0,{col},{name}" for col, name in enumerate(names)]
        (tmp_path / "more.csv").write_text("\n".join(["row,col,class", *lines]))
        with suppress(SceneError):
            import_labels(database, labelled.id, "ada", tmp_path / "more.csv", labels)
            database.undo(labelled.id, "ada")
    database.paint(labelled.id, "ada", LabelEdit.of_class("pixel", np.array([7]), 3))
    with LabelDatabase(database.path) as other:
        expected = other.class_map(labelled.id)
    assert expected[1][0, 7] == 3
    version, classes = database.class_map(labelled.id)
    assert version == expected[0]
    np.testing.assert_array_equal(classes, expected[1])


def test_an_import_of_many_classes_makes_few_queries_for_each(tmp_path):
    """An import holds the write lock, so that nobody else can label."""
    lines = [f"{at // 40},{at % 40},tree {at}" for at in range(60)]
    (tmp_path / "trees.csv").write_text("\n".join(["row,col,class", *lines]))
    statements = []
    with LabelDatabase(tmp_path / "database.sqlite") as database:
        labelled = database.open_set("scene", SHAPE, person="ada")
        database._file._connection.set_trace_callback(statements.append)
        for _ in range(2):  # the second import finds the classes of the first one, which was undone
            statements.clear()
            import_labels(database, labelled.id, "ada", tmp_path / "trees.csv", database.labels(labelled.id))
            assert len(statements) < 20 * len(lines)
            database.undo(labelled.id, "ada")


def test_impossible_files_are_refused(database, labelled, georeference, tmp_path):
    labels = database.labels(labelled.id)
    for path, subject, message in (
        ("x.shp", labels, "written as .tif, .gpkg, .geojson, .csv; found 'x.shp'"),
        ("x.gpkg", labels, "the scene has no CRS: write .tif or .csv"),
        ("x.csv", Labels("empty", np.zeros(SHAPE, np.uint8)), "no labelled pixel"),
    ):
        with pytest.raises(SceneError, match=message):
            export_labels(subject, tmp_path / path)
        assert not (tmp_path / path).exists()
    lines = [f"{at // 40},{at % 40},tree {at}" for at in range(501)]
    (tmp_path / "ids.csv").write_text("\n".join(["row,col,class", *lines]))
    with pytest.raises(SceneError, match="ids.* has 501 classes; a label set takes at most 500 from a file"):
        import_labels(database, labelled.id, "ada", tmp_path / "ids.csv", labels)
    (tmp_path / "ids.csv").write_text("\n".join(["row,col,class", *lines[:300], "29,39,a\x07b"]))
    with pytest.raises(SceneError, match="printable"):
        import_labels(database, labelled.id, "ada", tmp_path / "ids.csv", labels)
    assert len(database.classes(labelled.id)) == 3, "a refused file adds no class"
    export_labels(database.labels(labelled.id, georeference), tmp_path / "x.csv")
    with pytest.raises(SceneError, match="belongs to ada"):
        import_labels(database, labelled.id, "bo", tmp_path / "x.csv", labels)


def test_labels_in_a_crs_that_a_geopackage_cannot_hold(tmp_path):
    """The other formats are named, and give the labels back."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    crs = CRS("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=39.25 +lon_0=18")  # a rotated pole
    with pytest.raises(CRSError):
        crs.to_wkt("WKT1_GDAL")
    georeference = Georeference(crs.to_wkt(), (0.01, 0.0, 0.02, 0.0, -0.01, 0.03))
    labels = Labels(
        "trees", np.arange(12, dtype=np.uint8).reshape(3, 4) % 3, {1: "elm", 2: "oak"}, georeference=georeference
    )
    with pytest.raises(
        SceneError, match=r"x\.gpkg: a GeoPackage can't hold the CRS .* write \.geojson, \.tif or \.csv"
    ):
        export_labels(labels, tmp_path / "x.gpkg")
    assert not list(tmp_path.iterdir())
    for file, column in (("x.geojson", ":number"), ("x.tif", ""), ("x.csv", "")):
        export_labels(labels, tmp_path / file)
        read = open_labels(f"{tmp_path / file}{column}", labels)
        assert (read.classes > 0).sum() == 8 and (read.classes[0] > 0).tolist() == [False, True, True, False]


def test_labels_without_data_are_left_out_with_a_note(database, tmp_path):
    labels = Labels("trees", np.array([[1, 1, 0], [1, 2, 2]], np.uint8), {1: "elm", 2: "oak"})
    export_labels(labels, tmp_path / "trees.csv")
    valid = np.array([[True, False, False], [True, True, False]])
    labelled = database.open_set("trees", (2, 3), person="ada")
    _, notes = import_labels(database, labelled.id, "ada", tmp_path / "trees.csv", labels, valid=valid)
    np.testing.assert_array_equal(database.class_map(labelled.id)[1], labels.classes * valid)
    assert notes == ("trees.csv: 2 labelled pixels without data left out",)
    with pytest.raises(SceneError, match=r"trees\.csv has no labelled pixel on the scene"):
        import_labels(
            database, labelled.id, "ada", tmp_path / "trees.csv", labels, valid=~valid & (labels.classes == 0)
        )
