"""NumPy archives with odd members: right values or one line of error, no code, no unpacked bomb and no file left behind."""

import gc
import struct
import tempfile
import zipfile

import numpy as np
import pytest

from hsifeat.errors import SceneError
from hsifeat.scenes import open_scene

VALUES = np.arange(48, dtype="<f4").reshape(4, 4, 3)


def npy(shape=VALUES.shape, descr="<f4", data=None, header=""):
    """The bytes of a ``.npy`` file with any header."""
    text = (header or str({"descr": descr, "fortran_order": False, "shape": shape})).encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + (VALUES.tobytes() if data is None else data)


RUNS = "__import__('os').mkdir('made')"
PICKLE = b"cos\nmkdir\n(S'made'\ntR."
REFUSED = {
    "claims too much": [("a", npy((10**6, 10**6, 100)))],
    "claims 2**120": [("a", npy((2**40, 2**40, 2**40)))],
    "holds more": [("a", npy(data=bytes(2**26)))],
    "holds less": [("a", npy(data=b"x"))],
    "negative": [("a", npy((-1, 4, 3)))],
    "a bool": [("a", npy((True, 4, 3)))],
    "no rows": [("a", npy((0, 10**9, 3), data=b""))],
    "code": [("a", npy(header=RUNS))],
    "deep": [("a", npy(header="(" * 900 + ")" * 900))],
    "objects": [("a", npy(descr="|O", data=PICKLE))],
    "records": [("a", npy(descr=[("x", "<f4")]))],
    "text": [("a", npy(descr="<U1"))],
    "dates": [("a", npy(descr="<M8[s]"))],
    "two names": [("a\x1b[2J\n", npy()), ("b", npy())],
    "no zip": None,
}
READ = {
    "leaves the archive": [("../../a", npy())],
    "absolute": [("/etc/a", npy())],
    "wavelengths of objects": [("a", npy()), ("wavelengths", npy((3,), "|O", PICKLE))],
    "complex wavelengths": [("a", npy()), ("wavelengths", npy((3,), "<c16", bytes(48)))],
    "wavelengths of NaN": [("a", npy()), ("wavelengths", npy((3,), "<f4", np.full(3, np.nan, "<f4").tobytes()))],
}


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """A function that writes an archive. The folder for temporary files is empty."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)

    def write(members):
        with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in members:
                file.writestr(f"{name}.npy", content)
        return tmp_path / "x.npz"

    return write


@pytest.mark.parametrize("name", REFUSED)
def test_odd_archives_are_refused_and_leave_nothing(archive, tmp_path, name):
    path = archive(REFUSED[name] or [])
    if REFUSED[name] is None:
        path.write_bytes(b"PK\x05\x06" + bytes(7))
    with pytest.raises(SceneError) as error:
        open_scene(path)
    assert len(str(error.value)) < 1000 and "\n" not in str(error.value).replace("[2J\n", "")
    del error  # its frames hold the array
    gc.collect()
    assert not list((tmp_path / "temporary").iterdir()) and not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", READ)
def test_odd_names_and_vectors_do_not_matter(archive, tmp_path, name):
    scene = open_scene(archive(READ[name]))
    np.testing.assert_array_equal(np.asarray(scene.cube[:]), VALUES)
    assert scene.wavelengths_nm is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["temporary", "x.npz"]


@pytest.mark.parametrize(("at", "value"), [(8, b"\x01\x00"), (10, b"\x63\x00"), (24, b"\xff\xff\xff\x7f")])
def test_encrypted_unknown_and_wrong_sizes(archive, at, value):
    path = archive([("a", npy())])
    content = bytearray(path.read_bytes())
    start = content.find(b"PK\x01\x02") + at
    content[start : start + len(value)] = value
    path.write_bytes(content)
    with pytest.raises(SceneError):
        open_scene(path)
