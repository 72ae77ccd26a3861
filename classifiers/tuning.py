"""A small search for a head's parameters by nested spatial folds: it sees training pixels only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.model_selection import GridSearchCV, ParameterGrid

from hsifeat.errors import HeadError, SplitError
from hsifeat.work.events import Advanced, Finished, Listener, Note, Started, silent

if TYPE_CHECKING:
    from classifiers.heads.base import Head
    from classifiers.table import PixelTable

# Half of the training pixels in small blocks: their pixels lie apart, and few classes are lost.
FOLDS = "blocks:6+1:0.5"
DRAWS = 3


@dataclass(frozen=True)
class Candidate:
    """Parameters that were tried.

    Attributes
    ----------
    params : dict
        What was set.
    accuracy, deviation : float
        Mean and standard deviation over the folds of the overall accuracy.
    """

    params: dict[str, Any]
    accuracy: float
    deviation: float

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.params.items())


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Attributes
    ----------
    split : str
        How training pixels were divided, in the grammar of splits.
    draws : int
        How many times.
    candidates : tuple of Candidate
        All that were tried.
    """

    split: str
    draws: int
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate:
        """The most accurate candidate; of equals the first, which is nearest to the defaults."""
        return max(self.candidates, key=lambda candidate: candidate.accuracy)

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        said = f"tuned by {self.draws} draws of {self.split} within the training pixels: {self.chosen}"
        return [said, *(f"  OA {c.accuracy:.1%} ± {c.deviation:.1%}  {c}" for c in self.candidates)]

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        candidates = [{"params": c.params, "accuracy": c.accuracy, "deviation": c.deviation} for c in self.candidates]
        return {"split": self.split, "draws": self.draws, "candidates": candidates}

    @classmethod
    def from_json(cls, facts: dict[str, Any]) -> Tuning:
        """Read what `to_json` wrote."""
        candidates = (
            Candidate(dict(c["params"]), float(c["accuracy"]), float(c["deviation"])) for c in facts["candidates"]
        )
        return cls(str(facts["split"]), int(facts["draws"]), tuple(candidates))


def tune(head: Head, train: PixelTable, given: dict[str, Any], *, seed: int = 0, listen: Listener = silent) -> Tuning:
    """Try all combinations of a head's `search_space` on folds of its training pixels.

    Parameters
    ----------
    head : Head
        Not fitted; it bears the parameters that stay.
    train : PixelTable
        The training pixels, and nothing else.
    given : dict
        Parameters that a person has set: they are not searched.
    seed : int
        Of the first draw.
    listen : callable
        Gets the events of the run.

    Raises
    ------
    HeadError
        There is nothing to search.
    SplitError
        The training pixels can't be divided into blocks.
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
    candidates = len(ParameterGrid(space))
    total, done = candidates * DRAWS, 0

    def accuracy(fitted: Head, X: Any, y: Any) -> float:
        nonlocal done
        done += 1
        listen(Advanced("tune", done))
        return float(np.mean(fitted.predict(X) == y))

    try:
        folds = list(train.cv(FOLDS, DRAWS, seed=seed).split(train.X, train.y, train.pixels))
    except SplitError as error:
        raise SplitError(f"the training pixels can't be divided by {FOLDS} to tune: {error}") from error
    listen(Note(f"tuning: {candidates} candidates, each fitted {DRAWS} times"))
    listen(Started("tune", total, "fits"))
    search = GridSearchCV(head, space, scoring=accuracy, cv=folds, refit=False, error_score="raise")
    search.fit(train.X, train.y)
    listen(Finished("tune"))
    found = search.cv_results_
    rows = zip(found["params"], found["mean_test_score"], found["std_test_score"], strict=True)
    return Tuning(FOLDS, DRAWS, tuple(Candidate(params, float(mean), float(spread)) for params, mean, spread in rows))
