"""What commands print: any encoding, any name, a closed pipe or a full disk; the work and its files never depend on it."""

import csv
import io
import os
import re
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from hsifeat.cache import catalogue
from hsifeat.store.store import Store
from tests.helpers.command_line import run_main
from tests.helpers.tiny_training import use_tiny

# Everything that a terminal obeys, except line feeds; GDAL's and Python's own definitions of printable differ in detail.
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
# The words in capitals stand for paths with hostile names. What follows -> is a file that the command must write.
COMMANDS = {
    "backbones": "backbones",
    "layers": "layers BACKBONE --all",
    "heads": "heads",
    "info": "info",
    "scenes": "scenes",
    "show": "scenes show CUBE --labels TRUTH --out OUT/scene.png -> scene.png",
    "dry run": "extract CUBE --labels TRUTH --backbone BACKBONE --timesteps 0 --out OUT/e.zarr --dry-run",
    "extract": "extract CUBE --labels TRUTH --backbone context --layers mean-3 --out OUT/e.zarr -> e.zarr/zarr.json",
    "timesteps": "timesteps CUBE --labels TRUTH --backbone BACKBONE --timesteps 0,500 --budget 1 --out OUT/t.png -> t.png",
    "fit": "fit STORE --head lda --inputs spectra --split random:0.3 --out OUT/model -> model/model.json",
    "tune": "fit STORE --head lda --inputs spectra --split random:0.3 --tune --out OUT/t -> t/model.json",
    "predict": "predict MODEL STORE --out OUT/map.tif -> map.tif",
    "export": "export STORE --out OUT/x.npy -> x.npy",
    "bench": "bench STORE --heads lda --inputs spectra,planes --splits random:0.3,blocks:9+1:0.3 --seeds 1 --jobs 1 "
    "--out OUT/report -> report/results.json",
    "sweep": "sweep STORE --split random:0.3 --best 1 --seeds 1 --jobs 1 --out OUT/sweep -> sweep/sweep.csv",
    "pretrain": "pretrain CUBE --network mtmsd --size small --steps 2 --out OUT/b -> b/unet/config.json",
    "cache ls": "cache ls",
    "cache show": "cache show STORE",
    "verify": "cache verify STORE",
    "gc": "cache gc --max-size 0B --dry-run",
    "no layer": "extract CUBE --labels TRUTH --backbone BACKBONE --layers \x1b[2J --out OUT/e.zarr",
    "no label map": "fit STORE --labels \x1b[2J",
    "no store": "fit \x1b]0;x\x07",
    "wrong assignment": "fit STORE --set \x1b]0;x\x07",
    "wrong option": "fit STORE --\x1b]0;x\x07",
    "wrong command": "\x1b[2J",
}  # fmt: skip
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")
# Commands that also run with boxes for UTF-8, because they print names of classes, label maps, stores and planes.
NAMING = {"fit", "predict", "cache ls", "cache show", "no label map"}
# Commands that continue the work of an earlier run.
RESUMED = {"bench", "extract", "pretrain"}
FAILING = {
    "no layer": 1,
    "no label map": 1,
    "no store": 1,
    "wrong assignment": 2,
    "wrong option": 2,
    "wrong command": 2,
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """A folder that the runs of a command share, so that expensive work is done once."""
    return tmp_path_factory.mktemp("out")


@pytest.fixture
def command(hostile, backbone_folder, out, tmp_path, monkeypatch):
    """Return a function that runs a command with given output streams. It returns the exit status and the expected file."""
    use_tiny(monkeypatch)
    catalogue.add_entry(Store.open(hostile.store).key, hostile.store, completed=0)
    paths = {"STORE": hostile.store, "MODEL": hostile.model, "CUBE": hostile.cube, "TRUTH": hostile.truth}
    paths["BACKBONE"] = backbone_folder

    def run(name, stdout, stderr):
        words, _, file = COMMANDS[name].partition(" -> ")
        folder = (out if name in RESUMED else tmp_path) / name
        folder.mkdir(exist_ok=True)
        words = [str(paths.get(word, word)).replace("OUT", str(folder)) for word in words.split(" ")]
        monkeypatch.setattr(sys, "stdout", stdout)
        monkeypatch.setattr(sys, "stderr", stderr)
        try:
            return run_main(*words), folder / file
        finally:
            for stream in filter(None, (stdout, stderr)):
                with suppress(OSError):
                    stream.close()

    return run


class ManyEncodings(io.TextIOBase):
    """A text stream that writes a file in each of several encodings.

    rich takes the first encoding for that of the terminal, and draws the boxes of tables accordingly.
    """

    def __init__(self, path, encodings):
        self.files = {name: path.with_name(f"{path.name}.{name}") for name in encodings}
        self._streams = [file.open("w", encoding=name) for name, file in self.files.items()]

    @property
    def encoding(self):
        return next(iter(self.files))

    def reconfigure(self, **options):
        for stream in self._streams:
            stream.reconfigure(**options)

    def write(self, text):
        for stream in self._streams:
            stream.write(text)
        return len(text)

    def flush(self):
        for stream in self._streams:
            stream.flush()

    def fileno(self):
        return self._streams[0].fileno()

    def close(self):
        for stream in self._streams:
            stream.close()

    def texts(self):
        """Return what was written, decoded from each encoding."""
        return [file.read_bytes().decode(name) for name, file in self.files.items()]


@pytest.mark.parametrize(
    ("name", "encodings"),
    [
        (name, order)
        for order in (ENCODINGS, ENCODINGS[::-1])
        for name in COMMANDS
        if order is ENCODINGS or name in NAMING
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_names_are_printed_in_any_encoding_and_without_control_characters(command, name, encodings, tmp_path):
    stdout, stderr = (ManyEncodings(tmp_path / stream, encodings) for stream in ("stdout", "stderr"))
    status, file = command(name, stdout, stderr)
    assert status == FAILING.get(name, 0), stderr.texts()[0]
    assert file.exists()
    assert all(stdout.texts()) or name in FAILING
    for text in (*stdout.texts(), *stderr.texts()):
        assert not CONTROLS.search(text) and "Traceback" not in text
    if name in {"bench", "sweep"}:
        check_tables(file.parent)


def check_tables(folder):
    """Check that no table of a folder has a formula, a control character, or markup that a browser would obey."""
    tables = [*folder.glob("*.csv"), *folder.glob("*.md"), *folder.glob("*.html")]
    assert len(tables) in {1, 3}
    for table in tables:
        text = table.read_text(encoding="utf-8")
        assert CONTROLS.sub("", text) == text, table
        if table.suffix == ".csv":
            cells = [cell for row in csv.reader(text.splitlines()) for cell in row]
            assert cells and not [cell for cell in cells if re.match(r"\s*[=+@]|-(?![\d.])", cell)]
            continue
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text) if table.suffix == ".md" else text
        scripts = re.findall(r"<script[^>]*>(.{0,20})", html)
        assert not [one for one in scripts if one.startswith("alert")] and "<b>é" not in html


@pytest.mark.usefixtures("remembered_plots")
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in FAILING])
def test_a_closed_pipe_loses_nothing(command, name, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with (tmp_path / "stderr").open("w") as stderr:
        status, file = command(name, os.fdopen(writing, "w"), stderr)
    assert (status, (tmp_path / "stderr").read_text().count("rror")) == (0, 0)
    assert file.exists()


@pytest.mark.usefixtures("remembered_plots")
@pytest.mark.parametrize("name", ["show", "timesteps", "fit", "predict", "export", "sweep"])
def test_results_are_saved_before_they_are_shown(command, name, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    for shown in ("say", "show_table"):
        monkeypatch.setattr(f"hsifeat.commands.terminal.{shown}", interrupted)
    with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
        status, file = command(name, stdout, stderr)
    assert status == 130 and file.exists()


def test_closed_output_and_errors_lose_nothing(command):
    pipes = [os.pipe(), os.pipe()]
    for reading, _ in pipes:
        os.close(reading)
    status, file = command("fit", *(os.fdopen(writing, "w") for _, writing in pipes))
    assert status == 0 and file.exists()


def test_a_full_disk_under_the_output_is_an_error_after_the_work(command, tmp_path):
    with (tmp_path / "stderr").open("w") as stderr:
        status, file = command("fit", Path("/dev/full").open("w"), stderr)  # noqa: SIM115
    assert status == 1 and file.exists()
    assert "standard output can't be written: No space left on device" in (tmp_path / "stderr").read_text()


def test_descriptors_that_are_closed_at_the_start_lose_nothing(command):
    assert command("fit", None, None)[0] == 0
