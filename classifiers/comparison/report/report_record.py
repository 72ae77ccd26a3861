"""Record of a report: digests of its inputs and its files.

If the digests are unchanged, a finished report is read instead of computed again.

The record is the file ``record/report.json`` of a report. The inputs of a report are the options, the stores, the labels, the
pixels of splits by maps or by a file of scenes, the recorded runs, the baseline, and the versions of the packages.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from classifiers.comparison.results.bench_results import BenchResults, Provenance, SceneSummary, StoreSummary
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.workdir import JSON, RECORD
from classifiers.heads.registry import head_distribution
from classifiers.registered_smoothing import rule_distribution
from classifiers.splits import SplitDraw
from hsifeat.errors import HsifeatError
from hsifeat.files import open_regular, read_regular, write_file
from hsifeat.scenes import Labels
from hsifeat.scenes.scene_blocks import blocks

_FILE = Path(RECORD) / "report.json"
# Packages for statistics and drawing that are not in `Provenance.versions`.
_PACKAGES = ("matplotlib", "pillow", "rasterio", "scikit-image")


@dataclass(frozen=True)
class ReportRecord:
    """Digests of the inputs and of the files of a report.

    Attributes
    ----------
    inputs : str
        Digest of all inputs, as `with_runs` returns it. While the files of the report are being written, the digest is empty.
    files : dict of str to str
        Maps the name of each file of the report to its digest. While a file is being written, its digest is empty.
    """

    inputs: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> ReportRecord:
        """Read the record in the folder of a report. If it is missing or unreadable, return an empty record."""
        try:
            content = json.loads(read_regular(folder / _FILE))
            return cls(str(content["inputs"]), {str(Path(name)): str(one) for name, one in content["files"].items()})
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return cls()

    def write(self, folder: Path) -> None:
        """Write the record to the folder of a report."""
        write_file(folder / _FILE, json.dumps(asdict(self), indent=0, sort_keys=True))

    def is_intact(self, folder: Path, name: str) -> bool:
        """Return whether a file in the folder of the report has the digest in this record."""
        return self.files.get(name, "") == file_digest(folder / name) != ""


def find_report(folder: Path, inputs: str) -> BenchResults | None:
    """Return the results of the report in a folder.

    The result is None if the report is missing, is damaged, or was made from other inputs.

    Parameters
    ----------
    folder : Path
        Folder of the report. The runs that are recorded in this folder count as inputs of the report.
    inputs : str
        Digest from `digest_inputs`.
    """
    record = ReportRecord.read(folder)
    if not record.is_intact(folder, JSON) or record.inputs != with_runs(inputs, folder):
        return None
    try:
        return read_json(folder / JSON)
    except HsifeatError:
        return None


def digest_inputs(
    provenance: Provenance,
    scenes: tuple[SceneSummary, ...],
    stores: tuple[StoreSummary, ...],
    labels: Labels,
    fixed: Sequence[SplitDraw],
    metadata: Sequence[object],
    baseline: Path | None,
) -> str:
    """Return a sha256 of the inputs of a report, except the recorded runs.

    Parameters
    ----------
    provenance : Provenance
        Command, options, versions and machine. The time of creation is ignored.
    scenes, stores
        Summaries of the scenes and of the stores. The planes themselves are not read, because the key of a store
        identifies its planes and its scene.
    labels : Labels
        True classes.
    fixed : sequence of SplitDraw
        Draws of the splits whose pixels are defined by maps or files.
    metadata : sequence of object
        Metadata of the stores and their scenes that can be corrected without a new key, such as georeference and
        wavelengths. The digest depends on their ``repr``.
    baseline : Path or None
        ``results.json`` of the report that the new report is compared with.
    """
    config = provenance.config
    heads, smooth = ((), None) if config is None else (config.heads, config.smooth)
    texts = [
        provenance.model_copy(update={"created": ""}).model_dump_json(),
        *(scene.model_dump_json() for scene in scenes),
        *(store.model_dump_json() for store in stores),
        repr((labels.name, labels.class_names, labels.class_colours, labels.parts, metadata)),
        repr([(draw.left_out, draw.notes) for draw in fixed]),
        repr([*(head_distribution(head) for head in heads), rule_distribution(smooth or "")]),
        repr({name: version(name) for name in _PACKAGES}),
    ]
    if baseline is not None:
        texts += [file_digest(baseline), _runs_digest(baseline.parent)]
    digest = hashlib.sha256("\0".join(texts).encode())
    for draw in fixed:
        for bits in (draw.train_bits, draw.test_bits, draw.validate_bits):
            digest.update(b"-" if bits is None else bits.data)
    for block in blocks(*labels.classes.shape):
        digest.update(np.ascontiguousarray(labels.classes[block.slices], "<i8").data)
    return digest.hexdigest()


def with_runs(inputs: str, folder: Path) -> str:
    """Return a sha256 of `inputs` and of the runs that are recorded in `folder`.

    `inputs` is a digest from `digest_inputs`.
    """
    return hashlib.sha256(f"{inputs} {_runs_digest(folder)}".encode()).hexdigest()


def _runs_digest(folder: Path) -> str:
    """Return a digest of the names and contents of all recorded draws, runs, predictions, maps and fits."""
    files = sorted((folder / RECORD).glob("[!.]*/[!.]*"))
    return hashlib.sha256(
        "\n".join(f"{file.parent.name}/{file.name} {file_digest(file)}" for file in files).encode()
    ).hexdigest()


def file_digest(file: Path) -> str:
    """Return the sha256 of a file, or an empty text if it can't be read."""
    try:
        with open_regular(file) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError:
        return ""
