"""An older comparison, read from its files: whether it is of the same scene and labels, and what it predicted.

Its folder may come from somebody else. So paths in it are built from keys of hexadecimal digits alone, and nothing but JSON and
plain arrays is read.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from classifiers.comparison.results.results_io import read_json
from classifiers.comparison.results.run import RunResult
from classifiers.comparison.run_store import RunStore
from classifiers.comparison.workdir import RECORD
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features
from hsifeat.scenes import Labels

_KEY = re.compile(r"[0-9a-f]{32}")
# What reading an array can raise where a file is missing, torn or no array.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, OverflowError, MemoryError, zipfile.BadZipFile, zlib.error)
# Differing classes that a message names.
_NAMED = 3


@dataclass(frozen=True)
class Baseline:
    """An older comparison.

    Attributes
    ----------
    path : Path
        Its ``results.json``; its record, if it is still there, lies in the folder ``record`` beside it.
    document : dict
        What the file holds.
    """

    path: Path
    document: dict[str, Any]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """Read the ``results.json`` of a comparison; `HsifeatError` if it is none."""
        return cls(path, read_json(path))

    @cached_property
    def results(self) -> list[RunResult]:
        """All its runs."""
        return [RunResult.from_json(row) for row in self.document["results"]]

    def check(self, features: Features, labels: Labels) -> None:
        """Refuse an older comparison of another scene or of other labels.

        Parameters
        ----------
        features : Features
            A store of the newer comparison.
        labels : Labels
            Its true classes.

        Raises
        ------
        HsifeatError
            The scene, the classes or their names differ, or the truth of test pixels that the older record holds.
        """
        if differ := self._other_scene(features):
            raise HsifeatError(
                f"{self.path} is of another scene than {features.name}: {differ}; give --compare the results.json of a "
                "report of the same scene"
            )
        before = {int(number): name for number, name in self.document["class_names"].items()}
        differ = _differing({f"class {k}": v for k, v in before.items()}, _numbered(labels)) or self._other_truth(
            labels
        )
        if differ:
            raise HsifeatError(
                f"{self.path} is of other labels ({self.document['scene']['labels']}) than those of {features.name} "
                f"({labels.name}): {differ}; compare reports of the same labels, or choose them by --labels"
            )

    def predictions(self, run: RunResult) -> NDArray[np.integer] | None:
        """Return the predicted class of each test pixel of a run: (test pixels,), on disk; None where there are none."""
        if not _KEY.fullmatch(run.key):
            return None
        try:
            found = np.load(self._record.predictions(run.key), mmap_mode="r", allow_pickle=False)
        except _UNREADABLE:
            return None
        whole = isinstance(found, np.ndarray) and found.shape == (run.test_pixels,) and found.dtype.kind in "iu"
        return found if whole else None

    @property
    def _record(self) -> RunStore:
        return RunStore(self.path.parent / RECORD)

    def _other_scene(self, features: Features) -> str:
        """Say in what the scene differs; its name and size only tell where its digest is not known."""
        digests = {str(store["recipe"]["scene"]) for store in self.document["stores"] if "scene" in store["recipe"]}
        scene, here = self.document["scene"], features.scene
        now = {"name": here.name, "rows": here.rows, "columns": here.cols, "bands": here.bands}
        before = {"name": scene["name"], "rows": scene["rows"], "columns": scene["cols"], "bands": scene["bands"]}
        if not digests:
            return _differing(before, now)
        if features.recipe["scene"] in digests:
            return ""
        return _differing({**before, "digest": min(digests)[:12]}, {**now, "digest": features.recipe["scene"][:12]})

    def _other_truth(self, labels: Labels) -> str:
        """Say where the truth of recorded test pixels differs, if the record is there."""
        for key in dict.fromkeys(run.draw for run in self.results):
            draw = self._draw(key, labels.classes.size)
            wrong = 0 if draw is None else np.count_nonzero(labels.classes.flat[draw[0]] != draw[1])
            if draw is not None and wrong:
                return f"{wrong} of {len(draw[0])} test pixels had another class before"
        return ""

    def _draw(self, key: str, pixels: int) -> tuple[NDArray[np.integer], NDArray[np.integer]] | None:
        """Return the test pixels of a draw in a scene of so many pixels, and their truth; None where there are none."""
        if not _KEY.fullmatch(key):
            return None
        try:
            with np.load(self._record.draw(key), allow_pickle=False) as arrays:
                if not isinstance(arrays, NpzFile) or arrays.zip is None:
                    return None
                # What unpacks to more than a draw of this scene can is none.
                if any(member.file_size > 8 * pixels + 4096 for member in arrays.zip.infolist()):
                    return None
                test, truth = arrays["test"], arrays["truth"]
        except (*_UNREADABLE, TypeError):
            return None
        plain = all(array.ndim == 1 and array.dtype.kind in "iu" for array in (test, truth)) and len(test) == len(truth)
        return (test, truth) if plain and len(test) and test.min() >= 0 and test.max() < pixels else None


def pair_stores(before: set[str], after: set[str]) -> dict[str, str]:
    """Say which store of a newer comparison is which older one under another name: the only ones that are left, if so.

    >>> pair_stores({"ip"}, {"ip-new"}), pair_stores({"a", "b"}, {"a", "c"}), pair_stores({"a"}, {"b", "c"})
    ({'ip': 'ip-new'}, {'b': 'c'}, {})
    """
    gone, new = before - after, after - before
    return dict(zip(gone, new, strict=True)) if len(gone) == len(new) == 1 else {}


def _numbered(labels: Labels) -> dict[str, str]:
    return {f"class {number}": name for number, name in labels.class_names.items()}


def _differing(before: Mapping[str, object], now: Mapping[str, object]) -> str:
    """Say what differs.

    >>> _differing({"rows": 10, "bands": 3}, {"rows": 12, "class 4": "corn"})
    'rows 10 before, 12 now; bands 3 before, none now; class 4 none before, corn now'
    """
    said = [
        f"{of} {before.get(of, 'none')} before, {now.get(of, 'none')} now"
        for of in {**before, **now}
        if before.get(of) != now.get(of)
    ]
    more = [f"and {len(said) - _NAMED} more"] if len(said) > _NAMED else []
    return "; ".join([*said[:_NAMED], *more])
