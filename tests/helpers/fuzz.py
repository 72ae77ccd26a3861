"""Random damages of folders with fixed seeds, and trials that check whether each damage is found or harmless.

A damage is harmless if reading gives the same values as before. A damage is found if reading raises a `HsifeatError` with a
message of one line. Every other outcome is a fault: another value, another exception, a trial without an end, or a change
outside the damaged folder.

A fifth of the damages exchange two intact files that are alike. Some folders may come from a stranger. A fifth of the
damages of these folders refer to files outside the folder, by a path in a JSON file or by a link. After some damages, the
checksums are written again. Two fifths of these damages replace a value of a JSON file by an odd value.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hsifeat.errors import HsifeatError

# A trial takes a second or two; machines may be shared.
LIMIT_S = 60.0
# What an attacker may write in the place of a value of a JSON file.
ODD_VALUES = (
    0, -1, 2, 3.5, 10**9, 2**31, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", "x", "1", "9" * 400, None, [], [1], {}, {"a": 1}, True,
)  # fmt: skip


class EndlessTrialError(BaseException):
    """A trial ran past its time limit. The class is not an `Exception`, so that no handler of hsifeat catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `EndlessTrialError` in the main thread if the ``with`` block takes longer than `seconds`.

    If the block still runs after the error, the error is raised again every second.
    """

    def end(_number: int, _frame: object) -> None:
        raise EndlessTrialError(f"no end within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Subject:
    """A folder to damage, and the function that reads it.

    Attributes
    ----------
    name : str
        Name in reports.
    folder : Path
        Undamaged folder, which is copied for each trial.
    use : callable
        Reads a copy of the folder, and returns arrays, numbers and texts, nested in dicts and lists.
    files : str
        Pattern of the files that are damaged.
    reseal : callable or None
        Writes the checksums of a damaged copy again, as an attacker does. Different values are then allowed.
    is_handed_over : bool
        Whether the folder may come from a stranger. False for the parts of a user's own cache folder, which may be links.
    """

    name: str
    folder: Path
    use: Callable[[Path], Any]
    files: str = "**/*"
    reseal: Callable[[Path], None] | None = None
    is_handed_over: bool = True


@dataclass
class Tally:
    """Number of trials of a subject by outcome, and descriptions of the faults."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run_trials(subject: Subject, seeds: range, place: Path, limit_s: float = LIMIT_S) -> Tally:
    """For each seed, damage a copy of a subject, and read the copy for at most `limit_s` seconds. Return the outcomes."""
    tally = Tally()
    outside = place / "outside"
    outside.mkdir(parents=True)
    (outside / "notes.txt").write_text("keep")
    copy = place / "inside" / subject.folder.name
    shutil.copytree(subject.folder, copy, symlinks=True)
    expected = subject.use(copy)
    shutil.rmtree(place / "inside")
    for seed in seeds:
        shutil.copytree(subject.folder, copy, symlinks=True)
        kind = _damage_of_seed(subject, copy, seed, outside)
        if subject.reseal is not None:
            subject.reseal(copy)
        try:
            with warnings.catch_warnings(), time_limit(limit_s):
                warnings.simplefilter("ignore")  # numbers of an attacker may overflow
                value = subject.use(copy)
        except HsifeatError as error:
            tally.outcomes["found"] += 1
            if "\n" in str(error) or len(str(error)) > 1500:
                tally.faults.append(f"{subject.name} {seed} ({kind}): the message is not one line: {error}")
        except BaseException as error:  # noqa: BLE001 - every other exception is a fault
            tally.faults.append(f"{subject.name} {seed} ({kind}): {type(error).__name__}: {error}"[:500])
        else:
            same = equal(value, expected)
            tally.outcomes["harmless" if same else "other values"] += 1
            if not same and subject.reseal is None:
                tally.faults.append(f"{subject.name} {seed} ({kind}): other values, and no error")
        beside = {path.name for path in copy.parent.iterdir()} - {copy.name, f".{copy.name}.lock"}
        shutil.rmtree(place / "inside")
        if beside or {path.name: path.read_text() for path in outside.iterdir()} != {"notes.txt": "keep"}:
            tally.faults.append(f"{subject.name} {seed} ({kind}): something outside was changed")
            shutil.rmtree(outside)
            outside.mkdir()
            (outside / "notes.txt").write_text("keep")
    return tally


def _damage_of_seed(subject: Subject, folder: Path, seed: int, outside: Path) -> str:
    rng = np.random.default_rng(seed)
    if subject.is_handed_over and seed % 5 == 4:
        return lead_out(folder, rng, subject.files, outside)
    if subject.reseal is not None and seed % 5 in (1, 2):
        return forge(folder, rng, subject.files)
    if seed % 5 == 3 and (exchanged := exchange(folder, rng, subject.files)):
        return exchanged
    return damage(folder, rng, subject.files)


def damage(folder: Path, rng: np.random.Generator, pattern: str = "**/*") -> str:
    """Damage a file of a folder at random, and return a description of the damage."""
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    file = _random_file(files, rng, folder)
    other = rng.choice(files)
    content = file.read_bytes()
    name = str(rng.choice(["flip", "flip", "digit", "truncate", "delete", "swap", "duplicate", "empty", "append"]))
    if name == "flip":
        changed = bytearray(content or b"x")
        for _ in range(rng.integers(1, 4)):
            changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
        file.write_bytes(changed)
    elif name == "digit":
        digits = [at for at, byte in enumerate(content) if 48 <= byte < 58]
        if digits:
            at = digits[rng.integers(len(digits))]
            file.write_bytes(content[:at] + b"%d" % rng.integers(10) + content[at + 1 :])
    elif name == "truncate":
        file.write_bytes(content[: rng.integers(len(content) + 1)])
    elif name == "delete":
        file.unlink()
    elif name == "swap":
        file.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif name == "duplicate":
        other.write_bytes(content)
    else:
        file.write_bytes(b"" if name == "empty" else content + content[: rng.integers(1, len(content) + 2)])
    return f"{name} {file.relative_to(folder)}, {other.relative_to(folder)}"


