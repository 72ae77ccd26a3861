"""A small search for a head's parameters by folds of whole fields: it sees training pixels only."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid, PredefinedSplit

from classifiers.splits.region_folds import fold_fields
from hsifeat.errors import HeadError
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, silent

if TYPE_CHECKING:
    from classifiers.heads.base import Head
    from classifiers.table import PixelTable

FOLDS = 5
# Of fewer folds nobody can tell how much differences between candidates vary.
LEAST_FOLDS = 3


@dataclass(frozen=True)
class Candidate:
    """Parameters that were tried.

    Attributes
    ----------
    params : dict
        What was set.
    accuracy, deviation : float
        Mean and standard deviation over the folds of the overall accuracy.
    gain, gain_deviation : float
        The same of what it gains over the defaults, fold by fold; 0 in models of before that was kept.
    """

    params: dict[str, Any]
    accuracy: float
    deviation: float
    gain: float = 0.0
    gain_deviation: float = 0.0

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.params.items())


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    folds : str
        How training pixels were divided, in words.
    candidates : tuple of Candidate
        All that were tried, the defaults first; none where the training pixels can't be divided.
    chosen : Candidate or None
        What was taken; None where nothing was tried, and the defaults stay.
    """

    folds: str
    candidates: tuple[Candidate, ...] = ()
    chosen: Candidate | None = None

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        if self.chosen is None:
            return [f"not tuned, the defaults stay: {self.folds}"]
        stay = "the defaults stay, as nothing gains more than one standard deviation: "
        return [
            f"tuned by {self.folds}: {stay if self.chosen == self.candidates[0] else ''}{self.chosen}",
            *(
                f"  OA {c.accuracy:.1%} ± {c.deviation:.1%}, gain {100 * c.gain:+.1f} ± {100 * c.gain_deviation:.1f}  {c}"
                for c in self.candidates
            ),
            "  (folds lie among the training pixels: they give an order, not an accuracy)",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Tuning:
        """Read what `to_json` wrote, or earlier releases, which took the most accurate candidate."""
        candidates = tuple(Candidate(**c) for c in facts["candidates"])
        if "draws" in facts:
            return cls(f"{facts['draws']} draws of {facts['split']}", candidates, max(candidates, key=_accuracy))
        return cls(str(facts["folds"]), candidates, None if facts["chosen"] is None else Candidate(**facts["chosen"]))


def choose(candidates: tuple[Candidate, ...]) -> Candidate:
    """Return the most accurate candidate if it gains more than one standard deviation, else the first, the defaults.

    Among a dozen candidates some lead by chance; on other fields the defaults are then as good, or better.
    """
    best = max(candidates, key=_accuracy)
    return best if best.gain > best.gain_deviation else candidates[0]


def tune(head: Head, train: PixelTable, given: dict[str, Any], *, seed: int = 0, listen: Listener = silent) -> Tuning:
    """Try all combinations of a head's `search_space` on folds of its training pixels; see `fold_fields` and `choose`.

    Where fewer than two classes, or three folds, can be held out in whole fields, nothing is tried: candidates that are
    judged by the neighbours of what they learned from would be chosen for how well they remember.

    Parameters
    ----------
    head : Head
        Not fitted; it bears the parameters that stay.
    train : PixelTable
        The training pixels, and nothing else.
    given : dict
        Parameters that a person has set: they are not searched.
    seed : int
        Of the folds.
    listen : callable
        Gets the events of the run.

    Raises
    ------
    HeadError
        There is nothing to search.
    """
    # What weighs or reduces planes makes no difference to a table without any.
    space = {
        name: values
        for name, values in head.search_space.items()
        if name not in given and (train.layout.learned or not name.startswith("plane_"))
    }
    if not space:
        searched = ", ".join(head.search_space) or "nothing"
        raise HeadError(f"{type(head).__name__} has nothing left to tune: it searches {searched}; leave tuning out")
    fold = fold_fields(train.y, *train.at, FOLDS, seed=seed)
    folds, classes = len(np.unique(fold[fold >= 0])), len(np.unique(train.y[fold >= 0]))
    held = f"{classes} of {len(np.unique(train.y))} classes have several fields among the training pixels"
    if folds < LEAST_FOLDS or classes < 2:
        told = Tuning(f"{held}, and {folds} folds can be held out")
        listen(Note(told.lines()[0]))
        return told
    candidates = len(ParameterGrid(space))
    total, done = candidates * folds, 0

    def accuracy(fitted: Head, X: Any, y: Any) -> float:
        nonlocal done
        done += 1
        listen(Advanced("tune", done))
        return float(np.mean(fitted.predict(X) == y))

    listen(Note(f"tuning: {candidates} candidates, each fitted {folds} times"))
    listen(Started("tune", total, "fits"))
    search = GridSearchCV(head, space, scoring=accuracy, cv=PredefinedSplit(fold), refit=False, error_score="raise")
    search.fit(train.X, train.y)
    listen(Finished("tune"))
    found = search.cv_results_
    scores = np.stack([found[f"split{k}_test_score"] for k in range(folds)], axis=1)  # (candidates, folds)
    gains = scores - scores[0]
    tried = tuple(
        Candidate(params, *map(float, (own.mean(), own.std(ddof=1), gain.mean(), gain.std(ddof=1))))
        for params, own, gain in zip(found["params"], scores, gains, strict=True)
    )
    return Tuning(f"{folds} folds of whole fields ({held})", tried, choose(tried))


def _accuracy(candidate: Candidate) -> float:
    return candidate.accuracy
