"""Parse the text of a split, such as ``blocks:12+4:0.1``, into a rule that draws training and test pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from classifiers.splits.blocks import BlocksSplit
from classifiers.splits.far import FarSplit
from classifiers.splits.mask import MaskSplit, OfficialSplit
from classifiers.splits.random import PerClassSplit, RandomSplit
from classifiers.splits.scenes import SCENES_FORMS, ScenesSplit, parse_scenes
from classifiers.splits.split_draw import Split, SplitKind, SplitQuestion
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels

_FRACTION = r"(\d+(?:\.\d+)?|\.\d+)"
_PIXELS = r"([1-9]\d{0,8})"
_DISTANCE = r"(\d{1,9})"


@dataclass(frozen=True)
class _Form:
    """Form of a split: the parameters after the colon, and the split that they give.

    Attributes
    ----------
    parameters : str
        Names of the parameters, such as ``PX+BUFFER:F``.
    meaning : str
        Meaning of the parameters, and an example.
    pattern : str
        Regular expression with a group for each parameter.
    make : callable
        Function that takes the text of the split and the groups, and returns the split.
    """

    parameters: str
    meaning: str
    pattern: str
    make: Callable[..., Split]


_FORMS = {
    "random": _Form(
        "F",
        "with a fraction F between 0 and 1, such as random:0.3",
        _FRACTION,
        lambda text, fraction: RandomSplit(_parse_fraction(fraction, text)),
    ),
    "per-class": _Form(
        "N",
        "with a number N of pixels from 1, such as per-class:20",
        _PIXELS,
        lambda _, pixels: PerClassSplit(int(pixels)),
    ),
    "blocks": _Form(
        "PX+BUFFER:F",
        "with whole numbers of pixels and a fraction F, such as blocks:12+4:0.1",
        rf"{_PIXELS}\+{_DISTANCE}:{_FRACTION}",
        lambda text, px, buffer, fraction: BlocksSplit(int(px), int(buffer), _parse_fraction(fraction, text)),
    ),
    "far": _Form(
        "PX+DISTANCE:F",
        "with whole numbers of pixels and a fraction F, such as far:12+16:0.1",
        rf"{_PIXELS}\+{_DISTANCE}:{_FRACTION}",
        lambda text, px, distance, fraction: FarSplit(int(px), int(distance), _parse_fraction(fraction, text)),
    ),
    "mask": _Form(
        "TRAIN[,TEST]",
        "with one or two paths of label maps",
        r"([^,]+)(?:,([^,]+))?",
        lambda _, train, test: MaskSplit(train, test),
    ),
}
GRAMMAR = ", ".join([*(f"{word}:{form.parameters}" for word, form in _FORMS.items()), SCENES_FORMS, OfficialSplit.text])
_NO_MAPS: Mapping[str, Labels] = MappingProxyType({})


def parse_split(text: str, maps: Mapping[str, Labels] = _NO_MAPS) -> Split:
    """Parse the text of a split.

    Parameters
    ----------
    text : str
        One of:

        - ``random:F``: train on the fraction F of each class, but at least on 3 pixels of the class;
        - ``per-class:N``: train on N pixels of each class, but at most on half of a class;
        - ``blocks:PX+BUFFER:F``: train on whole blocks with a side of PX pixels. The blocks hold the fraction F of the
          labelled pixels. Training pixels within BUFFER pixels of a test pixel are dropped;
        - ``far:PX+DISTANCE:F``: train on all labelled pixels of some blocks, which are drawn as for ``blocks``. Test
          only on pixels that are more than DISTANCE pixels away from every training pixel;
        - ``scenes:A+B/C/D``: train on the scenes A and B, test on C and validate on D; ``/D`` can be omitted. A scene is
          given by its name or by the name of one of its stores;
        - ``scenes:@FILE``: train, test and validate on the scenes in a CSV file with the columns ``store`` and ``role``. A role
          is ``train``, ``test`` or ``validate``;
        - ``scenes:leave-one-out``: for the seed k, test on scene k, and train on all other scenes;
        - ``official``: train and test on the scene's label maps ``train`` and ``test``;
        - ``mask:TRAIN[,TEST]``: train and test on maps from files; without TEST, test on all other labelled pixels.
    maps : mapping of str to Labels
        Label maps of the scene, needed for ``official``.

    Returns
    -------
    Split
        The split, which draws training and test pixels with its method `draw`.

    Raises
    ------
    SplitError
        If the text does not follow the grammar. If a number is out of range. If the scene has no official split.

    Examples
    --------
    >>> parse_split("blocks:12+4:0.1")
    BlocksSplit(block_px=12, buffer_px=4, fraction=0.1)
    """
    if not isinstance(text, str):
        raise SplitError(f"a split is a text such as blocks:12+4:0.1; found {text!r}")
    if text == OfficialSplit.text:
        return OfficialSplit.from_maps(maps)
    if text.startswith("scenes:"):
        return parse_scenes(text)
    word, _, argument = text.partition(":")
    if word not in _FORMS:
        raise SplitError(f"unknown split {text!r}; allowed: {GRAMMAR}")
    form = _FORMS[word]
    if (match := re.fullmatch(form.pattern, argument)) is None:
        raise SplitError(f"the split {text!r} does not have the form {word}:{form.parameters} {form.meaning}")
    return form.make(text, *match.groups())


def parse_split_kind(text: str) -> SplitKind:
    """Return the kind of a split, ``random``, ``disjoint`` or ``fixed``, from the text of the split.

    >>> parse_split_kind("per-class:20"), parse_split_kind("blocks:12+4:0.1"), parse_split_kind("official")
    ('random', 'disjoint', 'fixed')
    """
    return _without_data(text).kind


def parse_split_question(text: str) -> SplitQuestion | None:
    """Return what a split tests: ``fill in``, ``carry over``, or None for a split ``mask:TRAIN[,TEST]``.

    ``fill in``: test pixels lie among training pixels. ``carry over``: test pixels lie in areas without training
    pixels.

    >>> parse_split_question("per-class:20"), parse_split_question("far:12+16:0.1"), parse_split_question("official")
    ('fill in', 'carry over', 'fill in')
    """
    return _without_data(text).question


def _without_data(text: str) -> type[OfficialSplit | ScenesSplit] | Split:
    """Return a split, or only its class if parsing it would need label maps or a file."""
    if text == OfficialSplit.text:
        return OfficialSplit
    return ScenesSplit if text.startswith("scenes:") else parse_split(text)


def reads_files(text: str) -> bool:
    """Return whether a split reads files that its text names.

    >>> reads_files("mask:train.tif"), reads_files("scenes:@roles.csv"), reads_files("scenes:a/b")
    (True, True, False)
    """
    return text.startswith(("mask:", "scenes:@"))


def crosses_scenes(text: str) -> bool:
    """Return whether a split trains and tests on different scenes.

    >>> crosses_scenes("scenes:a/b"), crosses_scenes("far:12+16:0.1")
    (True, False)
    """
    return text.startswith("scenes:")


def is_matched(text: str) -> bool:
    """Return whether a comparison limits the number of training pixels of a split.

    A comparison drops training pixels of the splits ``random:F`` and ``blocks:PX+BUFFER:F`` until these splits have
    equal numbers of training pixels. Other splits keep all training pixels.

    >>> is_matched("random:0.1"), is_matched("blocks:12+4:0.1"), is_matched("per-class:20"), is_matched("far:12+16:0.1")
    (True, True, False, False)
    """
    return text.startswith(("random:", "blocks:"))


def separate_splits(text: str) -> list[str]:
    """Return the splits of a comma-separated list.

    The comma within ``mask:TRAIN,TEST`` does not separate splits. A comma may follow the last split. An empty item anywhere
    else raises `SplitError`.

    >>> separate_splits("random:0.1,mask:a.npy,b.npy,official,per-class:5")
    ['random:0.1', 'mask:a.npy,b.npy', 'official', 'per-class:5']
    """
    splits: list[str] = []
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > 1 and not parts[-1]:
        del parts[-1]
    if not all(parts):
        raise SplitError(f"expected splits between commas; found {text!r}, with an empty item")
    for part in parts:
        starts_split = part == OfficialSplit.text or re.match(r"[a-z-]+:", part)
        if splits and splits[-1].startswith("mask:") and "," not in splits[-1] and not starts_split:
            splits[-1] += f",{part}"
        else:
            splits.append(part)
    return splits


def _parse_fraction(text: str, split: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise SplitError(f"{split}: the training fraction must lie between 0 and 1; found {text}")
    return value
