"""One head under one draw of a split: tuned, fitted, scored, and how much of the score may be leakage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from classifiers.heads.registry import make_head
from classifiers.heads.torch.training import listening
from classifiers.metrics import Scores, score
from classifiers.splits import Draw, Leakage, Split, contexts_of, leakage, parse_split, thin
from classifiers.splits.draw import Kind
from classifiers.table import PixelTable
from classifiers.tune import Tuning, tune
from hsifeat.errors import SplitError
from hsifeat.features.features import Features
from hsifeat.runtime.events import Listener, silent

if TYPE_CHECKING:
    from classifiers.heads.base import Head

# Stands beside every score under a random split, which can't be read alone.
DISJOINT = "blocks:12+4:0.1"


@dataclass(frozen=True)
class Trial:
    """A head's scores under one draw of a split.

    Attributes
    ----------
    split, kind : str
        The split in the grammar, and how its test pixels lie to the training pixels.
    train_pixels : int
        How many pixels the head learned from.
    scores : Scores
        On the test pixels.
    leakage : Leakage
        What the draw leaks to the columns that the head takes.
    context : str
        Which pixels those columns see, in words.
    left_out : tuple of int
        Classes that the split left out.
    notes : tuple of str
        What a user should know of the draw.
    tuning : Tuning or None
        How its parameters were chosen within the training pixels, if they were.
    """

    split: str
    kind: Kind
    train_pixels: int
    scores: Scores
    leakage: Leakage
    context: str
    left_out: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    tuning: Tuning | None = None

    def lines(self, class_names: Mapping[int, str]) -> list[str]:
        """Say it in a few lines of text: scores, leakage, classes left out, notes."""
        oa, aa, kappa = self.scores.oa, self.scores.aa, self.scores.kappa
        said = [f"{self.split}: OA {oa:.1%}, AA {aa:.1%}, kappa {kappa:.3f} after {self.train_pixels} training pixels"]
        said.append(f"  leakage: {self.leakage} (context: {self.context})")
        if self.left_out:
            said.append("  left out: " + ", ".join(class_names[c] for c in self.left_out))
        if self.tuning is not None:
            said += [f"  {line}" for line in self.tuning.lines()]
        return [*said, *(f"  {note}" for note in self.notes)]


@dataclass(frozen=True)
class Trials:
    """A head that is fitted and scored on the labelled pixels of a store, whatever the split.

    Attributes
    ----------
    features : Features
        The store.
    table : PixelTable
        Its labelled pixels, with the columns that the head takes.
    head : str
        Name of the head.
    seed : int
        Seed of the disjoint split, and of the head unless `params` has a `random_state`.
    params : dict
        Parameters of the head.
    tune : bool
        Whether to choose others by a search within the training pixels, anew for each fit.
    listen : callable
        Gets the events of searches.
    """

    features: Features
    table: PixelTable
    head: str
    seed: int
    params: dict[str, Any]
    tune: bool = False
    listen: Listener = silent

    def fit(self, train: PixelTable) -> tuple[Head, Tuning | None]:
        """Fit on all rows of a table, tuned on them if that is wanted."""
        made = make_head(self.head, layout=train.layout, **self.params)
        if "random_state" in made.get_params() and "random_state" not in self.params:
            made.set_params(random_state=self.seed)
        found = tune(made, train, self.params, seed=self.seed, listen=self.listen) if self.tune else None
        if found is not None and found.chosen is not None:
            made.set_params(**found.chosen.params)
        with listening(self.listen):
            return made.fit(train.X, train.y), found

    def run(self, rule: Split, draw: Draw) -> tuple[Head, Trial]:
        """Fit on the training pixels of a draw and score on its test pixels."""
        at = self.table.at
        train, test = self.table[draw.train[at]], self.table[draw.test[at]]
        fitted, tuning = self.fit(train)
        contexts = contexts_of(self.features, self.table.layout)
        return fitted, Trial(
            split=rule.text,
            kind=rule.kind,
            train_pixels=len(train),
            scores=score(test.y, fitted.predict(test.X)),
            leakage=leakage(draw, contexts),
            context=" and ".join(sorted({str(one) for one in contexts})),
            left_out=draw.left_out,
            notes=draw.notes,
            tuning=tuning,
        )

    def beside(self, train_pixels: int) -> Trial | None:
        """Run the disjoint split, with at most as many training pixels; None where the labels can't be split so."""
        rule = parse_split(DISJOINT)
        try:
            draw = rule.draw(self.table.labels, self.seed)
        except SplitError:
            return None
        return self.run(rule, thin(draw, self.table.labels, train_pixels, self.seed))[1]
