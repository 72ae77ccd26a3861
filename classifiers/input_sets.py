"""Input sets: which kinds of columns a head learns from, written as words joined by plus signs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

from classifiers.heads.registry import head_class
from classifiers.layout import ColumnGroup, ColumnKind
from hsifeat.errors import HeadError, StoreError, suggest_names
from hsifeat.features.features import Features

# Sides in pixels: window of the mean spectrum, window of the plane means, and neighbourhood of a patch.
WINDOW_PX, MEANS_PX, PATCH_PX = 5, 48, 3
# Largest side of a neighbourhood in pixels.
MAX_PATCH_PX = 99

# For each word: the kind of its columns, and whether the columns come from planes. Canonical names list words in this order.
WORDS: dict[str, tuple[ColumnKind, bool]] = {
    "spectra": ("spectra", False),
    "window": ("mean", False),
    "spectral-patches": ("patch", False),
    "context": ("context", True),
    "planes": ("plane", True),
    "means": ("mean", True),
    "patches": ("patch", True),
}
# Placeholder for the input set that `suited_input` returns.
SUITED = "suited"

# Accuracies with and without context, from the study in docs/user/results.md. Tests compare them with the study's results.
WORTH_OF_CONTEXT = (
    "5 labels per class gave 83 % on Indian Pines with one, 71 % with planes of natural32, and 64 % without both"
)

_FROM_NETWORKS = frozenset({"planes", "means", "patches"})
# Words that may end in a colon and the side of the neighbourhood.
_SIDED = frozenset({"patches", "spectral-patches"})


@dataclass(frozen=True)
class InputSet:
    """Set of words, each of which adds columns to a table.

    - ``spectra``: the spectrum of the pixel;
    - ``window``: the mean spectrum of the 5x5 pixels around the pixel;
    - ``spectral-patches``: the spectra of the 3x3 pixels around the pixel;
    - ``context``: the planes of context stores;
    - ``planes``: the planes of all other stores;
    - ``means``: the same planes, averaged over the 48x48 pixels around the pixel;
    - ``patches``: the same planes at each of the 3x3 pixels around the pixel.

    An odd number after ``patches:`` or ``spectral-patches:`` sets another side. For example, ``patches:13`` adds 13x13
    pixels.

    Attributes
    ----------
    words : frozenset of str
        The words, such as ``spectra`` or ``patches:13``. The default side, 3, is not written.

    Examples
    --------
    >>> inputs = InputSet.parse("planes+context+spectra")
    >>> str(inputs), inputs.uses_context, inputs.uses_planes
    ('spectra+context+planes', True, True)
    >>> str(InputSet.parse("patches:13+spectra")), str(InputSet.parse("patches:3"))
    ('spectra+patches:13', 'patches')
    """

    words: frozenset[str]

    @classmethod
    @cache
    def parse(cls, text: str) -> Self:
        """Parse words joined by plus signs, in any order.

        Raises
        ------
        HeadError
            If there is no word. If a word is unknown or occurs twice. If the side of a neighbourhood is not an odd
            number from 1 to 99.
        """
        sides: dict[str, int | None] = {}
        for part in text.split("+"):
            word, colon, side = part.strip().partition(":")
            if word not in WORDS:
                raise HeadError(
                    f"unknown input {text!r}: an input joins words by plus signs, and {word!r} is none of them; "
                    f"{suggest_names(word, WORDS)}"
                )
            if word in sides:
                raise HeadError(f"the input {text!r} has the word {word} twice: give each word once")
            if colon:
                _check_side(text, word, side)
            sides[word] = int(side) if colon else None
        return cls(frozenset(_with_side(word, side) for word, side in sides.items()))

    def __str__(self) -> str:
        order = list(WORDS)
        return "+".join(sorted(self.words, key=lambda word: order.index(_name(word))))

    @property
    def kinds(self) -> frozenset[str]:
        """Kinds of the columns in the set, such as ``mean``; see `ColumnGroup.input_kind`."""
        return frozenset(_INPUT_KINDS[_name(word)] for word in self.words)

    @property
    def sides(self) -> dict[str, int]:
        """Map the words ``patches`` and ``spectral-patches``, if they are in the set, to their sides in pixels."""
        return {_name(word): _side(word) for word in self.words if _name(word) in _SIDED}

    @property
    def uses_spectra(self) -> bool:
        """Whether the set has the word ``spectra``, ``window`` or ``spectral-patches``."""
        return any(not WORDS[_name(word)][1] for word in self.words)

    @property
    def uses_context(self) -> bool:
        """Whether the set has the word ``context``."""
        return "context" in self.words

    @property
    def uses_planes(self) -> bool:
        """Whether the set has the word ``planes``, ``means`` or ``patches``."""
        return not _FROM_NETWORKS.isdisjoint(map(_name, self.words))

    def with_context_for_planes(self) -> InputSet:
        """Return this set with the word ``context`` in place of ``planes``, ``means`` and ``patches``."""
        return InputSet(frozenset(word for word in self.words if _name(word) not in _FROM_NETWORKS) | {"context"})

    def includes(self, group: ColumnGroup) -> bool:
        """Return whether a column group belongs to the set."""
        return any(
            (group.kind, group.layer is not None) == WORDS[_name(word)]
            and (group.kind != "patch" or group.size == _side(word))
            for word in self.words
        )


def suited_input(head: str, features: Features, *, other_scenes: bool = False) -> InputSet:
    """Return the input set that suits a head and the stores.

    The first of these rules that applies determines the set:

    - If the head needs neighbourhoods, the set has only ``patches``, ``spectral-patches`` or both. The side of
      the neighbourhoods is the attribute `patch_px` of the head.
    - If there is a context store and the head can use context, the set is ``spectra+window+context``. Adding planes did
      not raise the accuracy in the study of ``docs/user/results.md``. If `other_scenes` is True, and the head can learn
      from ``spectra+window`` alone, ``context`` is left out: it lowered the accuracy on scenes without training pixels.
    - Otherwise, the set is ``spectra+planes``. If `Head.wants` has the column kind ``patch``, the set also has
      ``patches``, except for stores of listed pixels (``--pixels``). If the set has no ``patches`` and `Head.wants` has
      the column kind ``mean``, the set also has ``means``.

    Parameters
    ----------
    head : str
        Name of the head.
    features : Features
        Features of the stores.
    other_scenes : bool
        Whether the head is trained and tested on different scenes.
    """
    cls = head_class(head)
    patches = _with_side("patches", cls.patch_px)
    if "spectral-patch" in cls.needs:
        words = {_with_side("spectral-patches", cls.patch_px)}
        return InputSet(frozenset(words | ({patches} if features.has_planes(context=False) else set())))
    if "patch" in cls.needs:
        return InputSet(frozenset({patches}))
    if _takes_context(head) and features.has_planes(context=True) and "plane" not in cls.needs:
        local = InputSet(frozenset({"spectra", "window"}))
        return local if other_scenes and fits(local, head) else InputSet(local.words | {"context"})
    words = {"spectra", "planes"}
    if "patch" in cls.wants and features.covers_scene:
        words.add(patches)
    elif "mean" in cls.wants:
        words.add("means")
    return InputSet(frozenset(words))


def suited_remark(head: str, features: Features, *, other_scenes: bool = False) -> str:
    """Return a remark on inputs that `suited_input` leaves out; an empty string if no input is left out.

    If there is no context store, the remark names the command that makes one. Otherwise, the remark names an input set
    with the context or the planes that were left out.

    Parameters
    ----------
    head : str
        Name of the head.
    features : Features
        Features of the stores.
    other_scenes : bool
        Whether the head is trained and tested on different scenes.
    """
    if not _takes_context(head):
        return ""
    suited = suited_input(head, features, other_scenes=other_scenes)
    if features.has_planes(context=True) and not suited.uses_context and other_scenes:
        return "context is not used, because it lowered the accuracy on other scenes: `inputs='spectra+window+context'` adds it"
    if not features.has_planes(context=True):
        return f"no context store is given: {WORTH_OF_CONTEXT}; hsifeat extract {features.scene.name} --backbone context makes one"
    if features.has_planes(context=False) and not suited.uses_planes:
        return "planes are not used beside context, where those of natural32 gained nothing from few labels on three scenes: `inputs='spectra+window+context+planes'` adds them"
    return ""


def layout_options(inputs: Iterable[InputSet], features: Features) -> dict[str, Any]:
    """Return arguments of `make_layout` for a table with the columns of several input sets.

    The argument `planes` is not included.

    Window means of planes have a side of 48 px, the patch size of MTMSD. For a store of listed pixels (``--pixels``),
    they have the side that ``--tile`` set for the extraction.
    """
    sets = list(inputs)
    words = frozenset[str]().union(*(one.words for one in sets))
    sides = {word: sorted({one.sides[word] for one in sets if word in one.sides}) for word in _SIDED}
    return {
        "spectra": "spectra" in words,
        "window": WINDOW_PX if "window" in words else None,
        "spectral_patch": sides["spectral-patches"],
        "context": None if "context" in words else [],
        "means": features.window_px(MEANS_PX) if "means" in words else None,
        "patch": sides["patches"],
    }


def fits(inputs: InputSet, head: str) -> bool:
    """Return whether a head can learn from an input set.

    The set must have all kinds of columns that the head needs, and no kind of columns that the head ignores.
    """
    cls = head_class(head)
    return not cls.missing_kinds(inputs.kinds) and not cls.ignores & inputs.kinds


def check_input(inputs: InputSet, head: str, features: Features) -> None:
    """Check that a head can learn from an input set, and that the stores have the planes of the set.

    Parameters
    ----------
    inputs : InputSet
        The input set.
    head : str
        Name of the head.
    features : Features
        Store or stores of a scene.

    Raises
    ------
    HeadError
        If the input lacks a column kind that the head needs. If the input has a column kind that the head ignores.
    StoreError
        If the input has ``context``, but there is no context store. If the input has ``planes``, ``means`` or
        ``patches``, but all stores are context stores.
    """
    cls = head_class(head)
    missing = cls.missing_kinds(inputs.kinds)
    if missing:
        needs = " and ".join(" or ".join(map(_word, kinds.split(" or "))) for kinds in missing)
        raise HeadError(f"the head {head} needs {needs}, which the input {inputs} lacks")
    if cls.ignores & inputs.kinds:
        unused = " and ".join(sorted(_word(kind) for kind in cls.ignores & inputs.kinds))
        raise HeadError(
            f"the head {head} does not use {unused}: leave it out of the input {inputs}, or take another head"
        )
    check_stores(inputs, features)


def check_stores(inputs: InputSet, features: Features) -> None:
    """Raise `StoreError` if the planes of an input set are missing in the stores.

    The error message contains the call of `extract` that computes the missing planes.
    """
    scene = features.scene.name
    if inputs.uses_context and not features.has_planes(context=True):
        raise StoreError(
            f"the input {inputs} needs the planes of a context store, and {features.name} is none: extract one by "
            f"hsifeat.extract(features.scene, backbone='context'), or hsifeat extract SCENE --backbone context with the file or "
            f"name of {scene}, and give it beside the other stores"
        )
    if inputs.uses_planes and not features.has_planes(context=False):
        raise StoreError(
            f"the input {inputs} needs planes of a diffusion model, and {features.name} has none: extract a store with "
            f"hsifeat extract SCENE --backbone NAME, with the file or name of {scene}, and give it beside the others, or leave "
            "planes out of `inputs`"
        )


def has_context(stores: Iterable[Features]) -> bool:
    """Return whether at least one of `stores` has context features (made with ``--backbone context``)."""
    return any(features.has_planes(context=True) for features in stores)


def _takes_context(head: str) -> bool:
    return "context" not in head_class(head).ignores


def _word(kind: str) -> str:
    """Return the word in `WORDS` for an input kind, such as ``patches`` for ``patch``.

    A kind without a word is returned unchanged. ``mean`` has two words; the word for planes is returned.
    """
    words = {input_kind: word for word, input_kind in _INPUT_KINDS.items()}
    return words.get(kind, kind)


def _check_side(text: str, word: str, side: str) -> None:
    if word not in _SIDED:
        raise HeadError(
            f"unknown input {text!r}: only {' and '.join(sorted(_SIDED))} have a side, such as patches:13; found {word}:{side}"
        )
    if not (side.isdecimal() and side.isascii() and 1 <= int(side) <= MAX_PATCH_PX and int(side) % 2):
        raise HeadError(
            f"unknown input {text!r}: the side of {word} is an odd number of pixels from 1 to {MAX_PATCH_PX}; found {side!r}"
        )


def _with_side(word: str, side: int | None) -> str:
    return word if side in (None, PATCH_PX) else f"{word}:{side}"


def _name(word: str) -> str:
    return word.partition(":")[0]


def _side(word: str) -> int:
    return int(word.partition(":")[2] or PATCH_PX)


# The input kind of each word; see `ColumnGroup.input_kind`.
_INPUT_KINDS = {
    word: ColumnGroup(kind, 0, 1, layer="layer" if stored else None).input_kind
    for word, (kind, stored) in WORDS.items()
}
