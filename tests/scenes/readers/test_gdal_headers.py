"""Headers of rasters that name other files: read inside the folder, refused outside, and never opened by any driver."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import h5py
import numpy as np
import pytest
import rasterio
from rasterio.errors import RasterioIOError

from hsifeat.errors import SceneError
from hsifeat.scenes import open_scene

VALUES = np.arange(60, dtype=np.uint8).reshape(10, 6)
IMAGE = "OBJECT = IMAGE\n LINES = 10\n LINE_SAMPLES = 6\n SAMPLE_TYPE = UNSIGNED_INTEGER\n SAMPLE_BITS = 8\n BANDS = 1\nEND_OBJECT = IMAGE\n"
RASTER = "RasterInfo Begin\n CellType = Unsigned8BitInteger\n NrOfLines = 10\n NrOfCellsPerLine = 6\n NrOfBands = 1\nRasterInfo End\n"
PDS = "PDS_VERSION_ID = PDS3\nRECORD_TYPE = FIXED_LENGTH\nRECORD_BYTES = 6\nFILE_RECORDS = 10\n"
COMPRESSED = """OBJECT = COMPRESSED_FILE\n FILE_NAME = "{0}"\n ENCODING_TYPE = "JP2"\nEND_OBJECT = COMPRESSED_FILE
OBJECT = UNCOMPRESSED_FILE\n FILE_NAME = "X.IMG"\n ^IMAGE = "X.IMG"\nEND_OBJECT = UNCOMPRESSED_FILE\n"""
CORE = """Object = IsisCube\nObject = Core\nStartByte = 1\n^Core = {0}\nFormat = {1}\nGroup = Dimensions\nSamples = 6\nLines = 10\nBands = 1
End_Group\nGroup = Pixels\nType = UnsignedByte\nByteOrder = Lsb\nBase = 0.0\nMultiplier = 1.0\nEnd_Group\nEnd_Object\nEnd_Object\nEnd\n"""
QUBE = """CCSD3ZF0000100000001NJPL3IF0PDS200000001 = SFDU_LABEL\nRECORD_TYPE = FIXED_LENGTH\nRECORD_BYTES = 512\n^QUBE = ("{0}", 1)
OBJECT = QUBE\nAXES = 3\nAXIS_NAME = (SAMPLE,LINE,BAND)\nCORE_ITEMS = (6,10,1)\nCORE_ITEM_BYTES = 1\nCORE_ITEM_TYPE = UNSIGNED_INTEGER
SUFFIX_ITEMS = (0,0,0)\nCORE_BASE = 0.0\nCORE_MULTIPLIER = 1.0\nEND_OBJECT = QUBE\nEND\n"""


def ers(kind):
    return f'DatasetHeader Begin\nDataSetType = {kind}\nDataFile = "{{0}}"\nByteOrder = LSBFirst\n{RASTER}DatasetHeader End\n'


# Headers of rasters whose values are the bytes of another file, and headers of other data sets.
RAW = {
    "s.ers": ers("ERStorage"),
    "s.lbl": PDS + '^IMAGE = ("{0}", 1)\n' + IMAGE + "END\n",
    "s.cub": CORE.replace("{1}", "BandSequential"),
    "s.qub": QUBE,
    "s.pix": "",
}
OTHER = {
    "s.ers": ers("translated"),
    "s.lbl": PDS + COMPRESSED + "END\n",
    "s.cub": CORE.replace("{1}", "GeoTIFF"),
    "s.pix": "",
}  # fmt: skip


def write_header(path, text, source):
    """Write a header that names `source`. GDAL writes that of PCIDSK, in which the name of the source is replaced."""
    if path.suffix != ".pix":
        path.write_text(text.format(source))
        return
    write_pcidsk(path, "FILE")
    path.write_bytes(path.read_bytes().replace(b"s.001".ljust(64), str(source).encode().ljust(64)))


def write_pcidsk(path, interleaving):
    profile = {"driver": "PCIDSK", "width": 6, "height": 10, "count": 1, "dtype": "uint8", "INTERLEAVING": interleaving}
    with rasterio.open(path, "w", transform=rasterio.Affine(1, 0, 0, 0, -1, 10), **profile) as file:
        file.write(VALUES, 1)


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder for a scene, and a folder outside of it. Both contain a file with the same bytes."""
    for name in ("scene", "outside"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "raw.bin").write_bytes(VALUES.tobytes())
    with h5py.File(tmp_path / "scene" / "storage.h5", "w") as file:
        file.create_dataset("cube", (10, 6), "u1", external=[(str(tmp_path / "outside" / "raw.bin"), 0, 60)])
    monkeypatch.chdir(tmp_path)
    return tmp_path / "scene", tmp_path / "outside"