def exchange(folder: Path, rng: np.random.Generator, pattern: str) -> str:
    """Exchange two files that are alike, or overwrite one by the other, and return a description; empty if no two are alike.

    Both files are intact, so that only a checksum that includes their names or places tells them apart. Examples are the shards of a
    layer at two timesteps. JSON files are exchanged only in folders without other files.
    """
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    alike = {file: [other for other in files if _are_alike(file, other, folder)] for file in files}
    choices = [file for file in files if alike[file]]
    if not choices:
        return ""
    file = _random_file([file for file in choices if file.suffix != ".json"] or choices, rng, folder)
    other = Path(rng.choice(alike[file]))
    content, kept = other.read_bytes(), file.read_bytes()
    file.write_bytes(content)
    name = str(rng.choice(["exchange", "overwrite"]))
    if name == "exchange":
        other.write_bytes(kept)
    return f"{name} {file.relative_to(folder)}, {other.relative_to(folder)}"


def forge(folder: Path, rng: np.random.Generator, pattern: str) -> str:
    """Replace a value of a JSON file by one of `ODD_VALUES`, and return a description."""
    file = _random_file(sorted(file for file in folder.glob(pattern) if file.suffix == ".json"), rng, folder)
    content, value = json.loads(file.read_bytes()), ODD_VALUES[rng.integers(len(ODD_VALUES))]
    places = [(part, key) for part, key, _ in _entries(content)]
    part, key = places[rng.integers(len(places))]
    part[key] = value
    file.write_text(json.dumps(content))
    return f"{key} is {value!s:.20} in {file.relative_to(folder)}"


def lead_out(folder: Path, rng: np.random.Generator, pattern: str, outside: Path) -> str:
    """Make a folder refer to files outside the folder, and return a description.

    Either a file or folder is replaced by a link to `outside`, or a text in a JSON file is replaced by a path into
    `outside`. `outside` is a folder with the file ``notes.txt``.
    """
    files = sorted(file for file in folder.glob(pattern) if file.is_file())
    texts = [path for path in files if path.suffix == ".json"]
    target = outside / rng.choice(["notes.txt", "new.txt"])
    if texts and rng.random() < 0.6:
        file = _random_file(texts, rng, folder)
        relative = os.path.relpath(target, folder)
        path = str(rng.choice([str(target), relative, f"../{relative}"]))
        file.write_text(json.dumps(_with_text(json.loads(file.read_bytes()), rng, path)))
        return f"{path} in {file.relative_to(folder)}"
    file = _random_file(files, rng, folder)
    linked = rng.choice([file, *(parent for parent in file.parents if folder in parent.parents)])
    if linked.is_dir():
        shutil.rmtree(linked)
        linked.symlink_to(outside)
    else:
        linked.unlink()
        linked.symlink_to(target)
    return f"link {linked.relative_to(folder)}"


def _random_file(files: list[Path], rng: np.random.Generator, folder: Path) -> Path:
    # Each kind is equally likely, because a store has a hundred shards and one manifest.
    kinds = sorted({_kind(file, folder) for file in files})
    kind = kinds[rng.integers(len(kinds))]
    return Path(rng.choice([file for file in files if _kind(file, folder) == kind]))


def _are_alike(one: Path, two: Path, folder: Path) -> bool:
    """Return whether two files are of the same kind, and their sizes differ by less than a tenth."""
    sizes = one.stat().st_size, two.stat().st_size
    return one != two and _kind(one, folder) == _kind(two, folder) and min(sizes) > 0.9 * max(sizes)


def _with_text(content: Any, rng: np.random.Generator, text: str) -> Any:
    """Return JSON content in which a random text or a random key is replaced by `text`."""
    entries = _entries(content)
    places = [(part, key, False) for part, key, value in entries if isinstance(value, str)]
    places += [(part, key, True) for part, key, _ in entries if isinstance(part, dict)]
    if places:
        part, key, is_key = places[rng.integers(len(places))]
        part[text if is_key else key] = part.pop(key) if is_key else text
    return content


def _entries(content: Any) -> list[tuple[Any, Any, Any]]:
    """List the entries of all objects and lists of JSON content, as (object or list, key or index, value)."""
    entries: list[tuple[Any, Any, Any]] = []
    parts = [content]
    while parts:
        part = parts.pop()
        own = list(part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ())
        entries += [(part, key, value) for key, value in own]
        parts += [value for _, value in own]
    return entries


def equal(one: Any, two: Any) -> bool:
    """Return whether nested values are equal; NaN equals NaN."""
    if isinstance(one, dict):
        return isinstance(two, dict) and one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    if isinstance(one, np.ndarray):
        return (
            isinstance(two, np.ndarray)
            and one.dtype == two.dtype
            and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
        )
    return bool(one == two)


def tree_digest(folder: Path) -> str:
    """Return a digest of the names and contents of all files in a folder."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            digest.update(os.fsencode(file.relative_to(folder)) + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _kind(file: Path, folder: Path) -> str:
    """Return the kind of a file: its topmost folder below `folder`, and its suffix."""
    return f"{[*file.relative_to(folder).parts[:-1], ''][0]}/{file.suffix or 'shard'}"
