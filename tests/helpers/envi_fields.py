"""ENVI files written by GDAL, with additional header fields."""

from hsifeat import open_scene

NM = [450.5, 550.0, 640.25, 2300.0, 900.0]


def open_with_fields(gdal, folder, *options, **fields):
    """Write an ENVI file with GDAL, add fields to the header, and open the file as a scene."""
    gdal("gdal_translate", "-q", "-of", "ENVI", *options, folder / "x.tif", folder / "x.img")
    header = folder / "x.hdr"
    extra = "".join(f"{name.replace('_', ' ')} = {value}\n" for name, value in fields.items())
    header.write_text(header.read_text() + extra)
    return open_scene(header)


def envi_list(values):
    return "{" + ", ".join(map(str, values)) + "}"
