"""What a model says of itself: which store, labels and split it learned from, and how well it did there."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from hsifeat.features.features import Features
from hsifeat.features.stack import Stack

if TYPE_CHECKING:
    from classifiers.evaluate import Trial


class Score(BaseModel):
    """How a head did under one draw of a split: fractions of 1, kappa in [-1, 1].

    Attributes
    ----------
    split : str
        The split in the grammar.
    train_pixels, test_pixels : int
        How many pixels the head learned from, and was scored on.
    oa, aa, kappa : float
        See `classifiers.metrics.Scores`.
    recall : dict of int to float
        Of each class that was scored.
    leakage : str
        What the draw leaks, in words.
    """

    model_config = ConfigDict(frozen=True)

    split: str
    train_pixels: int
    test_pixels: int
    oa: float
    aa: float
    kappa: float
    recall: dict[int, float]
    leakage: str

    @classmethod
    def of(cls, trial: Trial) -> Score:
        """Return what is kept of a trial."""
        scores = trial.scores
        return cls(
            split=trial.split,
            train_pixels=trial.train_pixels,
            test_pixels=sum(scores.pixels),
            oa=scores.oa,
            aa=scores.aa,
            kappa=scores.kappa,
            recall=dict(zip(scores.classes, scores.recall, strict=True)),
            leakage=str(trial.leakage),
        )


class ModelCard(BaseModel):
    """Where a model comes from.

    Attributes
    ----------
    store : str
        Name of the store, or names of the stores side by side.
    keys : tuple of str
        Key of each store.
    scene, labels : str
        Names of the scene and of the label map.
    inputs : str
        What the head is given, of `classifiers.feature_sets.INPUTS`.
    split : str or None
        In the grammar; None where every labelled pixel trained.
    seed : int
        Of the split, and of the head unless its parameters have a `random_state`.
    scores : tuple of Score
        On the test pixels of the split; beside a random split, under the disjoint one as well.
    hsifeat : str
        The version that fitted it.
    """

    model_config = ConfigDict(frozen=True)

    store: str
    keys: tuple[str, ...]
    scene: str
    labels: str
    inputs: str
    split: str | None
    seed: int
    scores: tuple[Score, ...]
    hsifeat: str

    @classmethod
    def of(
        cls, features: Features, labels: str, inputs: str, split: str | None, seed: int, trials: tuple[Trial, ...]
    ) -> ModelCard:
        """Return what is kept of a fit on a store."""
        stores = features.stores if isinstance(features, Stack) else (features,)
        return cls(
            store=features.name,
            keys=tuple(store.key for store in stores),
            scene=features.scene.name,
            labels=labels,
            inputs=inputs,
            split=split,
            seed=seed,
            scores=tuple(map(Score.of, trials)),
            hsifeat=version("hsifeat"),
        )

    def lines(self) -> list[str]:
        """Say it in a few lines of text."""
        keys = ", ".join(key[:12] for key in self.keys)
        learned = f"learned from {self.inputs} of {self.store} (key {keys}), labels {self.labels} of {self.scene}"
        scores = (f"  {s.split}: OA {s.oa:.1%}, AA {s.aa:.1%}, kappa {s.kappa:.3f}" for s in self.scores)
        return [f"{learned}, seed {self.seed}, by hsifeat {self.hsifeat}", *scores]
