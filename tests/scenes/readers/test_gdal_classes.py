"""Class names and colours of rasters, from category names, palettes and attribute tables that GDAL or Pillow wrote."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from PIL import Image

from hsifeat.scenes import open_labels
from hsifeat.scenes.readers import read_raster
from tests.helpers.label_files import write_label_tif


def test_envi_classes(gdal, tmp_path):
    classes = (np.arange(12).reshape(3, 4) % 3).astype(np.uint8)
    write_label_tif(tmp_path / "x.tif", classes)
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><CategoryNames><Category>Unclassified</Category><Category>corn</Category>"
        "<Category>wheat</Category></CategoryNames></PAMRasterBand></PAMDataset>"
    )
    with rasterio.open(tmp_path / "x.tif", "r+") as file:
        file.write_colormap(1, {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 128, 255)})
    gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "x.tif", tmp_path / "y.img")
    assert "class names" in (tmp_path / "y.hdr").read_text()
    for path in (tmp_path / "y.hdr", tmp_path / "x.tif"):
        raster = read_raster(path, 2)
        np.testing.assert_array_equal(np.asarray(raster.array), classes)
        assert raster.class_names == {0: "Unclassified", 1: "corn", 2: "wheat"}
        assert raster.class_colours == {1: "#ff0000", 2: "#0080ff"}
        labels = open_labels(path)
        assert labels.class_names == {1: "corn", 2: "wheat"} and not labels.notes


def test_envi_class_names_with_commas(gdal, tmp_path):
    write_label_tif(tmp_path / "x.tif", (np.arange(12).reshape(3, 4) % 3).astype(np.uint8))
    names = ["Unclassified", "corn, no till", "wheat"]
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><CategoryNames>"
        + "".join(f"<Category>{name}</Category>" for name in names)
        + "</CategoryNames></PAMRasterBand></PAMDataset>"
    )
    gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "x.tif", tmp_path / "y.img")
    assert open_labels(tmp_path / "x.tif").class_names == {1: "corn, no till", 2: "wheat"}
    labels = open_labels(tmp_path / "y.hdr")
    assert labels.class_names == {1: "class 1", 2: "class 2"}
    assert labels.notes == ("y.hdr: has 4 class names for classes = 3; they are ignored (a name may have a comma)",)


def test_a_comma_after_the_last_envi_class_name(gdal, tmp_path):
    write_label_tif(tmp_path / "x.tif", (np.arange(12).reshape(3, 4) % 3).astype(np.uint8))
    gdal("gdal_translate", "-q", "-of", "ENVI", tmp_path / "x.tif", tmp_path / "y.img")
    with (tmp_path / "y.hdr").open("a") as header:
        header.write("classes = 3\nclass names = {Unclassified, corn, wheat, }\n")
    labels = open_labels(tmp_path / "y.hdr")
    assert labels.class_names == {1: "corn", 2: "wheat"} and not labels.notes


def test_classes_in_an_attribute_table(tmp_path):
    write_label_tif(tmp_path / "x.tif", np.eye(4, dtype=np.uint8) * 7)
    columns = [("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8)]
    fields = "".join(
        f"<FieldDefn index='{i}'><Name>{n}</Name><Type>{t}</Type><Usage>{u}</Usage></FieldDefn>"
        for i, (n, t, u) in enumerate(columns)
    )
    row = "<Row index='0'><F>7</F><F>dry &amp; bare</F><F>16</F><F>32</F><F>255</F></Row>"
    (tmp_path / "x.tif.aux.xml").write_text(
        "<PAMDataset><PAMRasterBand band='1'><GDALRasterAttributeTable tableType='thematic'>"
        f"{fields}{row}</GDALRasterAttributeTable></PAMRasterBand></PAMDataset>"
    )
    raster = read_raster(tmp_path / "x.tif", 2)
    assert raster.class_names == {7: "dry & bare"} and raster.class_colours == {7: "#1020ff"}


def test_a_palette_png(tmp_path):
    image = Image.new("P", (2, 2))
    image.putdata([0, 1, 2, 1])
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.save(tmp_path / "gt.png")
    raster = read_raster(tmp_path / "gt.png", 2)
    assert np.asarray(raster.array).tolist() == [[0, 1], [2, 1]]
    assert raster.class_colours[1] == "#ff0000" and raster.class_colours[2] == "#00ff00"


@pytest.mark.parametrize("driver", ["GTiff", "HFA", "VRT"])
@pytest.mark.parametrize(
    ("columns", "binning", "names"),
    [
        pytest.param((("OID", 0, 0), ("VALUE", 0, 0)), "", {10: "corn", 20: "wheat"}, id="by-its-name"),
        pytest.param((("OID", 0, 0), ("VALUE", 0, 5)), "", {10: "corn", 20: "wheat"}, id="by-its-usage"),
        pytest.param((("OID", 0, 0), ("Code", 0, 0)), "", None, id="none"),
        pytest.param((("Histogram", 1, 1), ("Opacity", 0, 9)), "", {1: "wheat"}, id="rows"),
        pytest.param((("OID", 0, 0), ("Code", 0, 0)), " Row0Min='10' BinSize='10'", {10: "corn", 20: "wheat"}, id="binned"),
    ],
)  # fmt: skip
def test_value_column_of_an_attribute_table_written_by_gdal(gdal, tmp_path, driver, columns, binning, names):
    write_label_tif(tmp_path / "x.tif", np.uint8([[10, 20], [20, 1]]))
    gdal("gdal_translate", "-q", "-of", "VRT", tmp_path / "x.tif", tmp_path / "x.vrt")
    fields = "".join(
        f"<FieldDefn index='{i}'><Name>{n}</Name><Type>{t}</Type><Usage>{u}</Usage></FieldDefn>"
        for i, (n, t, u) in enumerate((*columns, ("Class_Names", 2, 2)))
    )
    rows = "<Row index='0'><F>0</F><F>10</F><F>corn</F></Row><Row index='1'><F>1</F><F>20</F><F>wheat</F></Row>"
    table = f"<GDALRasterAttributeTable tableType='thematic'{binning}>{fields}{rows}</GDALRasterAttributeTable>"
    text = (tmp_path / "x.vrt").read_text().replace("</VRTRasterBand>", f"{table}</VRTRasterBand>")
    (tmp_path / "x.vrt").write_text(text)
    path = tmp_path / {"GTiff": "gt.tif", "HFA": "gt.img", "VRT": "gt.vrt"}[driver]
    gdal("gdal_translate", "-q", "-of", driver, tmp_path / "x.vrt", path)
    if binning and driver == "HFA":  # GDAL does not write there how rows are binned
        names = None
    labels = open_labels(path)
    given = {number: name for number, name in labels.class_names.items() if name != f"class {number}"}
    assert given == (names or {})
    told = (
        f"{path.name}: its attribute table has no column Value; the class names in the table are ignored"
        in labels.notes
    )
    assert told == (names is None)
