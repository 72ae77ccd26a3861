"""Downloads against a server on this machine: whole, wrong, cut short, from an archive; nothing counts until it is whole."""

import functools
import hashlib
import http.server
import io
import threading
import zipfile

import pytest

from hsifeat.errors import SceneError
from hsifeat.scenes.registry import REGISTRY
from hsifeat.scenes.registry.fetch import fetch
from hsifeat.scenes.registry.local_files import local_state, missing_files
from hsifeat.scenes.registry.models import SceneArchive

CONTENT = {"KSC.mat": b"cube" * 300_000, "KSC_gt.mat": b"labels" * 10}


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and records requested paths. Below ``cut/``, the header announces a whole file, but only half is sent."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if not self.path.startswith("/cut/"):
            return super().do_GET()
        content = CONTENT[self.path.rpartition("/")[2]]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    served = tmp_path / "served"
    served.mkdir()
    for name, content in CONTENT.items():
        (served / name).write_bytes(content)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=served))
    server.asked = []
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def ksc(server, tmp_path, monkeypatch):
    """Put the scene's files at addresses of the server; return its folder."""
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path / "scenes"))
    monkeypatch.setattr("pooch.core.time.sleep", lambda _: None)

    def location(prefix="", sums=None, archive=None):
        base = f"http://127.0.0.1:{server.server_port}/"
        files = tuple(
            file.model_copy(
                update={
                    "url": "" if archive else f"{base}{prefix}{file.name}",
                    "sha256": (sums or {}).get(file.name, sha256(CONTENT[file.name])),
                }
            )
            for file in REGISTRY["ksc"].files
        )
        packed = SceneArchive(url=base + "ksc.zip", sha256=archive, folder="KSC") if archive else None
        monkeypatch.setitem(REGISTRY, "ksc", REGISTRY["ksc"].model_copy(update={"files": files, "archive": packed}))
        return tmp_path / "scenes" / "ksc"

    return location


def held(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_downloaded_once_with_progress(ksc, server):
    folder, notes = ksc(), []
    assert local_state(REGISTRY["ksc"]) == "no"
    files = fetch("ksc", lambda *how: notes.append(how))
    assert [file.name for file in files] == ["KSC.mat", "KSC_gt.mat"] and held(folder) == CONTENT
    assert local_state(REGISTRY["ksc"]) == "yes"
    for name, content in CONTENT.items():
        completed = [now for file, now, total in notes if file == name and total == len(content)]
        assert completed == sorted(completed) and completed[-1] == len(content)
    assert len([how for how in notes if how[0] == "KSC.mat"]) > 2
    fetch("ksc")
    assert server.asked == ["/KSC.mat", "/KSC_gt.mat"], "what is there is not fetched again"


def test_a_wrong_checksum_is_refused(ksc, server):
    folder = ksc(sums={"KSC.mat": "0" * 64})
    with pytest.raises(SceneError, match=r"KSC\.mat could not be downloaded.*its sha256 is not 0000") as caught:
        fetch("ksc")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)
    assert held(folder) == {} and len(missing_files(REGISTRY["ksc"])) == 2
    assert server.asked == ["/KSC.mat"] * 3, "it is tried again, and then given up"


def test_an_interrupted_download_leaves_no_file(ksc):
    folder = ksc(prefix="cut/")
    with pytest.raises(SceneError, match="could not be downloaded and nothing of it was kept"):
        fetch("ksc")
    assert held(folder) == {} and local_state(REGISTRY["ksc"]) == "no"
    ksc()
    fetch("ksc")
    assert held(folder) == CONTENT


def test_a_download_in_progress_is_not_a_present_file(ksc):
    ksc()
    states = []
    fetch("ksc", lambda *_: states.append(local_state(REGISTRY["ksc"])))
    assert states[0] == "no" and "1 of 2 files" in states


@pytest.mark.parametrize(
    ("address", "message"),
    [
        pytest.param("nothing-there/", "404", id="not-found"),
        pytest.param(None, "could not be downloaded", id="no-server"),
    ],
)
def test_a_server_without_the_file(ksc, server, address, message):
    ksc(prefix=address or "")
    if address is None:
        server.shutdown()
        server.server_close()
    with pytest.raises(SceneError, match=message):
        fetch("ksc")


def packed(files, folder="KSC"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{folder}/{name}", content)
    return buffer.getvalue()


def test_files_of_an_archive(ksc, server, tmp_path):
    content = packed({**CONTENT, "readme.txt": b"other"})
    (tmp_path / "served" / "ksc.zip").write_bytes(content)
    folder = ksc(archive=sha256(content))
    fetch("ksc")
    assert held(folder) == CONTENT, "the archive itself is gone, and what the scene does not need stays in it"
    (folder / "KSC_gt.mat").unlink()
    fetch("ksc")
    assert held(folder) == CONTENT and server.asked == ["/ksc.zip"] * 2


@pytest.mark.parametrize(
    ("content", "message", "kept"),
    [
        pytest.param(packed({**CONTENT, "KSC_gt.mat": b"x"}), "KSC/KSC_gt.mat in .* is not the expected file", {"KSC.mat"}, id="sum"),
        pytest.param(packed({"KSC.mat": CONTENT["KSC.mat"]}), "KSC/KSC_gt.mat", {"KSC.mat"}, id="lacks"),
        pytest.param(packed(CONTENT, "other"), "not the expected archive", set(), id="folder"),
        pytest.param(b"no zip at all", "not the expected archive", set(), id="no-zip"),
    ],
)  # fmt: skip
def test_a_wrong_archive(ksc, tmp_path, content, message, kept):
    (tmp_path / "served" / "ksc.zip").write_bytes(content)
    folder = ksc(archive=sha256(content))
    with pytest.raises(SceneError, match=message):
        fetch("ksc")
    assert set(held(folder)) == kept


def test_a_different_file_of_the_user_is_kept(ksc):
    folder = ksc()
    folder.mkdir(parents=True)
    (folder / "KSC.mat").write_bytes(b"my own")
    with pytest.raises(SceneError, match=r"KSC\.mat has another sha256 than expected.*move it elsewhere"):
        fetch("ksc")
    assert held(folder) == {"KSC.mat": b"my own"}


def test_files_without_checksum_are_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("HSIFEAT_SCENES", str(tmp_path / "scenes"))
    with pytest.raises(
        SceneError, match=r"put SalinasA_corrected\.mat, SalinasA_gt\.mat into .*scenes/salinas-a; get them"
    ):
        fetch("salinas-a")
    with pytest.raises(SceneError, match="no scene named 'salina'; nearest: salinas"):
        fetch("salina")
    assert fetch("indian-pines") == []


def test_a_folder_that_cannot_be_made(ksc, tmp_path):
    ksc()
    (tmp_path / "scenes").write_text("a file")
    with pytest.raises(Exception, match="can't be used"):
        fetch("ksc")
