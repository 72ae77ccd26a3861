"""One head, fitted on one store and kept with all that prediction needs to know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.inputs import check_input, has_planes, picks
from classifiers.layout import Layout
from classifiers.persistence import load_model, save_model
from classifiers.splits import parse_split
from classifiers.table import WINDOW_PX, PixelTable
from classifiers.trials import DISJOINT, Trial, Trials
from hsifeat.errors import HeadError, StoreError
from hsifeat.features import Features, PlaneLike
from hsifeat.scenes.maps import Legend

if TYPE_CHECKING:
    from classifiers.heads.base import Head


@dataclass(frozen=True)
class Model:
    """A fitted head with what it was fitted on.

    Attributes
    ----------
    head : Head
        Fitted.
    layout : Layout
        The columns it takes.
    class_names, class_colours : dict
        Of the label map that it learned, by class number.
    recipe : dict
        Canonical recipe of the store.
    train_pixels : int
        How many pixels it learned from.
    trial : Trial or None
        How it did on the test pixels of the split; None when all labelled pixels trained.
    beside : Trial or None
        Under a random split, how the same head does when it learns from the training pixels of a disjoint one, at most as
        many; None where the labels can't be split so.
    """

    head: Head
    layout: Layout
    class_names: dict[int, str]
    class_colours: dict[int, str]
    recipe: dict[str, Any]
    train_pixels: int
    trial: Trial | None = None
    beside: Trial | None = None

    @property
    def legend(self) -> Legend:
        """The classes that the head tells apart, with their names and colours."""
        return Legend.of(self.head.classes_, self.class_names, self.class_colours)

    def lines(self) -> list[str]:
        """Say how it did in a few lines of text; under a random split also how the head does under a disjoint one."""
        if self.trial is None:
            return []
        said = self.trial.lines(self.class_names)
        if self.beside is not None:
            said += ["beside it, the same head fitted anew under a split that keeps test pixels apart:"]
            said += self.beside.lines(self.class_names)
        elif self.trial.kind == "random":
            said.append(f"the labels can't be split by {DISJOINT}, so nothing tells how much of this score is leakage")
        return said

    def save(self, folder: Path) -> None:
        """Write the model as a folder; nothing in it is ever unpickled."""
        meta = {
            "class_names": {str(c): n for c, n in self.class_names.items()},
            "class_colours": {str(c): n for c, n in self.class_colours.items()},
            "recipe": self.recipe,
            "train_pixels": self.train_pixels,
        }
        save_model(self.head, folder, meta=meta)

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read what `save` wrote; `HeadError` for a damaged or foreign folder."""
        head, meta = load_model(folder)
        try:
            if head.layout is None:
                raise ValueError("no layout")  # noqa: TRY301  # told below, with the other things that may be missing
            return cls(
                head=head,
                layout=head.layout,
                class_names={int(c): str(n) for c, n in meta["class_names"].items()},
                class_colours={int(c): _colour(n) for c, n in meta["class_colours"].items()},
                recipe=dict(meta["recipe"]),
                train_pixels=int(meta["train_pixels"]),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise HeadError(
                f"{folder} holds no model that hsifeat fit wrote ({error}): it can't be used on a store"
            ) from error

    def check(self, features: Features) -> None:
        """Raise `HeadError` unless a store's planes come from the recipe that the head learned from; scenes may differ."""
        bands = {group.width for group in self.layout.spectral}
        if bands - {features.shape[2]}:
            raise HeadError(
                f"this head learned from spectra of {bands.pop()} bands; {features.name} has {features.shape[2]}"
            )
        wrong = features.differences(self.recipe)
        if wrong and self.layout.learned:
            fields = ", ".join(f"{name}: {str(a)[:20]} there, {str(b)[:20]} learned" for name, a, b in wrong[:5])
            raise HeadError(
                f"the planes of {features.name} come from another recipe than this head learned from: {fields}"
            )


def _colour(text: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{text!r} is no colour")
    return text


def fit_model(
    features: Features,
    head: str,
    *,
    inputs: str | None = None,
    labels: str | None = None,
    split: str | None = None,
    planes: Sequence[PlaneLike] | None = None,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,
) -> Model:
    """Fit one head on a store.

    Parameters
    ----------
    features : Features
        The store.
    head : str
        Name of the head.
    inputs : str, optional
        ``spectra``, ``spectra+window``, ``planes`` or ``spectra+planes``, the default.
    labels : str, optional
        Name of a label map in the store.
    split : str, optional
        Train on its training pixels and score the others; by default all labelled pixels train and nothing is scored. For
        a random split the head is fitted once more, to say how it does under a disjoint one.
    planes : sequence, optional
        As `Features.select` takes them; by default all.
    seed : int
        Seed of the split and of the head.
    params : mapping, optional
        Parameters of the head.

    Raises
    ------
    HsifeatError
        Anything unknown, or labels that can't be split so.
    """
    chosen = inputs or "spectra+planes"
    check_input(chosen, head)
    if has_planes(chosen) and not features.select(planes):
        raise StoreError(f"{features.name} has no plane to learn from: name some with --planes, or --inputs spectra")
    rule = None if split is None else parse_split(split, features.scene.labels)
    table = PixelTable.from_store(features, labels=labels, planes=planes, window=WINDOW_PX).take(picks(chosen))
    trials = Trials(features, table, head, seed, dict(params or {}))
    trial, beside = None, None
    if rule is None:
        fitted = trials.fit(table)
    else:
        fitted, trial = trials.run(rule, rule.draw(table.labels, seed))
        if rule.kind == "random":
            beside = trials.beside(trial.train_pixels)
    return Model(
        head=fitted,
        layout=table.layout,
        class_names=table.labels.class_names,
        class_colours=table.labels.class_colours,
        recipe=features.recipe,
        train_pixels=len(table) if trial is None else trial.train_pixels,
        trial=trial,
        beside=beside,
    )
