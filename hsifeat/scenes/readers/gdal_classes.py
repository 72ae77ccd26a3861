"""Class names and colours of a GDAL raster, from category names, colour table, raster attribute table and metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

from hsifeat.scenes.readers.gdal_metadata import describe_as_vrt
from hsifeat.scenes.readers.spectrum import parse_numbers

# Columns of attribute tables that contain counts or colours, regardless of the usage that GDAL assigns to them.
_NO_CLASS_COLUMNS = {"count", "histogram", "red", "green", "blue", "alpha", "opacity", "r", "g", "b", "a"}
# GDAL's codes for the usage of a column (GDALRATFieldUsage) and for text (GDALRATFieldType).
_GENERIC, _NAME, _MIN, _MIN_MAX, _RED, _GREEN, _BLUE = 0, 2, 3, 5, 6, 7, 8
_STRING_TYPE = "2"
# Metadata of a band with class names, such as class_3=oak, which hsifeat writes to maps.
CLASS_TAG = "class_"
_CLASS_TAG = re.compile(rf"{CLASS_TAG}\d{{1,9}}", re.ASCII)


def read_class_table(dataset: Any, name: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    """Read the class names and colours of a dataset.

    Names and colours are read from GDAL's description of the dataset, because rasterio does not expose class names.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        An open single-band dataset.
    name : str
        Name of the file, for notes.

    Returns
    -------
    class_names : dict of int to str
        Class names by class number, from 0.
    class_colours : dict of int to str
        Class colours as ``#rrggbb`` by class number, from 1.
    notes : tuple of str
        If an attribute table is ignored, a note with the reason.
    """
    band = describe_as_vrt(dataset).find("VRTRasterBand")
    names, colours = {}, {}
    notes: tuple[str, ...] = ()
    if band is not None:
        names = {int(tag[len(CLASS_TAG) :]): text for tag, text in _tags(band).items() if _CLASS_TAG.fullmatch(tag)}
        names |= {
            number: category.text or "" for number, category in enumerate(band.iterfind("CategoryNames/Category"))
        }
        for number, entry in enumerate(band.iterfind("ColorTable/Entry")):
            colours[number] = _hex_colour([entry.get(part, "0") for part in ("c1", "c2", "c3")])
        if (table := band.find("GDALRasterAttributeTable")) is not None:
            table_names, table_colours, notes = _read_attribute_table(table, name)
            names, colours = {**table_names, **names}, {**table_colours, **colours}
    class_names = {number: text.strip() for number, text in names.items() if number >= 0 and text.strip()}
    # A colour table has 256 entries, regardless of the number of classes.
    class_colours = {
        n: text for n, text in colours.items() if n > 0 and (n in class_names or not set(class_names) - {0}) and text
    }
    return class_names, class_colours, notes


def _tags(band: ET.Element) -> dict[str, str]:
    """Return the metadata of a band in GDAL's default domain."""
    return {
        item.get("key", ""): item.text or ""
        for metadata in band.iterfind("Metadata")
        if metadata.get("domain") is None
        for item in metadata.iterfind("MDI")
    }


def _read_attribute_table(table: ET.Element, file: str) -> tuple[dict[int, str], dict[int, str], tuple[str, ...]]:
    usages = [int(field.text or 0) for field in table.iterfind("FieldDefn/Usage")]
    titles = [(field.text or "").strip().lower() for field in table.iterfind("FieldDefn/Name")]
    types = [field.text for field in table.iterfind("FieldDefn/Type")]
    value_column, name_column = (
        next((usages.index(usage) for usage in candidates if usage in usages), None)
        for candidates in ((_MIN_MAX, _MIN), (_NAME,))
    )
    if value_column is None and "value" in titles:
        value_column = titles.index("value")
    # In a table without a value column, each row is a bin of values, unless another number column may have the values.
    first, width = parse_numbers([table.get("Row0Min") or 0, table.get("BinSize") or 1]).tolist()
    number_columns = [
        title
        for title, kind, usage in zip(titles, types, usages, strict=True)
        if kind != _STRING_TYPE and usage == _GENERIC and title not in _NO_CLASS_COLUMNS
    ]
    if value_column is None and table.get("BinSize") is None and number_columns:
        return {}, {}, (f"{file}: its attribute table has no column Value; the class names in the table are ignored",)
    names, colours = {}, {}
    for row in table.iterfind("Row"):
        cells = [cell.text or "" for cell in row.iterfind("F")]
        cell = cells[value_column] if value_column is not None else row.get("index", "")
        number = float(parse_numbers([cell])[0])
        number = number if value_column is not None else first + width * number
        if not number.is_integer():
            continue
        if name_column is not None:
            names[int(number)] = cells[name_column]
        if {_RED, _GREEN, _BLUE} <= set(usages):
            colours[int(number)] = _hex_colour([cells[usages.index(usage)] for usage in (_RED, _GREEN, _BLUE)])
    return names, colours, ()


def _hex_colour(parts: Sequence[str]) -> str:
    """Return ``#rrggbb`` for red, green and blue from 0 to 255, or an empty string for other values."""
    values = parse_numbers(parts)
    valid = len(values) == 3 and bool(((values >= 0) & (values <= 255)).all())
    return "#" + "".join(f"{int(value):02x}" for value in values) if valid else ""
