"""Search the parameters of a head by cross-validation that holds out whole connected regions of training pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GridSearchCV, ParameterGrid, PredefinedSplit

from classifiers.heads.base import Head
from classifiers.metrics import mean_and_sd
from classifiers.splits.region_folds import fold_regions
from classifiers.table import PixelTable
from classifiers.table_matching import check_same_columns, matched_classes
from hsifeat.errors import HeadError
from hsifeat.formatting import format_count, format_value
from hsifeat.runtime.events import Advanced, Finished, Listener, Note, Started, check_listener, silent
from hsifeat.types import check_integers

MAX_FOLDS = 5
# The standard deviation of a gain over fewer folds would be too uncertain.
MIN_FOLDS = 3


@dataclass(frozen=True)
class TuningCandidate:
    """One combination of parameters with its cross-validated accuracy.

    Attributes
    ----------
    params : dict
        Maps names of parameters to their values.
    accuracy, gain : float
        Means over folds of the overall accuracy and of the gain. The gain is the overall accuracy minus the overall
        accuracy with the default parameters.
    deviation, gain_deviation : float or None
        Standard deviations of the overall accuracy and of the gain over folds. None with validation pixels, which are not
        divided into folds.
    """

    params: dict[str, Any]
    accuracy: float
    deviation: float | None
    gain: float
    gain_deviation: float | None

    def __str__(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self.params.items())

    @property
    def scores(self) -> str:
        """Text of the overall accuracy and the gain, such as ``OA 85.0% ± 10.0%, gain +5.0 ± 6.0``."""
        accuracy, gain = f"OA {self.accuracy:.1%}", f"gain {100 * self.gain:+.1f}"
        if self.deviation is None or self.gain_deviation is None:
            return f"{accuracy}, {gain}"
        return f"{accuracy} ± {self.deviation:.1%}, {gain} ± {100 * self.gain_deviation:.1f}"


@dataclass(frozen=True)
class Tuning:
    """Result of a parameter search.

    Attributes
    ----------
    folds : str
        Description of the folds of training pixels, or of the validation pixels.
    candidates : tuple of TuningCandidate
        All combinations that were tried. The first has the default parameters. If the training pixels form too few
        connected regions for a search, the tuple is empty.
    choice : TuningCandidate or None
        The selected combination; None if `candidates` is empty.
    """

    folds: str
    candidates: tuple[TuningCandidate, ...] = ()
    choice: TuningCandidate | None = None

    def describe(self) -> list[str]:
        """Return lines of text: the selected combination of parameters, and the accuracy of each combination tried."""
        if self.choice is None:
            return [f"not tuned, the defaults stay: {self.folds}"]
        margin = "" if self.choice.gain_deviation is None else " more than one standard deviation"
        reason = f"the defaults stay, as the best candidate does not gain{margin}: "
        return [
            f"tuned by {self.folds}: {reason if self.choice == self.candidates[0] else ''}{self.choice}",
            *(f"  {candidate.scores}  {candidate}" for candidate in self.candidates),
            "  (compare these numbers with each other, not with test scores)",
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Tuning:
        """Build a result from the values that `to_json` returned."""
        choice = values["choice"]
        return cls(
            str(values["folds"]),
            tuple(TuningCandidate(**candidate) for candidate in values["candidates"]),
            None if choice is None else TuningCandidate(**choice),
        )


def select_candidate(candidates: tuple[TuningCandidate, ...]) -> TuningCandidate:
    """Return the most accurate candidate if its `gain` exceeds its `gain_deviation`, otherwise the first candidate.

    The first candidate has the default parameters. The margin of one standard deviation avoids candidates that are
    better only by chance. Without a deviation, which only validation pixels lack, any gain counts.
    """
    best = max(candidates, key=lambda candidate: candidate.accuracy)
    return best if best.gain > (best.gain_deviation or 0) else candidates[0]


def tune_head(
    head: Head,
    train: PixelTable,
    fixed: dict[str, Any],
    *,
    validation: PixelTable | None = None,
    seed: int = 0,
    listen: Listener = silent,
) -> Tuning:
    """Try all combinations of a head's `search_space`, and score them by cross-validation or on validation pixels.

    `fold_regions` makes folds of whole regions (connected pixels of one class), and `select_candidate` selects a
    combination. Folds of single pixels would favour combinations that memorise the neighbours of a pixel. Without
    `validation`, no combination is tried if there are fewer than three folds, or if all folds together contain fewer
    than two classes.

    Parameters
    ----------
    head : Head
        Unfitted head, with the values of all parameters that are not searched.
    train : PixelTable
        Table of the training pixels, without test pixels.
    fixed : dict
        Parameters that the user has set. They are not searched.
    validation : PixelTable, optional
        Pixels of validation scenes, with the columns of `train`. Classes are matched by name. Each combination is then
        fitted once on `train` and scored on these pixels, without folds. [default: folds of the training pixels]
    seed : int
        Seed of the folds.
    listen : callable
        Receives progress events, and notes on bands that may be paired wrongly between `train` and `validation`.

    Returns
    -------
    Tuning
        Scores of all combinations, and the selected combination.

    Raises
    ------
    HeadError
        If no parameter is left to search.
    StoreError
        If `validation` has other columns, bands or recipes than `train`, or classes that can't be matched; see
        `PixelTable.concatenate`. Read both scenes together with `PixelTable.from_store([...])`, and select their rows.

    Examples
    --------
    >>> from classifiers import PixelTable, make_head
    >>> table = PixelTable.from_store("fields.zarr", planes=[])
    >>> tuning = tune_head(make_head("lda", table.layout), table, {})
    >>> len(tuning.describe()) > 0
    True
    """
    check_integers(0, seed=seed)
    check_listener(listen)
    if not isinstance(fixed, Mapping):
        raise HeadError(f"fixed parameters are a dict such as {{'C': 10}}; found {format_value(fixed)}")
    # Parameters that weight or reduce spectra, planes or context have no effect on a table without them.
    space = {
        name: values
        for name, values in head.search_space.items()
        if name not in fixed
        and (train.layout.learned or not name.startswith("plane_"))
        and (train.layout.context or not name.startswith("context_"))
        and (any(group.is_spectral for group in train.layout) or not name.startswith("spectral_"))
    }
    if not space:
        searched = ", ".join(head.search_space) or "nothing"
        raise HeadError(f"{type(head).__name__} has nothing left to tune: it searches {searched}; leave tuning out")
    if validation is not None:
        check_same_columns(train, validation, listen)
        scores, params = _search(head, space, train, None, listen, validation)
        return _select(format_count(len(validation), "validation pixel"), scores, params)
    fold = fold_regions(train.y, *train.coordinates, MAX_FOLDS, seed=seed)
    folds, classes = len(np.unique(fold[fold >= 0])), len(np.unique(train.y[fold >= 0]))
    divisible = f"{classes} of {len(np.unique(train.y))} classes have several regions among the training pixels"
    if folds < MIN_FOLDS or classes < 2:
        untuned = Tuning(f"{divisible}, and {format_count(folds, 'fold')} can be held out")
        listen(Note(untuned.describe()[0]))
        return untuned
    scores, params = _search(head, space, train, fold, listen)
    return _select(f"{folds} folds of whole regions ({divisible})", scores, params)


def _select(folds: str, scores: NDArray[np.float64], params: Sequence[dict[str, Any]]) -> Tuning:
    candidates = tuple(
        TuningCandidate(combination, *_mean_and_sd(own), *_mean_and_sd(own - scores[0]))
        for combination, own in zip(params, scores, strict=True)
    )
    return Tuning(folds, candidates, select_candidate(candidates))


def _mean_and_sd(values: NDArray[np.float64]) -> tuple[float, float | None]:
    mean, sd = mean_and_sd(values)
    return mean, sd if len(values) > 1 else None


def _search(
    head: Head,
    space: dict[str, list[Any]],
    train: PixelTable,
    fold: Any,
    listen: Listener,
    validation: PixelTable | None = None,
) -> Any:
    """Fit and score all combinations of parameters on all folds, or on validation pixels if there are any.

    Returns the accuracies as a (candidates, folds) float64 array, and the list of combinations.
    """
    X, y, positions = train.X, train.y, train.positions
    if validation is not None:
        positions = np.concatenate([positions, validation.positions])
        X, y = np.concatenate([X, validation.X]), np.concatenate([y, matched_classes(train, validation)])
        fold = np.repeat([-1, 0], [len(train), len(validation)])
    folds, candidates = len(np.unique(fold[fold >= 0])), len(ParameterGrid(space))
    fits = 0

    def accuracy(fitted: Head, X: Any, y: Any) -> float:
        nonlocal fits
        fits += 1
        listen(Advanced("tune", fits))
        return float(np.mean(fitted.predict(X) == y))

    listen(Note(f"tuning: {format_count(candidates, 'candidate')}, each fitted {format_count(folds, 'time')}"))
    listen(Started("tune", candidates * folds, "fits"))
    search = GridSearchCV(head, space, scoring=accuracy, cv=PredefinedSplit(fold), refit=False, error_score="raise")
    unlabelled = train.unlabelled
    if unlabelled is not None and len(unlabelled) == len(X):
        # GridSearchCV divides arrays with as many rows as X into folds. One row fewer prevents this.
        unlabelled = unlabelled[:-1]
    search.fit(X, y, unlabelled=unlabelled, positions=positions)
    listen(Finished("tune"))
    results = search.cv_results_
    return np.stack([results[f"split{k}_test_score"] for k in range(folds)], axis=1), results["params"]