@pytest.fixture(scope="module")
def server():
    """The address of a web server that answers nothing, and its requests."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_error(404)

        def log_message(self, *arguments):
            pass

    http = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}", requests
    http.shutdown()
    http.server_close()


@pytest.mark.parametrize("name", [name for name in RAW if name != "s.pix"])
def test_a_source_in_the_folder_is_read(folders, name):
    write_header(folders[0] / name, RAW[name], "raw.bin")
    np.testing.assert_array_equal(np.asarray(open_scene(folders[0] / name).cube[:])[..., 0], VALUES)


@pytest.mark.parametrize("interleaving", ["PIXEL", "BAND", "TILED"])
def test_channels_in_a_pcidsk_file_are_read(folders, interleaving):
    write_pcidsk(folders[0] / "s.pix", interleaving)
    np.testing.assert_array_equal(np.asarray(open_scene(folders[0] / "s.pix").cube[:])[..., 0], VALUES)


@pytest.mark.parametrize("name", RAW)
@pytest.mark.parametrize("how", ["absolute", "parent", "link"])
def test_a_source_outside_is_refused(folders, name, how):
    folder, outside = folders
    (folder / "link.bin").symlink_to(outside / "raw.bin")
    source = {"absolute": outside / "raw.bin", "parent": "../outside/raw.bin", "link": "link.bin"}[how]
    write_header(folder / name, RAW[name], source)
    with pytest.raises(SceneError):
        open_scene(folder / name)
    # The same through a VRT, of which GDAL lists the header alone.
    (folder / "s.vrt").write_text(
        f'<VRTDataset rasterXSize="6" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{name}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(SceneError):
        open_scene(folder / "s.vrt")


@pytest.mark.parametrize("name", OTHER)
@pytest.mark.parametrize("padding", [0, 2**17, 2**21])
def test_another_data_set_is_refused_before_gdal_opens_it(folders, server, name, padding):
    folder, _ = folders
    url, requests = server
    requests.clear()
    (folder / "w.xml").write_text(
        f"<WCS_GDAL><ServiceURL>{url}/?</ServiceURL><CoverageName>x</CoverageName></WCS_GDAL>"
    )
    for source in ("storage.h5", "w.xml"):
        write_header(folder / name, OTHER[name].replace("\n", "\n" + " " * padding, 1), source)
        with pytest.raises(SceneError, match="which (is|are) not followed|longer than 1 MiB"):
            open_scene(folder / name)
    assert requests == []
    if name != "s.pix" and padding < 2**20:
        with pytest.raises(RasterioIOError):
            rasterio.open(folder / name)
        assert requests, "GDAL alone sends a request"


def test_a_source_of_a_vrt_that_gdal_opens_by_another_driver_is_refused(folders):
    """ENVI can read any bytes beside a header, but GDAL takes the file for MRF, which names its values freely."""
    folder, outside = folders
    (folder / "x.img").write_text(
        f'<MRF_META><Raster><Size x="6" y="10" c="1"/><PageSize x="6" y="10" c="1"/><Compression>NONE</Compression><DataType>Byte'
        f"</DataType><DataFile>{outside / 'raw.bin'}</DataFile><IndexFile>{outside / 'i.idx'}</IndexFile></Raster></MRF_META>".ljust(
            600
        )
    )
    (folder / "x.hdr").write_text("ENVI\nsamples = 6\nlines = 10\nbands = 1\ndata type = 1\ninterleave = bsq\n")
    (folder / "s.vrt").write_text(
        '<VRTDataset rasterXSize="6" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        'relativeToVRT="1">x.img</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(SceneError, match="GDAL reads it as MRF"):
        open_scene(folder / "s.vrt")


def test_a_user_block_before_hdf5_hides_nothing(folders):
    """HDF5 may start after a block of any power of two of bytes."""
    folder, outside = folders
    with h5py.File(folder / "b.tif", "w", userblock_size=2**17) as file:
        file.create_dataset("cube", (10, 6), "u1", external=[(str(outside / "raw.bin"), 0, 60)])
    (folder / "s.vrt").write_text(
        '<VRTDataset rasterXSize="6" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename '
        'relativeToVRT="1">b.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>'
    )
    with pytest.raises(SceneError, match="describes other data sets"):
        open_scene(folder / "s.vrt")
