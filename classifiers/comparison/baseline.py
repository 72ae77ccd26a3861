"""Baseline of a benchmark: an earlier report, which the new report is compared with.

The folder of a baseline may come from an untrusted source. The key of a run or of a draw (training and test pixels)
becomes part of a path only if the key consists of hexadecimal digits. Only JSON and arrays without pickled objects are read.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from classifiers.comparison.results.bench_results import BenchResults
from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.results.scores import RunResult
from classifiers.comparison.run_records import RunRecords
from classifiers.comparison.workdir import RECORD
from hsifeat.errors import HsifeatError
from hsifeat.features.scene_set import SceneSet
from hsifeat.files import change_stamp
from hsifeat.scenes import Labels
from hsifeat.seals import check_seal, has_seal

_KEY = re.compile(r"[0-9a-f]{32}")
# Exceptions of `numpy.load` for a file that is missing, damaged or of another format.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error)
# Maximum number of differences in a message.
_MAX_LISTED = 3


@lru_cache(maxsize=4096)
def _check_once(file: Path, stamp: tuple[int, ...]) -> None:  # noqa: ARG001  # a changed file is checked again
    """Check the seal of a file, which a comparison reads several times."""
    if has_seal(file):
        check_seal(file, f"{file.parent.name}/{file.name}", advice="copy the report again, or delete this file")


@dataclass(frozen=True)
class Baseline:
    """An earlier report, which a new report is compared with.

    Attributes
    ----------
    path : Path
        Path of ``results.json``. The recorded runs, if they still exist, are in the folder ``record`` beside this file.
    results : BenchResults
        Content of ``results.json``.
    """

    path: Path
    results: BenchResults

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read the ``results.json`` of a report.

        Raises
        ------
        HsifeatError
            If the file is unreadable or is not the ``results.json`` of a report.
        """
        return cls(path, read_json(path))

    @property
    def runs(self) -> tuple[RunResult, ...]:
        """All runs in the ``results.json`` of the report."""
        return self.results.runs

    def check(self, scenes: SceneSet, labels: Labels) -> None:
        """Raise an error if the baseline and the new report differ in scene or labels.

        Parameters
        ----------
        scenes : SceneSet
            Stores of the new report.
        labels : Labels
            True classes in the new report.

        Raises
        ------
        HsifeatError
            If the scenes, the class numbers or the class names differ. If a test pixel of the baseline
            has another class in `labels`.
        """
        if difference := self._scene_difference(scenes):
            raise HsifeatError(
                f"{self.path} and {scenes.name} are of different scenes: {difference}; pass `baseline` the results.json of a "
                "report on the same scene"
            )
        before = {f"class {number}": name for number, name in self.results.class_names.items()}
        now = {f"class {number}": name for number, name in labels.class_names.items()}
        if difference := _difference(before, now) or self._truth_difference(labels):
            raise HsifeatError(
                f"{self.path} and {scenes.name} have different labels ({self.results.scene.labels} and {labels.name}): "
                f"{difference}; compare reports on the same labels, or select the labels with `labels`"
            )

    def predictions(self, run: RunResult) -> NDArray[np.integer] | None:
        """Return the predicted class of each test pixel of a run, as a memory-mapped (n,) integer array.

        The result is None if the file of predictions is missing or unreadable.

        Raises
        ------
        SealError
            If the file of predictions was changed after the report was written.
        """
        if not _KEY.fullmatch(run.key):
            return None
        self._check(self._run_records.predictions(run.key))
        try:
            array = np.load(self._run_records.predictions(run.key), mmap_mode="r", allow_pickle=False)
        except _UNREADABLE:
            return None
        valid = isinstance(array, np.ndarray) and array.shape == (run.test_pixels,) and array.dtype.kind in "iu"
        return array if valid else None

    def _check(self, file: Path) -> None:
        """Check the seal (sha256) of a recorded file. Missing files and files without a seal pass the check."""
        if file.exists():
            _check_once(file, change_stamp(file))

    @property
    def _run_records(self) -> RunRecords:
        return RunRecords(self.path.parent / RECORD)

    def _scene_difference(self, scenes: SceneSet) -> str:
        """Describe how the scenes of the baseline differ from `scenes`.

        Scenes are compared by digest, or by name and size if the baseline has no digest. The text is empty if the scenes
        are the same.
        """
        digests = {str(store.recipe["scene"]) for store in self.results.stores if "scene" in store.recipe}
        now_digests = {str(features.recipe["scene"]) for features in scenes.scenes}
        if now_digests == digests:
            return ""
        before, now = (
            {"name": scene.name, "rows": scene.rows, "columns": scene.cols, "bands": scene.bands}
            for scene in (self.results.scene, scenes.first.scene)
        )
        if not digests:
            return _difference(before, now)
        counts = [{"scenes": len(some)} if len(some) > 1 else {} for some in (digests, now_digests)]
        return _difference(
            {**counts[0], **before, "digest": min(digests)[:12]}, {**counts[1], **now, "digest": min(now_digests)[:12]}
        )

    def _truth_difference(self, labels: Labels) -> str:
        """Describe how the true classes of the test pixels in the baseline differ from `labels`.

        The text is empty if they do not differ.
        """
        for key in dict.fromkeys(run.draw for run in self.runs):
            draw = self._read_draw(key, labels.classes.size)
            wrong = 0 if draw is None else np.count_nonzero(labels.classes.flat[draw[0]] != draw[1])
            if draw is not None and wrong:
                return f"{wrong} of {len(draw[0])} test pixels had another class before"
        return ""

    def _read_draw(self, key: str, pixels: int) -> tuple[NDArray[np.integer], NDArray[np.integer]] | None:
        """Read the test pixels of a recorded draw, and their true classes.

        A draw is the training and test pixels of a split for one seed. The result is None if the file of the draw is
        missing or invalid.

        Parameters
        ----------
        key : str
            Key of the draw.
        pixels : int
            Number of pixels of the scene.

        Returns
        -------
        test, truth : (n,) integer array
            Flat pixel indices, and the true class of each test pixel.
        """
        if not _KEY.fullmatch(key):
            return None
        self._check(self._run_records.draw(key))
        try:
            with np.load(self._run_records.draw(key), allow_pickle=False) as arrays:
                if not isinstance(arrays, NpzFile) or arrays.zip is None:
                    return None
                # A larger array can't be a draw of this scene, and unpacking it could exhaust memory.
                if any(member.file_size > 8 * pixels + 4096 for member in arrays.zip.infolist()):
                    return None
                test, truth = arrays["test"], arrays["truth"]
        except (*_UNREADABLE, TypeError):
            return None
        valid = all(array.ndim == 1 and array.dtype.kind in "iu" for array in (test, truth)) and len(test) == len(truth)
        return (test, truth) if valid and len(test) and test.min() >= 0 and test.max() < pixels else None


