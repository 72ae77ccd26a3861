"""Commands that are killed at a random moment or between two renames, and checks of the files that remain."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hsifeat.errors import HsifeatError
from hsifeat.scenes.maps import Legend, write_map
from tests.helpers.damaged_stores import flip, guarded_files
from tests.helpers.forked_commands import ForkedCommand
from tests.helpers.fuzz_subjects import cache_at

_LEFTOVER = re.compile(r"\..*\.(part|new|old|removed|mode)|\.part|tables-.*|.*removed-.*")
_STEPS = ("rename", "replace", "unlink", "remove", "rmdir")


@dataclass(frozen=True)
class KillAtStep:
    """A patch that counts renames and deletions of files and folders, and kills the process just before one of these steps.

    Attributes
    ----------
    number : int or None
        Number of the step before which the process is killed, from 0. None counts the steps without a kill.
    report : str
        File to which the number of steps so far is written.
    tiny : bool
        Whether to replace the networks of `hsifeat pretrain` by tiny networks.
    """

    number: int | None
    report: str = ""
    tiny: bool = False

    def __call__(self) -> None:
        """Patch the functions of `os` that rename and delete."""
        count = [0]

        def counted(plain: Callable[..., None]) -> Callable[..., None]:
            def step(*arguments: object, **options: object) -> None:
                if count[0] == self.number:
                    os.kill(os.getpid(), signal.SIGKILL)
                count[0] += 1
                if self.report:
                    Path(self.report).write_text(str(count[0]))
                plain(*arguments, **options)

            return step

        if self.tiny:
            import pytest

            from tests.helpers.tiny_training import use_tiny

            use_tiny(pytest.MonkeyPatch())
        for name in _STEPS:
            setattr(os, name, counted(getattr(os, name)))


@dataclass(frozen=True)
class KillCase:
    """A command, and checks of the files that it leaves.

    Attributes
    ----------
    name : str
        Name of the command.
    prepare : callable
        Creates the input of the command below a folder.
    arguments : callable
        Takes this folder, and returns the arguments of the command.
    intact : callable
        Takes this folder right after a kill, and returns the faults.
    complete : callable
        Takes this folder after the command ran once more, and returns the faults.
    statuses : tuple of int
        Allowed exit statuses of the second run.
    """

    name: str
    prepare: Callable[[Path], None]
    arguments: Callable[[Path], list[str]]
    intact: Callable[[Path], list[str]]
    complete: Callable[[Path], list[str]]
    statuses: tuple[int, ...] = (0,)

    @property
    def tiny(self) -> bool:
        """Whether the command needs tiny networks."""
        return self.name == "pretrain"


def count_steps(case: KillCase, place: Path) -> tuple[int, float]:
    """Run a command once without a kill. Return the number of steps, and the duration in seconds."""
    with _prepared(case, place) as folder:
        report, started = place / "steps", time.monotonic()
        ended = ForkedCommand(*case.arguments(folder), patch=KillAtStep(None, str(report), case.tiny)).wait()
        seconds = time.monotonic() - started
        assert ended.returncode == 0, ended.stderr
        faults = case.complete(folder) + leftovers(folder)
        assert not faults, faults
        return int(report.read_text()), seconds


def run_round(case: KillCase, place: Path, *, step: int | None = None, after_s: float = 0.0) -> tuple[bool, list[str]]:
    """Kill a command before a step or after a time, and run the command again. Return whether it was killed, and the faults."""
    with _prepared(case, place) as folder:
        command = ForkedCommand(*case.arguments(folder), patch=KillAtStep(step, tiny=case.tiny))
        if step is None:
            command.process.join(after_s)
            command.process.kill()
        killed = command.wait().returncode == -signal.SIGKILL
        faults = [f"after the kill: {fault}" for fault in case.intact(folder)]
        ended = ForkedCommand(*case.arguments(folder), patch=KillAtStep(None, tiny=case.tiny)).wait()
        if ended.returncode not in case.statuses or "Traceback" in ended.stderr:
            faults.append(f"the second run ends with {ended.returncode}: {ended.stderr[-500:]}")
        try:
            faults += [f"after the second run: {fault}" for fault in case.complete(folder) + leftovers(folder)]
        except (HsifeatError, OSError) as error:
            faults.append(f"after the second run: {error}")
    return killed, faults


def leftovers(folder: Path) -> list[str]:
    """List the hidden and temporary files in a folder. A finished command leaves no such files."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if _LEFTOVER.fullmatch(path.name))
    return [f"left over: {name}" for name in names]


