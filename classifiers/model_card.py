"""Provenance of a fitted model: its training store, labels and split, and its scores."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version

from pydantic import BaseModel, ConfigDict

from classifiers.evaluate import Evaluation
from classifiers.reduction import Reduction
from classifiers.scene_scores import SceneScore, describe_scenes
from hsifeat.features.scene_set import SceneSet, single_stores
from hsifeat.formatting import list_some


class ScoreEntry(BaseModel):
    """Entry of a model card: scores of a head under a split with one seed.

    Attributes
    ----------
    split : str
        The split, in the grammar of `classifiers.parse_split`.
    train_pixels, test_pixels : int
        Number of training and test pixels.
    oa, aa, kappa : float
        Overall accuracy, average accuracy and Cohen's kappa, see `classifiers.metrics.Scores`.
    recall : dict of int to float
        Recall of each class that has test pixels.
    leakage : str
        Description of the leakage: the share of test pixels whose features depend on training pixels.
    unsmoothed_oa : float or None
        Overall accuracy on the same test pixels, without smoothing; None if the model has no smoothing rule.
    scenes : tuple of SceneScore
        Scores in each test scene; empty if all stores are of one scene.
    validation_oa : float or None
        Overall accuracy on the validation scenes, without smoothing; None if the split has no validation scenes.
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
    unsmoothed_oa: float | None = None
    scenes: tuple[SceneScore, ...] = ()
    validation_oa: float | None = None

    @classmethod
    def from_evaluation(cls, evaluation: Evaluation) -> ScoreEntry:
        """Make a score entry from the evaluation of a head."""
        scores = evaluation.scores
        return cls(
            split=evaluation.split,
            train_pixels=evaluation.train_pixels,
            test_pixels=sum(scores.pixels.values()),
            oa=scores.oa,
            aa=scores.aa,
            kappa=scores.kappa,
            recall=scores.recall,
            leakage=str(evaluation.leakage),
            unsmoothed_oa=None if evaluation.unsmoothed is None else evaluation.unsmoothed.oa,
            scenes=evaluation.scenes,
            validation_oa=None if evaluation.validation is None else evaluation.validation.oa,
        )

    def describe(self) -> str:
        """Return the scores as a line of text."""
        plain = "" if self.unsmoothed_oa is None else f"; without smoothing OA {self.unsmoothed_oa:.1%}"
        if self.validation_oa is not None:
            plain += f"; OA on the validation scenes {self.validation_oa:.1%}"
        if self.scenes:
            plain += f"; OA by test scene: {describe_scenes([score.overall for score in self.scenes])}"
        return f"{self.split}: OA {self.oa:.1%}, AA {self.aa:.1%}, kappa {self.kappa:.3f}{plain}"


class ModelCard(BaseModel):
    """Provenance and scores of a model.

    Attributes
    ----------
    store : str
        Names of the training stores. Plus signs join the stores of one scene, and commas separate the scenes.
    keys : tuple of str
        Key of each training store: the sha256 of the recipe of the store.
    scene, labels : str
        Names of the scenes, and name of the label map.
    inputs : str
        Input set of the head, see `classifiers.input_sets.InputSet`.
    reduction : {"scene", "train"}
        Pixels that the reduction of column groups was fitted on. ``scene``: a sample of the scene, without labels.
        ``train``: the training pixels.
    split : str or None
        The split, in the grammar of `classifiers.parse_split`; None if all labelled pixels were used for training.
    seed : int
        Seed of the split and of the head. If the parameters of the head contain `random_state`, the head uses
        `random_state` instead.
    scores : tuple of ScoreEntry
        Scores on the test pixels of the split. If the split is random, scores under a spatially disjoint split are included.
    hsifeat : str
        Version of hsifeat that fitted the model.
    smooth : str or None
        Rule that smooths the class probabilities of a map; None for no smoothing.
    """

    model_config = ConfigDict(frozen=True)

    store: str
    keys: tuple[str, ...]
    scene: str
    labels: str
    inputs: str
    reduction: Reduction = "train"
    split: str | None
    seed: int
    scores: tuple[ScoreEntry, ...]
    hsifeat: str
    smooth: str | None = None

    @classmethod
    def from_fit(
        cls,
        scenes: SceneSet,
        *,
        labels: str,
        inputs: str,
        reduction: Reduction,
        split: str | None,
        seed: int,
        evaluations: Sequence[Evaluation],
        smooth: str | None = None,
    ) -> ModelCard:
        """Make the card of a model that was fitted on a store.

        Parameters
        ----------
        scenes : SceneSet
            Training stores.
        labels : str
            Name of the label map.
        inputs : str
            Input set of the head.
        reduction : {"scene", "train"}
            Pixels that the reduction of column groups was fitted on.
        split : str or None
            The split, in the grammar of `classifiers.parse_split`; None if all labelled pixels were used for training.
        seed : int
            Seed of head and split.
        evaluations : sequence of Evaluation
            Scores under the split. If the split is random, scores under a spatially disjoint split are included.
        smooth : str, optional
            Smoothing rule of the model.

        Returns
        -------
        ModelCard
            The card, with the version of hsifeat that made it.
        """
        return cls(
            store=scenes.name,
            keys=tuple(store.key for features in scenes.scenes for store in single_stores(features)),
            scene=list_some(scenes.scene_names),
            labels=labels,
            inputs=inputs,
            reduction=reduction,
            split=split,
            seed=seed,
            scores=tuple(map(ScoreEntry.from_evaluation, evaluations)),
            hsifeat=version("hsifeat"),
            smooth=smooth,
        )

    def describe(self) -> list[str]:
        """Return the provenance and the scores as lines of text."""
        keys = list_some(key[:12] for key in self.keys)
        origin = f"trained on {self.inputs} of {self.store} (key {keys}), labels {self.labels} of {self.scene}"
        if self.reduction == "scene":
            of_scenes = "training scenes" if ", " in self.scene else "scene"
            origin += f", columns reduced on an unlabelled sample of the {of_scenes}"
        smooth = f", scores smoothed by {self.smooth}" if self.smooth and self.scores else ""
        return [
            f"{origin}, seed {self.seed}, by hsifeat {self.hsifeat}{smooth}",
            *(f"  {score.describe()}" for score in self.scores),
        ]
