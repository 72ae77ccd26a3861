"""Splits by whole scenes: ``scenes:TRAIN/TEST[/VALIDATE]``, ``scenes:@FILE`` and ``scenes:leave-one-out``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from classifiers.splits.split_draw import (
    CARRY_OVER,
    SplitDraw,
    SplitKind,
    SplitQuestion,
    check_seed,
    class_mask,
    make_draw,
)
from hsifeat.delimited_text import read_lines
from hsifeat.errors import SplitError, suggest_names
from hsifeat.files import read_regular
from hsifeat.formatting import format_count
from hsifeat.scenes import Labels
from hsifeat.scenes.label_map import ScenePart

Role = Literal["train", "test", "validate"]
ROLES: tuple[Role, ...] = get_args(Role)
SCENES_FORMS = "scenes:A+B/C, scenes:A+B/C/D, scenes:@FILE, scenes:leave-one-out"
_COLUMNS = ("store", "role")
_DELIMITERS = ",;\t"
_MAX_FILE_BYTES = 2**24


@dataclass(frozen=True)
class ScenesSplit:
    """``scenes:A+B/C/D``: train on the scenes A and B, test on C and validate on D. The seed has no effect.

    Scenes that have no role are not used.

    Attributes
    ----------
    text : str
        The split in the grammar of `parse_split`.
    roles : mapping of str to {"train", "test", "validate"}
        Role of each scene. The key is the name of the scene, or of one of its stores.

    Examples
    --------
    >>> ScenesSplit.parse("scenes:north+south/west").roles["west"]
    'test'
    """

    text: str
    roles: Mapping[str, Role]
    kind: ClassVar[SplitKind] = "disjoint"
    question: ClassVar[SplitQuestion] = CARRY_OVER

    def __post_init__(self) -> None:
        for role in ROLES[:2]:
            if role not in self.roles.values():
                raise SplitError(f"{self.text}: no scene has the role {role}; allowed: {SCENES_FORMS}")

    @classmethod
    def parse(cls, text: str) -> ScenesSplit:
        """Parse ``scenes:A+B/C/D`` or ``scenes:@FILE``.

        A and B are training scenes, C is a test scene, and D is a validation scene. ``/D`` may be missing.
        FILE is a CSV file with the columns ``store`` and ``role``, separated by commas, semicolons or tabs. A role is train,
        test or validate. A store can be given by its name or by its path.

        Raises
        ------
        SplitError
            If the text or the file is invalid. If a scene has two roles. If no scene has the role train, or none
            has the role test.
        """
        source = text.removeprefix("scenes:")
        pairs = _read_roles(text, Path(source[1:])) if source.startswith("@") else _parse_roles(text, source)
        roles: dict[str, Role] = {}
        for name, role in pairs:
            if roles.setdefault(name, role) != role:
                raise SplitError(f"{text}: {name} has the roles {roles[name]} and {role}: give it one role")
        return cls(text, MappingProxyType(roles))

    def draw(self, labels: Labels, seed: int) -> SplitDraw:  # noqa: ARG002  # fixed
        """Return the labelled pixels of the training, test and validation scenes.

        Raises
        ------
        SplitError
            If a named scene does not exist or has two roles. If no training scene or no test scene has labelled pixels.
        """
        masks = {role: np.zeros(labels.classes.shape, np.bool_) for role in ROLES}
        assigned: dict[ScenePart, Role] = {}
        for name, role in self.roles.items():
            part = find_scene(labels, name, self.text)
            if assigned.setdefault(part, role) != role:
                raise SplitError(
                    f"{self.text}: {part.names[0]} has the roles {assigned[part]} and {role}: give it one role"
                )
            masks[role][part.window.slices] = True
        named = {role: [part.names[0] for part in labels.parts if assigned.get(part) == role] for role in ROLES}
        notes = [f"scenes to {role}: {', '.join(names)}" for role, names in named.items() if names]
        if unused := [part.names[0] for part in labels.parts if part not in assigned]:
            notes.append(f"scenes without a role are not used: {', '.join(unused)}")
        return _draw(labels, masks, tuple(notes))


@dataclass(frozen=True)
class LeaveOneSceneOutSplit:
    """``scenes:leave-one-out``: test on one scene, and train on all others. Seed k tests on scene k, counted from 0.

    Examples
    --------
    >>> LeaveOneSceneOutSplit().text
    'scenes:leave-one-out'
    """

    kind: ClassVar[SplitKind] = "disjoint"
    question: ClassVar[SplitQuestion] = CARRY_OVER
    text: ClassVar[str] = "scenes:leave-one-out"

    def draw(self, labels: Labels, seed: int) -> SplitDraw:
        """Test on the labelled pixels of the scene that `seed` selects, and train on those of all other scenes.

        Raises
        ------
        SplitError
            If the label map belongs to one scene only. If no training scene or no test scene has labelled pixels.
        """
        check_seed(seed)
        parts = _parts(labels, self.text)
        test = parts[seed % len(parts)]
        masks = {role: np.zeros(labels.classes.shape, np.bool_) for role in ROLES}
        for part in parts:
            masks["test" if part is test else "train"][part.window.slices] = True
        note = f"seed {seed} tests {test.names[0]}; the seeds 0 to {len(parts) - 1} test each scene once"
        return _draw(labels, masks, (note,))


def parse_scenes(text: str) -> ScenesSplit | LeaveOneSceneOutSplit:
    """Parse the text of a split by scenes; see `ScenesSplit.parse`."""
    return LeaveOneSceneOutSplit() if text == LeaveOneSceneOutSplit.text else ScenesSplit.parse(text)


def find_scene(labels: Labels, name: str, split: str) -> ScenePart:
    """Return the part of a label map that belongs to the scene `name`.

    Parameters
    ----------
    labels : Labels
        Label map of several scenes.
    name : str
        Name of a scene or of one of its stores.
    split : str
        Text of the split, for error messages.

    Raises
    ------
    SplitError
        If no scene, or more than one scene, has the name.
    """
    parts = _parts(labels, split)
    found = [part for part in parts if name in part.names]
    if not found:
        known = [part.names[0] for part in parts]
        raise SplitError(f"{split}: no scene or store is named {name!r}; {suggest_names(name, known)}")
    if len(found) > 1:
        raise SplitError(f"{split}: {len(found)} scenes are named {name!r}: name them by their stores")
    return found[0]


def _parts(labels: Labels, split: str) -> tuple[ScenePart, ...]:
    if len(labels.parts) < 2:
        raise SplitError(
            f"{split} divides whole scenes, and all stores are of one scene: give the stores of several scenes, or split it by "
            "blocks:12+4:0.1 or random:0.1"
        )
    return labels.parts


def _draw(labels: Labels, masks: Mapping[Role, NDArray[np.bool_]], notes: tuple[str, ...]) -> SplitDraw:
    labelled = labels.classes != 0
    train, test, validate = (masks[role] & labelled for role in ROLES)
    classes = {side: set(np.unique(labels.classes[mask]).tolist()) for side, mask in (("train", train), ("test", test))}
    for side, empty in classes.items():
        if not empty:
            raise SplitError(
                f"the scenes to {side} have no labelled pixel: extract them with `labels=FILE`, or give others"
            )
    lone = {
        "training": classes["train"] - classes["test"],
        "test": classes["test"] - classes["train"],
    }
    for side, numbers in lone.items():
        if numbers:
            names = ", ".join(labels.class_names[number] for number in sorted(numbers))
            notes = (
                *notes,
                f"classes of the {side} scenes only are left out, since classes are matched by name: {names}",
            )
    common = classes["train"] & classes["test"]
    if len(common) < 2:
        raise SplitError(
            f"{format_count(len(common), 'class has', 'classes have')} labelled pixels in both training and test scenes, at least two are needed ("
            + "; ".join(
                f"only in {side} scenes: {', '.join(labels.class_names[n] for n in sorted(found)) or 'none'}"
                for side, found in lone.items()
            )
            + "): classes of several scenes are matched by name, so rename equal classes alike, or choose other scenes"
        )
    draw = make_draw(labels, train, test, notes)
    if not validate.any():
        return draw
    return replace(draw, validate_bits=np.packbits(validate & class_mask(labels, common)))


def _parse_roles(text: str, source: str) -> Sequence[tuple[str, Role]]:
    groups = [[name.strip() for name in group.split("+")] for group in source.split("/")]
    if not 2 <= len(groups) <= len(ROLES) or not all(map(all, groups)):
        raise SplitError(
            f"{text!r} must name training scenes, test scenes and, if any, validation scenes, such as scenes:A+B/C or "
            "scenes:A+B/C/D"
        )
    return [(name, role) for group, role in zip(groups, ROLES, strict=False) for name in group]


def _read_roles(text: str, file: Path) -> Sequence[tuple[str, Role]]:
    source = f"{text}: {file}"
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            raise SplitError(f"{source} is too large for a list of stores")
        content = read_regular(file).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise SplitError(
            f"{source} can't be read ({error}): give a CSV file with the columns {','.join(_COLUMNS)}"
        ) from error
    lines = content.splitlines()
    delimiter = max(_DELIMITERS, key=(lines or [""])[0].count)
    rows = read_lines(lines, delimiter, source, SplitError)
    columns = [name.strip() for name in next(rows, (0, []))[1]]
    if any(columns.count(name) != 1 for name in _COLUMNS):
        raise SplitError(
            f"{source} has the columns {', '.join(columns) or 'none'}; it needs {' and '.join(_COLUMNS)} once"
        )
    pairs: list[tuple[str, Role]] = []
    for line, fields in rows:
        values = dict(zip(columns, fields, strict=False))
        name, role = (values.get(column, "").strip() for column in _COLUMNS)
        if not name and not role:
            continue
        found = next((one for one in ROLES if one == role), None)
        if found is None or not name:
            raise SplitError(
                f"{source}, line {line}: a store has one of the roles {', '.join(ROLES)}; found {role!r} for {name!r}"
            )
        pairs.append((Path(name).name.removesuffix(".zarr"), found))
    return pairs