class _prepared:  # noqa: N801 - a context manager
    def __init__(self, case: KillCase, place: Path) -> None:
        self._case, self._folder = case, place / "round"

    def __enter__(self) -> Path:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        self._cache = cache_at(self._folder / "cache")
        self._cache.__enter__()
        self._case.prepare(self._folder)
        return self._folder

    def __exit__(self, *_: object) -> None:
        self._cache.__exit__(None, None, None)
        shutil.rmtree(self._folder, ignore_errors=True)


def make_cases(  # noqa: C901, PLR0915 - one closure for each check
    store: Path, backbone: Path, place: Path
) -> dict[str, KillCase]:
    """Return the case of each command.

    Parameters
    ----------
    store : Path
        A complete small store.
    backbone : Path
        The backbone that computed the store.
    place : Path
        Folder for reference results.
    """
    import hsifeat
    from classifiers import load_model
    from hsifeat import fit_model
    from hsifeat.cache import catalogue
    from hsifeat.store.location import as_location
    from hsifeat.store.verify import verify

    features = hsifeat.open_features(store)
    fit_model(features, "svm").save(place / "svm")
    hsifeat.export_features(features, place / "old.npy", planes=["t0/mid_block"])
    del features
    originals = {file.relative_to(store): file.read_bytes() for file in guarded_files(store)}

    def copied(folder: Path) -> None:
        shutil.copytree(store, folder / "s.zarr")

    def damaged(folder: Path) -> None:
        copied(folder)
        for key in ("planes/t0300/up_blocks.2/c/0/0/0", "planes/t0000/mid_block/c/0/0/0"):
            (folder / "s.zarr" / key).unlink()
        flip(folder / "s.zarr" / "planes/t0000/up_blocks.0/zarr.json")

    def repaired(folder: Path) -> list[str]:
        result = verify(as_location(folder / "s.zarr"))
        now = {file.relative_to(folder / "s.zarr"): file.read_bytes() for file in guarded_files(folder / "s.zarr")}
        return [*map(str, result.damages), *map(str, result.unfinished), *(["other bytes"] * (now != originals))]

    def in_cache(folder: Path) -> None:
        for name in ("a", "b"):
            shutil.copytree(store, folder / "cache" / f"{name}.zarr")
            catalogue.add_entry("ab" * 32, folder / "cache" / f"{name}.zarr")

    def whole_or_absent(*names: str) -> Callable[[Path], list[str]]:
        def faults(folder: Path) -> list[str]:
            stores = [folder / name for name in names if (folder / name).exists()]
            return [f"{one.name} is half deleted" for one in stores if verify(as_location(one)).damages]

        return faults

    def absent(*names: str) -> Callable[[Path], list[str]]:
        return lambda folder: [f"{name} is still there" for name in names if (folder / name).exists()]

    def with_model(folder: Path) -> None:
        copied(folder)
        shutil.copytree(place / "svm", folder / "model")

    def has_model(folder: Path) -> list[str]:
        return [] if load_model(folder / "model").class_names else ["no classes"]

    def has_lda(folder: Path) -> list[str]:
        return [] if type(load_model(folder / "model").head).__name__ == "LDAClassifier" else ["the old model"]

    def with_map(folder: Path) -> None:
        with_model(folder)
        write_map(folder / "map.npy", np.zeros((75, 53), np.uint8), Legend((), (), ()))

    def is_map(folder: Path) -> list[str]:
        return [] if np.load(folder / "map.npy").shape == (75, 53) else ["half a map"]

    def is_new_map(folder: Path) -> list[str]:
        from classifiers.predict import predict_map

        expected = predict_map(hsifeat.open_features(folder / "s.zarr"), load_model(folder / "model"))
        return [] if np.array_equal(np.load(folder / "map.npy"), expected) else ["another map"]

    def with_export(folder: Path) -> None:
        copied(folder)
        for file in place.glob("old.*"):
            shutil.copy(file, folder / file.name.replace("old", "t"))

    def columns_fit(folder: Path) -> list[str]:
        if not (folder / "t.npy").exists():
            return []
        names = json.loads((folder / "t.columns.json").read_text())["columns"]
        return [] if np.load(folder / "t.npy").shape[1] == len(names) else ["an array beside other column names"]

    def is_exported(folder: Path) -> list[str]:
        exported = hsifeat.export_features(
            hsifeat.open_features(folder / "s.zarr"), folder / "again.npy", planes=["t300/up_blocks.2"]
        )
        same = all(file.read_bytes() == (folder / file.name.replace("again", "t")).read_bytes() for file in exported)
        return [] if same else ["another table"]

    scores: dict[str, object] = {}

    def is_report(folder: Path) -> list[str]:
        from classifiers.comparison.results.results_io import read_json

        now = [
            (str(run.entry), run.split, run.seed, run.oa) for run in read_json(folder / "report" / "results.json").runs
        ]
        return [] if scores.setdefault("bench", now) == now else ["other scores"]

    def is_trained(folder: Path) -> list[str]:
        weights = hsifeat.open_backbone(folder / "trained").identity()["weights"]
        return [] if scores.setdefault("pretrain", weights) == weights else ["other weights"]

    def image(folder: Path) -> None:
        from tests.helpers.tiny_training import tiny_scene

        np.save(folder / "scene.npy", np.asarray(tiny_scene().cube))

    def nothing(_: Path) -> list[str]:
        return []

    cases = [
        KillCase("repair", damaged, lambda f: ["cache", "verify", f / "s.zarr", "--repair", "--backbone", backbone], nothing, repaired),
        KillCase("rm", copied, lambda f: ["cache", "rm", f / "s.zarr"], whole_or_absent("s.zarr"), absent("s.zarr", ".s.zarr.lock"), (0, 1)),
        KillCase(
            "gc", in_cache, lambda _: ["cache", "gc", "--max-size", "1B"], whole_or_absent("cache/a.zarr", "cache/b.zarr"),
            absent("cache/a.zarr", "cache/b.zarr", "cache/.a.zarr.lock", "cache/.b.zarr.lock"),
        ),
        KillCase("fit", with_model, lambda f: ["fit", f / "s.zarr", "--head", "lda", "--out", f / "model"], has_model, has_lda),
        KillCase("predict", with_map, lambda f: ["predict", f / "model", f / "s.zarr", "--out", f / "map.npy"], is_map, is_new_map),
        KillCase(
            "export", with_export, lambda f: ["export", f / "s.zarr", "--planes", "t300/up_blocks.2", "--out", f / "t.npy"],
            columns_fit, is_exported,
        ),
        KillCase(
            "bench", copied,
            lambda f: ["bench", f / "s.zarr", "--heads", "lda", "--inputs", "spectra", "--splits", "random:0.3", "--seeds", "1",
                       "--jobs", "1", "--out", f / "report"],
            nothing, is_report,
        ),
        KillCase(
            "pretrain", image, lambda f: ["pretrain", f / "scene.npy", "--network", "mtmsd", "--steps", "4", "--out", f / "trained"],
            nothing, is_trained,
        ),
    ]  # fmt: skip
    return {case.name: case for case in cases}
