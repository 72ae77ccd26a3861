"""Parse the text of a split, such as ``blocks:12+4:0.1``, into a rule that draws training and test pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from classifiers.splits.blocks import BlocksSplit
from classifiers.splits.mask import MaskSplit, OfficialSplit
from classifiers.splits.random import PerClassSplit, RandomSplit
from classifiers.splits.split_draw import Split, SplitKind
from hsifeat.errors import SplitError
from hsifeat.scenes import Labels

GRAMMAR = "random:F, per-class:N, blocks:PX+BUFFER:F, official or mask:TRAIN[,TEST]"
_NO_MAPS: Mapping[str, Labels] = MappingProxyType({})


def parse_split(text: str, maps: Mapping[str, Labels] = _NO_MAPS) -> Split:
    """Read a split.

    Parameters
    ----------
    text : str
        In the grammar.
    maps : mapping of str to Labels
        The scene's label maps, of which ``official`` takes ``train`` and ``test``.

    Raises
    ------
    SplitError
        Not in the grammar, a number out of range, or ``official`` of a scene without its two maps.

    Examples
    --------
    >>> parse_split("blocks:12+4:0.1")
    BlocksSplit(block_px=12, buffer_px=4, fraction=0.1)
    """
    number = r"(\d+(?:\.\d+)?|\.\d+)"
    if match := re.fullmatch(rf"random:{number}", text):
        return RandomSplit(_fraction(match[1], text))
    if match := re.fullmatch(r"per-class:([1-9]\d*)", text):
        return PerClassSplit(int(match[1]))
    if match := re.fullmatch(rf"blocks:([1-9]\d*)\+(\d+):{number}", text):
        return BlocksSplit(int(match[1]), int(match[2]), _fraction(match[3], text))
    if match := re.fullmatch(r"mask:([^,]+)(?:,([^,]+))?", text):
        return MaskSplit(match[1], match[2])
    if text == OfficialSplit.text:
        return OfficialSplit.of(maps)
    raise SplitError(f"unknown split {text!r}; allowed: {GRAMMAR}")


def parse_split_kind(text: str) -> SplitKind:
    """Tell how test pixels lie to training pixels under a split, from its text alone.

    >>> kind_of("per-class:20"), kind_of("blocks:12+4:0.1"), kind_of("official")
    ('random', 'disjoint', 'fixed')
    """
    return OfficialSplit.kind if text == OfficialSplit.text else parse_split(text).kind


def separate_splits(text: str) -> list[str]:
    """Separate splits by commas; the comma within ``mask:TRAIN,TEST`` belongs to the mask.

    >>> separate("random:0.1,mask:a.npy,b.npy,official,per-class:5")
    ['random:0.1', 'mask:a.npy,b.npy', 'official', 'per-class:5']
    """
    splits: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        begins = part == OfficialSplit.text or re.match(r"[a-z-]+:", part)
        if splits and splits[-1].startswith("mask:") and "," not in splits[-1] and not begins:
            splits[-1] += f",{part}"
        else:
            splits.append(part)
    return splits


def _fraction(text: str, split: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise SplitError(f"{split}: the fraction that trains lies between 0 and 1; found {text}")
    return value
