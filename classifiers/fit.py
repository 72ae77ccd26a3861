"""One head, fitted on one store and kept with all that prediction needs to know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.columns import size_bytes
from classifiers.evaluate import DISJOINT, Trial, Trials
from classifiers.feature_sets import check_input, columns_of, has_planes, suited_input
from classifiers.heads.registry import make_head
from classifiers.layout import Layout
from classifiers.model_card import ModelCard
from classifiers.persistence import load_model, save_model
from classifiers.splits import parse_split
from classifiers.table import PixelTable
from classifiers.tune import Tuning
from hsifeat.errors import HeadError, StoreError
from hsifeat.features.features import Features, PlaneLike
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes.maps import Legend
from hsifeat.types import PlaneId

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
    tuning : Tuning or None
        How its parameters were chosen, if they were.
    about : About or None
        Store, labels, split, seed, inputs and scores, kept with the model; None in models of before that.
    """

    head: Head
    layout: Layout
    class_names: dict[int, str]
    class_colours: dict[int, str]
    recipe: dict[str, Any]
    train_pixels: int
    trial: Trial | None = None
    beside: Trial | None = None
    tuning: Tuning | None = None
    about: ModelCard | None = None

    @property
    def legend(self) -> Legend:
        """The classes that the head tells apart, with their names and colours."""
        return Legend.of(self.head.classes_, self.class_names, self.class_colours)

    def lines(self) -> list[str]:
        """Say how it did in a few lines of text; under a random split also how the head does under a disjoint one."""
        if self.trial is None:
            return [] if self.tuning is None else self.tuning.lines()
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
            "tuning": None if self.tuning is None else self.tuning.to_json(),
            "about": None if self.about is None else self.about.model_dump(mode="json"),
        }
        save_model(self.head, folder, meta=meta)

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read what `save` wrote; `HeadError` for a damaged or foreign folder."""
        head, meta = load_model(folder)
        try:
            if head.layout is None:
                raise ValueError("no layout")  # noqa: TRY301  # told below, with the other things that may be missing
            tuning, about = meta.get("tuning"), meta.get("about")
            return cls(
                head=head,
                layout=head.layout,
                class_names={int(c): str(n) for c, n in meta["class_names"].items()},
                class_colours={int(c): _colour(n) for c, n in meta["class_colours"].items()},
                recipe=dict(meta["recipe"]),
                train_pixels=int(meta["train_pixels"]),
                tuning=None if tuning is None else Tuning.from_json(tuning),
                about=None if about is None else ModelCard.model_validate(about),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise HeadError(
                f"{folder} holds no model that hsifeat fit wrote ({error}): it can't be used on a store"
            ) from error

    def check(self, features: Features) -> None:
        """Refuse a store whose columns do not mean what the head learned; scenes may differ.

        Raises
        ------
        HeadError
            Naming what differs: planes, fields of the recipe, bands, means or neighbourhoods that the store does not
            have, or the scene where the head learned positions.
        """
        self._check_bands(features)
        self._check_planes(features)
        if any(group.kind == "position" for group in self.layout) and features.recipe["scene"] != self.recipe["scene"]:
            raise HeadError(
                f"this head learned positions in another scene, which mean nothing in {features.scene.name}: fit one "
                "without positions"
            )

    def _check_bands(self, features: Features) -> None:
        for group in self.layout:
            pixels = (group.size or 1) ** 2 if group.kind == "patch" else 1
            if group.layer is None and group.kind != "position" and group.width != features.shape[2] * pixels:
                raise HeadError(
                    f"this head learned from spectra of {group.width // pixels} bands; {features.name} has {features.shape[2]}"
                )

    def _check_planes(self, features: Features) -> None:
        if not self.layout.learned:
            return
        learned, found = _stores(self.recipe), _stores(features.recipe)
        if learned != found:
            raise HeadError(
                f"this head learned from {learned} store(s) side by side; found {found}: give as many, in the same order"
            )
        wrong = features.differences(self.recipe)
        if wrong:
            fields = ", ".join(f"{name}: {str(a)[:20]} there, {str(b)[:20]} learned" for name, a, b in wrong[:5])
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            raise HeadError(
                f"the planes of {features.name} come from another recipe than this head learned from: {fields}{more}"
            )
        there = {plane.id: plane for plane in features.planes}
        ids = [PlaneId(g.t, g.layer) for g in self.layout if g.t is not None and g.layer is not None]
        missing = [str(one) for one in dict.fromkeys(ids) if one not in there]
        if missing:
            raise HeadError(
                f"this head learned from planes that {features.name} does not have, or not completely: "
                f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}; extract them, or fit on what is there"
            )
        for group, one in zip(self.layout.learned, ids, strict=True):
            plane = there[one]
            pixels = (group.size or 1) ** 2 if group.kind == "patch" else 1
            if group.width != plane.channels * pixels:
                raise HeadError(
                    f"this head learned from {group.width // pixels} channels of {one}; {features.name} has {plane.channels}"
                )
            side = features.owner(plane)[0].window_px
            if side is not None and (group.kind == "patch" or (group.kind == "mean" and group.size != side)):
                raise HeadError(
                    f"this head learned from {group}; {features.name} lists pixels, with means over {side} px and no "
                    "neighbourhoods: extract the scene without --pixels"
                )


def _stores(recipe: Mapping[str, Any]) -> int:
    """Count the stores of a recipe, as `hsifeat.features.stack.Stack` tells them."""
    return len(recipe.get("stores", [recipe]))


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
    tune: bool = False,
    listen: Listener = silent,
) -> Model:
    """Fit one head on a store.

    Parameters
    ----------
    features : Features
        The store.
    head : str
        Name of the head.
    inputs : str, optional
        Of `classifiers.feature_sets.INPUTS`; by default what suits the head, see `suited_input`.
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
    tune : bool
        Choose the parameters of the head's `search_space` that are not in `params`, by folds within the training pixels;
        see `classifiers.tune.tune`.
    listen : callable
        Gets the events of the run.

    Raises
    ------
    HsifeatError
        Anything unknown, or labels that can't be split so.
    """
    make_head(head, **params or {})  # what it refuses is told before anything is read
    chosen = inputs or suited_input(head, features)
    check_input(chosen, head)
    if has_planes(chosen) and not features.select(planes):
        raise StoreError(f"{features.name} has no plane to learn from: name some with --planes, or --inputs spectra")
    rule = None if split is None else parse_split(split, features.scene.labels)
    table = PixelTable.from_store(
        features,
        labels=labels,
        planes=planes if has_planes(chosen) else [],
        **columns_of([chosen], features),
    )
    size = size_bytes(len(table), table.layout) / 1e6
    listen(Note(f"{chosen}: {len(table)} labelled pixels, {table.layout.width} columns, {size:.0f} MB"))
    trials = Trials(features, table, head, seed, dict(params or {}), tune, listen)
    trial, beside = None, None
    if rule is None:
        fitted, tuning = trials.fit(table)
    else:
        fitted, trial = trials.run(rule, rule.draw(table.labels, seed))
        tuning = trial.tuning
        if rule.kind == "random":
            beside = trials.beside(trial.train_pixels)
    scored = tuple(one for one in (trial, beside) if one is not None)
    return Model(
        head=fitted,
        layout=table.layout,
        class_names=table.labels.class_names,
        class_colours=table.labels.class_colours,
        recipe=features.recipe,
        train_pixels=len(table) if trial is None else trial.train_pixels,
        trial=trial,
        beside=beside,
        tuning=tuning,
        about=ModelCard.of(features, table.labels.name, chosen, None if rule is None else rule.text, seed, scored),
    )
