"""Uploaded files that are accepted, and hostile ones that are refused."""

import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from hsifeat.service.uploads.inspection import RefusedFileError, check_content, check_name

LIMIT = 10**6
VRT = b"<VRTDataset rasterXSize='1' rasterYSize='1'><SourceFilename>/etc/passwd</SourceFilename></VRTDataset>"


PAM = b"<PAMDataset><Metadata domain='OVERVIEWS'><MDI key='OVERVIEW_FILE'>%s</MDI></Metadata></PAMDataset>"


class Exploit:
    def __reduce__(self):
        return (print, ("this must never run",))


def array_bytes(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def archive_bytes(members, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def matlab_bytes(**variables):
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=True)
    return stream.getvalue()


def hdf5_bytes():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["cube"] = np.zeros((3, 4, 5))
    return stream.getvalue()


GOOD = {
    "scene.npy": array_bytes(np.zeros((3, 4, 5), np.float32)),
    "scene.npz": archive_bytes(
        {"cube.npy": array_bytes(np.zeros((3, 4, 5))), "gt.npy": array_bytes(np.zeros((3, 4), np.uint8))}
    ),
    "scene.mat": matlab_bytes(cube=np.zeros((3, 4, 5))),
    "scene.h5": hdf5_bytes(),
    "scene.nc": hdf5_bytes(),
    "scene.hdr": b"ENVI\nsamples = 3\n",
    "scene.dat": b"anything",
    "scene.TIF": b"II*\0" + bytes(100),
    "fields.geojson": b'{"type": "FeatureCollection", "features": []}',
    "fields.csv": b"row,col,class\n",
    "scene.tif.aux.xml": b"<PAMDataset><PAMRasterBand band='1'><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>",
    "scene.tfw": b"2.0\n0\n0\n-2.0\n1e5\n200\n",
}
BAD = {
    "a VRT named .tif": ("scene.tif", VRT, "its content is not that of a .tif file"),
    "a VRT named .geojson": ("fields.geojson", b" " + VRT, "not that of a .geojson file"),
    "a GeoJSON that is a service": ("f.geojson", b'{"stac_version": "1.0", "href": "http://x"}', "its content is not that of"),
    "auxiliary metadata that name a file": ("s.tif.aux.xml", PAM % b"/etc/passwd", "refers to /etc/passwd"),
    "auxiliary metadata that name an address": ("s.tif.aux.xml", PAM % b"/vsicurl/http://x/a.tif", "only files in its own folder"),
    "auxiliary metadata that are a VRT": ("s.tif.aux.xml", VRT, "its root element is VRTDataset"),
    "damaged auxiliary metadata": ("s.tif.aux.xml", b"<PAMDataset>", "no file of auxiliary metadata"),
    "large auxiliary metadata": ("s.tif.aux.xml", bytes(2**24 + 1), "accepted: at most 16,777,216 bytes"),
    "a text named .tfw": ("s.tfw", b"1 2 3 4 5 6 7", "its content is not that of a .tfw file"),
    "a pickle named .npy": ("scene.npy", pickle.dumps(Exploit()), "its content is not that of a .npy file"),
    "pickled objects in .npy": ("scene.npy", array_bytes(np.array([Exploit()]), allow_pickle=True), "pickled objects can run code"),
    "pickled objects in .npz": (
        "scene.npz",
        archive_bytes({"a.npy": array_bytes(np.array([Exploit()]), allow_pickle=True)}),
        "pickled objects can run code",
    ),
    "a zip bomb": ("scene.npz", archive_bytes({"a.npy": array_bytes(np.zeros(LIMIT))}), "unpacks to 8,000,128 bytes; accepted: at most"),
    "many members": ("scene.npz", archive_bytes({f"{n}.npy": b"" for n in range(200)}), "has 200 members"),
    "a path in an archive": ("scene.npz", archive_bytes({"../../a.npy": array_bytes(np.zeros(3))}), "has the member"),
    "a program in an archive": ("scene.npz", archive_bytes({"setup.py": b"x"}), "has the member 'setup.py'"),
    "a damaged archive": ("scene.npz", archive_bytes({"a.npy": b"x"})[:40], "scene.npz can't be read"),
    "a header that claims too much": (
        "scene.npy",
        array_bytes(np.zeros(3)).replace(b"(3,), }        ", b"(3000000000,), }"),
        "unpacks to 24,000,000,000 bytes",
    ),
    "code in a header": (
        "scene.npy",
        array_bytes(np.zeros(3)).replace(b"'descr': '<f8'", b"'descr': exit()"),
        "scene.npy can't be read",
    ),
    "a MATLAB bomb": ("scene.mat", matlab_bytes(cube=np.zeros(2 * LIMIT)), "scene.mat, cube unpacks to 16,000,000 bytes"),
    "an empty header": ("scene.hdr", b"", "its content is not that of a .hdr file"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_scenes_and_labels_are_accepted(tmp_path, name):
    (tmp_path / name).write_bytes(GOOD[name])
    check_name(name)
    check_content(tmp_path / name, LIMIT)


@pytest.mark.parametrize(("name", "content", "message"), BAD.values(), ids=BAD)
def test_hostile_content_is_refused(tmp_path, capsys, name, content, message):
    (tmp_path / name).write_bytes(content)
    check_name(name)
    with pytest.raises(RefusedFileError, match=message):
        check_content(tmp_path / name, LIMIT)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name",
    [
        "../x.npy",
        "a/b.npy",
        "a\\b.npy",
        ".npy",
        "..npy",
        "a..npy",
        "x\0.npy",
        "x.npy\n",
        "",
        "ä.npy",
        "a" * 200 + ".npy",
    ],
)
def test_names_that_could_leave_the_folder_are_refused(name):
    with pytest.raises(RefusedFileError, match="use at most 100 letters, digits, single dots, underscores and hyphens"):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["x.vrt", "x.xml", "x.img", "x.zarr", "x.gz", "x.pkl", "x.py", "x", "x.prj", "x.gpkg", "x.ovr"]
)
def test_formats_that_may_name_other_files_or_expand_are_refused(name):
    with pytest.raises(RefusedFileError, match=r"may name other files, run code or expand; accepted: .*\.npy"):
        check_name(name)