def match_renamed_store(before: set[str], after: set[str]) -> dict[str, str]:
    """Return a dict that maps the old name of a renamed store to its new name.

    A store counts as renamed if exactly one name of `before` is missing in `after`, and exactly one name of `after` is
    new. Without a renamed store, the dict is empty.

    >>> match_renamed_store({"ip"}, {"ip-new"}), match_renamed_store({"a", "b"}, {"a", "c"})
    ({'ip': 'ip-new'}, {'b': 'c'})
    >>> match_renamed_store({"a"}, {"b", "c"})
    {}
    """
    missing, new = before - after, after - before
    return dict(zip(missing, new, strict=True)) if len(missing) == len(new) == 1 else {}


def _difference(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Describe the items in which two mappings differ. The text is empty if the mappings are equal.

    >>> _difference({"rows": 10, "bands": 3}, {"rows": 12, "class 4": "corn"})
    'rows 10 before, 12 now; bands 3 before, none now; class 4 none before, corn now'
    """
    parts = [
        f"{name} {before.get(name, 'none')} before, {now.get(name, 'none')} now"
        for name in {**before, **now}
        if before.get(name) != now.get(name)
    ]
    more = [f"and {len(parts) - _MAX_LISTED} more"] if len(parts) > _MAX_LISTED else []
    return "; ".join([*parts[:_MAX_LISTED], *more])
