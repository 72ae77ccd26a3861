"""GDAL opens no code, no network and no file outside the folder of a scene; a local server counts requests."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import h5py
import numpy as np
import pyogrio
import pytest
import rasterio

from hsifeat import Scene
from hsifeat.errors import SceneError
from hsifeat.scenes import open_scene
from hsifeat.scenes.georeference import Georeference
from hsifeat.scenes.labels.vectors import read_vectors

VALUES = np.arange(60, dtype=np.uint8).reshape(1, 10, 6)


@pytest.fixture(scope="module")
def module_server():
    """A web server that answers nothing, and the list of its requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815  # the name is the library's

        def log_message(self, *arguments):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", requests
    http.shutdown()  # waits for half a second
    http.server_close()


@pytest.fixture
def server(module_server):
    module_server[1].clear()
    return module_server


def write_tif(path):
    path.parent.mkdir(exist_ok=True)
    profile = {"driver": "GTiff", "width": 6, "height": 10, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", transform=rasterio.Affine(1, 0, 0, 0, -1, 10), crs="EPSG:32632", **profile) as file:
        file.write(VALUES)


def vrt(source, relative=1, extra=""):
    return f"""<VRTDataset rasterXSize="6" rasterYSize="10"><GeoTransform>0, 1, 0, 10, 0, -1</GeoTransform>
<VRTRasterBand dataType="Byte" band="1">{extra}<SimpleSource>
<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


RAW = """<VRTDataset rasterXSize="6" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativeToVRT="{relative}">{source}</SourceFilename><ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset>
<LineOffset>6</LineOffset></VRTRasterBand></VRTDataset>"""
PYTHON = """<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>
<PixelFunctionCode>import os; os.mkdir("made")</PixelFunctionCode>"""

# GDAL opens the two data sets of coordinates, which are metadata items, together with the VRT.
GEOLOCATION = """<VRTDataset rasterXSize="6" rasterYSize="10" subClass="VRTWarpedDataset"><VRTRasterBand dataType="Byte" band="1"
subClass="VRTWarpedRasterBand"/><GDALWarpOptions><WarpOperationOptions/><SourceDataset relativeToVRT="1">x.tif</SourceDataset>
<Transformer><GenImgProjTransformer><SrcGeoLocTransformer><GeoLocTransformer><Metadata>
<MDI key="X_DATASET">/vsicurl/{url}/lon.tif</MDI><MDI key="Y_DATASET">/vsicurl/{url}/lat.tif</MDI><MDI key="X_BAND">1</MDI>
<MDI key="Y_BAND">1</MDI><MDI key="LINE_OFFSET">0</MDI><MDI key="LINE_STEP">1</MDI><MDI key="PIXEL_OFFSET">0</MDI>
<MDI key="PIXEL_STEP">1</MDI></Metadata></GeoLocTransformer></SrcGeoLocTransformer><DstGeoTransform>0,1,0,10,0,-1</DstGeoTransform>
<DstInvGeoTransform>0,1,0,10,0,-1</DstInvGeoTransform></GenImgProjTransformer></Transformer>
<BandList><BandMapping src="1" dst="1"/></BandList></GDALWarpOptions></VRTDataset>"""

# Rational polynomials need a digital elevation model, which is an element of its own.
_OFFSETS = {"LINE_OFF": 5, "SAMP_OFF": 3, "LAT_OFF": 50, "LONG_OFF": 9, "HEIGHT_OFF": 0}
_SCALES = {"LINE_SCALE": 5, "SAMP_SCALE": 3, "LAT_SCALE": 1, "LONG_SCALE": 1, "HEIGHT_SCALE": 1}
_COEFFICIENTS = {
    f"{axis}_{part}_COEFF": " ".join("1" if at == one else "0" for at in range(20))
    for axis, part, one in (("LINE", "NUM", 2), ("LINE", "DEN", 0), ("SAMP", "NUM", 1), ("SAMP", "DEN", 0))
}
_ITEMS = "".join(f'<MDI key="{key}">{value}</MDI>' for key, value in {**_OFFSETS, **_SCALES, **_COEFFICIENTS}.items())
ELEVATION = re.sub(
    "<SrcGeoLocTransformer>.*</SrcGeoLocTransformer>",
    "<SrcRPCTransformer><RPCTransformer><Reversed>0</Reversed><HeightOffset>0</HeightOffset><HeightScale>1</HeightScale>"
    f"<DEMPath>{{outside}}</DEMPath><Metadata>{_ITEMS}</Metadata></RPCTransformer></SrcRPCTransformer>",
    GEOLOCATION,
    flags=re.DOTALL,
)

ELEVATION_OF_ELSEWHERE = ELEVATION.replace("{outside}", "outside/x.tif")
# GDAL adds what another raster holds.
STEPS = """<VRTDataset subClass="VRTProcessedDataset"><Input><SourceFilename relativeToVRT="1">x.tif</SourceFilename></Input>
<ProcessingSteps><Step name="a"><Algorithm>LocalScaleOffset</Algorithm><Argument name="gain_dataset_filename_1">outside/x.tif</Argument>
<Argument name="gain_dataset_band_1">1</Argument><Argument name="offset_dataset_filename_1">outside/x.tif</Argument>
<Argument name="offset_dataset_band_1">1</Argument></Step></ProcessingSteps></VRTDataset>"""


def test_a_vrt_of_its_folder_is_read(tmp_path):
    write_tif(tmp_path / "scene" / "x.tif")
    metadata = '<Metadata><MDI key="/a/NC_GLOBAL#url">http://a/b</MDI></Metadata><Metadata domain="xml:X" format="xml"><a b="http://a"/></Metadata>'
    (tmp_path / "scene" / "s.vrt").write_text(vrt("x.tif").replace("<GeoTransform>", f"{metadata}<GeoTransform>"))
    with rasterio.open(tmp_path / "scene" / "s.vrt") as file:
        np.testing.assert_array_equal(open_scene(tmp_path / "scene" / "s.vrt").cube[:][..., 0], file.read(1))


@pytest.mark.parametrize("name", ["s.vrt", "s.tif", "s.png", "s.jp2", "s.xyz", "s"])
@pytest.mark.parametrize(
    "content",
    [
        pytest.param(vrt("{outside}", 0), id="absolute"),
        pytest.param(vrt("../outside/x.tif"), id="parent"),
        pytest.param(vrt("/vsicurl/{url}/x.tif", 0), id="vsicurl"),
        pytest.param(vrt("{url}/x.tif"), id="url"),
        pytest.param(vrt("gone.tif"), id="missing"),
        pytest.param(vrt("hidden.tif"), id="nested"),
        pytest.param(vrt("x.tif", extra=PYTHON), id="python"),
        pytest.param(RAW.replace("{source}", "/etc/passwd").replace("{relative}", "0"), id="raw"),
        pytest.param(
            "<GDAL_WMS><Service name='TMS'><ServerUrl>{url}/${{z}}/${{x}}/${{y}}</ServerUrl></Service><DataWindow><SizeX>6</SizeX>"
            "<SizeY>10</SizeY></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>", id="wms",
        ),
        pytest.param(vrt("storage.tif"), id="hdf5"),
        pytest.param(GEOLOCATION, id="geolocation"),
        pytest.param(ELEVATION, id="elevation"),
        pytest.param(ELEVATION_OF_ELSEWHERE, id="elevation-in-the-working-folder"),
        pytest.param(ELEVATION_OF_ELSEWHERE.replace("DEMPath>", "demPATH>"), id="elevation-in-another-case"),
        pytest.param(
            ELEVATION_OF_ELSEWHERE.replace("<RPCTransformer>", "<RPCTransformer DEMPath='outside/x.tif'>").replace(
                "<DEMPath>outside/x.tif</DEMPath>", ""
            ),
            id="elevation-in-an-attribute",
        ),
        pytest.param(STEPS, id="processing-steps"),
        pytest.param(
            vrt("x.tif").replace("<SimpleSource>", "<SimpleSource SourceFilename='HDF5:\"outside/x.h5\"://cube'>"), id="attribute"
        ),
        pytest.param("<WCS_GDAL><ServiceURL>{url}/?</ServiceURL><CoverageName>x</CoverageName></WCS_GDAL>", id="wcs"),
    ],
)  # fmt: skip
def test_other_sources_are_refused(tmp_path, server, name, content, monkeypatch):
    url, requests = server
    write_tif(tmp_path / "scene" / "x.tif")
    write_tif(tmp_path / "outside" / "x.tif")
    with h5py.File(tmp_path / "scene" / "storage.tif", "w") as file:
        file.create_dataset("cube", (10, 6), "u1", external=[("/etc/passwd", 0, 60)])
    (tmp_path / "scene" / "hidden.tif").write_text(vrt(tmp_path / "outside" / "x.tif", 0))
    for old, new in (("{url}", url), ("{outside}", str(tmp_path / "outside" / "x.tif")), ("{{", "{"), ("}}", "}")):
        content = content.replace(old, new)
    (tmp_path / "scene" / name).write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SceneError):
        open_scene(tmp_path / "scene" / name)
    assert requests == [] and not (tmp_path / "made").exists()


def test_a_part_of_a_raster_outside_of_its_folder_is_refused(tmp_path):
    write_tif(tmp_path / "scene" / "s.tif")
    sidecar, outside = tmp_path / "scene" / "s.tif.aux.xml", tmp_path / "elsewhere.xml"
    sidecar.write_text(
        '<PAMDataset><PAMRasterBand band="1"><Description>red</Description></PAMRasterBand></PAMDataset>'
    )
    assert open_scene(tmp_path / "scene" / "s.tif").cube.shape == (10, 6, 1)
    sidecar.rename(outside)
    sidecar.symlink_to(outside)
    with pytest.raises(SceneError, match=r"refers to .* \(a part of the raster\), and only files in its own folder"):
        open_scene(tmp_path / "scene" / "s.tif")


@pytest.mark.parametrize("place", ["tags", "sidecar"])
def test_overviews_of_a_raster_are_not_fetched(tmp_path, server, place):
    url, requests = server
    write_tif(tmp_path / "x.tif")
    overview = f"/vsicurl/{url}/{place}.tif"  # GDAL remembers missing files
    if place == "tags":
        with rasterio.open(tmp_path / "x.tif", "r+") as file:
            file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=overview)
    else:
        item = f'<MDI key="OVERVIEW_FILE">{overview}</MDI>'
        sidecar = f'<PAMDataset><Metadata domain="OVERVIEWS">{item}</Metadata></PAMDataset>'
        (tmp_path / "x.tif.aux.xml").write_text(sidecar)
    np.testing.assert_array_equal(np.asarray(open_scene(tmp_path / "x.tif").cube[:])[..., 0], VALUES[0])
    assert requests == []
    with rasterio.open(tmp_path / "x.tif") as file:
        assert file.files
    assert requests, "GDAL alone asks for the overview"


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "json", "kml", "gml", "shp", "fgb"])
@pytest.mark.parametrize(
    "content",
    [
        "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{url}/x.geojson</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
        "<OGRWFSDataSource><URL>{url}</URL></OGRWFSDataSource>",
        '{{"type": "gdal_streamed_alg", "command_line": "gdal vector read {url}/x.geojson"}}',
        "<!-- <kml gml --><OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{url}/x</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
    ],
    ids=["vrt", "wfs", "algorithm", "hidden"],
)  # fmt: skip
def test_a_vector_file_is_no_service(tmp_path, server, suffix, content):
    url, requests = server
    (tmp_path / f"x.{suffix}").write_text(content.format(url=url))
    scene = Scene("s", np.ones((9, 9, 3), np.float32), georeference=Georeference("EPSG:32632", (1, 0, 0, 0, -1, 9)))
    with pytest.raises(SceneError):
        read_vectors(tmp_path / f"x.{suffix}", "", scene)
    assert requests == []


# What a web feature service sends, and GDAL completes by asking the service for the schema.
GML = """<?xml version="1.0"?><wfs:FeatureCollection xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:ogr="http://ogr.maptools.org/"
xmlns:wfs="http://www.opengis.net/wfs" xmlns:gml="http://www.opengis.net/gml" xsi:schemaLocation="http://ogr.maptools.org/ {schema}">
<gml:featureMember><ogr:f fid="f.0"><ogr:geometryProperty><gml:Polygon srsName="EPSG:32632"><gml:outerBoundaryIs><gml:LinearRing>
<gml:coordinates>0,0 9,0 9,9 0,9 0,0</gml:coordinates></gml:LinearRing></gml:outerBoundaryIs></gml:Polygon></ogr:geometryProperty>
<ogr:crop>wheat</ogr:crop></ogr:f></gml:featureMember></wfs:FeatureCollection>"""


def test_the_schema_of_a_gml_file_is_not_downloaded(tmp_path, server):
    url, requests = server
    query = "/x?SERVICE=WFS&VERSION=1.1.0&REQUEST=DescribeFeatureType&TYPENAME=ogr:f"
    (tmp_path / "x.gml").write_text(GML.format(schema=url + query.replace("&", "&amp;")))
    scene = Scene("s", np.ones((9, 9, 3), np.float32), georeference=Georeference("EPSG:32632", (1, 0, 0, 0, -1, 9)))
    labels = read_vectors(tmp_path / "x.gml", "", scene)
    assert labels.class_names == {1: "wheat"} and (labels.classes == 1).all()
    assert requests == []
    # The options of the process are as before, so that other code downloads schemas as usual.
    pyogrio.read_dataframe(tmp_path / "x.gml")
    assert requests == [query]


@pytest.mark.parametrize("kind", ["link", "URL", "name"])
@pytest.mark.parametrize("member", ['"crs"', '"CRS"', '"\\u0063rs"'])
def test_the_crs_of_a_geojson_file_is_not_downloaded(tmp_path, server, kind, member):
    url, requests = server
    square = {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9], [0, 0]]]}
    features = [{"type": "Feature", "properties": {"crop": "rye"}, "geometry": square}]
    facts = {"href": f"{url}/srs", "type": "ogcwkt", "name": "EPSG:32632"}
    document = {"type": "FeatureCollection", "crs": {"type": kind, "properties": facts}, "features": features}
    (tmp_path / "x.geojson").write_text(json.dumps(document).replace('"crs"', member))
    scene = Scene("s", np.ones((9, 9, 3), np.float32), georeference=Georeference("EPSG:32632", (1, 0, 0, 0, -1, 9)))
    if kind == "name":
        assert (read_vectors(tmp_path / "x.geojson", "", scene).classes == 1).all()
    else:
        with pytest.raises(SceneError, match=r"\((link|url)\), which is not opened"):
            read_vectors(tmp_path / "x.geojson", "", scene)
    assert requests == []
    pyogrio.read_dataframe(tmp_path / "x.geojson")
    assert bool(requests) == (kind != "name")


@pytest.mark.parametrize("schema", ["../x.xsd", "/etc/passwd", "linked.xsd"])
def test_the_schema_of_a_gml_file_lies_in_its_folder(tmp_path, schema):
    (tmp_path / "in").mkdir()
    (tmp_path / "x.xsd").write_text("<schema/>")
    (tmp_path / "in" / "linked.xsd").symlink_to(tmp_path / "x.xsd")
    (tmp_path / "in" / "x.gml").write_text(GML.format(schema=schema))
    scene = Scene("s", np.ones((9, 9, 3), np.float32), georeference=Georeference("EPSG:32632", (1, 0, 0, 0, -1, 9)))
    with pytest.raises(SceneError, match=r"\(its schema\), and only files in its own folder are read"):
        read_vectors(tmp_path / "in" / "x.gml", "", scene)


@pytest.mark.parametrize(
    "name", ["s.json", "s.zarr", "s.tif", "s.nc", "s.h5", "s.vrt", "s", "s.parq", "folder.zarr/.zmetadata"]
)
def test_references_of_kerchunk_are_not_followed(tmp_path, server, name):
    """What fsspec opens as a Zarr store: chunks are ranges of other files."""
    url, requests = server
    array = {
        "zarr_format": 2,
        "shape": [4, 4, 3],
        "chunks": [4, 4, 3],
        "dtype": "|u1",
        "compressor": None,
        "fill_value": 0,
    }
    array |= {"order": "C", "filters": None}
    chunks = {"a/0.0.0": [f"{url}/x.bin", 0, 48], "b/0.0.0": ["/etc/passwd", 0, 48]}
    metadata = {".zgroup": '{"zarr_format": 2}', **{f"{n}/.zarray": json.dumps(array) for n in "ab"}}
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({"version": 1, "refs": metadata | chunks}))
    with pytest.raises(SceneError):
        open_scene(file if file.parent == tmp_path else file.parent, variable="b")
    assert requests == []
