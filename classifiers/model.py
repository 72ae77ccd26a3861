"""A fitted head, together with the metadata that is needed to classify another store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.defaults import DISJOINT_SPLIT
from classifiers.evaluate import Evaluation
from classifiers.heads.base import Head
from classifiers.layout import ColumnGroup, Layout
from classifiers.model_card import ModelCard
from classifiers.model_fields import (
    check_training_recipe,
    checked_colour,
    checked_names,
    checked_smoothing,
    checked_wavelengths,
)
from classifiers.persistence import load_saved_head, save_head
from classifiers.recipe_text import difference_text, feature_kinds, kinds_advice, kinds_text
from classifiers.tune import Tuning
from hsifeat.errors import HeadError, error_summary
from hsifeat.features.features import Features
from hsifeat.features.plane_facts import PlaneFacts, facts_of_json, plane_notes, reordered_note
from hsifeat.features.scene_set import match_features, single_stores
from hsifeat.formatting import format_count
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes.band_matching import SceneBands
from hsifeat.scenes.label_map import check_class_texts
from hsifeat.scenes.maps import Legend
from hsifeat.types import PlaneId

_MAX_LISTED = 5


@dataclass(frozen=True)
class Model:
    """A fitted head with the classes, recipe and provenance of its training data.

    `fit_model` and `load_model` return models.

    Attributes
    ----------
    head : Head
        The fitted head, which has a layout.
    class_names, class_colours : dict
        Name and colour (``#rrggbb``) of each class, by class number in the label map.
    recipe : dict
        Recipe (canonical extraction settings) of the training store.
    train_pixels : int
        Number of training pixels.
    wavelengths_nm : tuple of float or None
        Centre wavelengths of the bands of the (first) training scene in nm; None if unknown.
    evaluation : Evaluation or None
        Scores on the test pixels of the split. None if the model was loaded, or if all labelled pixels were used for
        training.
    disjoint_evaluation : Evaluation or None
        Scores of a second head. If the split is random, `fit_model` trains this head under a spatially disjoint split,
        with at most `train_pixels` training pixels. None if the split is not random, if a disjoint split can't divide
        the labels, or if the model was loaded.
    tuning : Tuning or None
        Result of the parameter search; None without tuning.
    card : ModelCard or None
        Provenance and scores of the model. They are saved with the model.
    smooth : str or None
        Rule that smooths the class probabilities of a map, see `classifiers.parse_smoothing`; None for no smoothing.
    folder : Path or None
        Folder that the model was loaded from; None for a model that `fit_model` returned.
    digest : str or None
        sha256 of the manifest in the folder when the model was loaded; None for a model that `fit_model` returned.
    band_names : tuple of str
        Names of the bands of the training scene, see `hsifeat.scenes.band_matching.names_of_bands`; empty if unknown.
    scales : tuple of float
        Reflectance scale of each training scene; empty if unknown.
    selects_bands : bool
        Whether only some bands of the training scene were read, or in another order, see `Features.with_bands`.
    plane_facts : dict of str to PlaneFacts
        Facts on the values of planes of the training scene that are not in the recipe, by the name of the plane.

    Examples
    --------
    >>> from classifiers import fit_model, load_model
    >>> import hsifeat
    >>> features = hsifeat.open_features("fields.zarr")
    >>> fit_model(features, "lda").save(Path("lda-model"))
    >>> load_model(Path("lda-model")).class_names
    {1: 'corn', 2: 'wheat', 3: 'woods', 4: 'grass'}
    """

    head: Head
    class_names: dict[int, str]
    class_colours: dict[int, str]
    recipe: dict[str, Any]
    train_pixels: int
    wavelengths_nm: tuple[float, ...] | None = None
    evaluation: Evaluation | None = None
    disjoint_evaluation: Evaluation | None = None
    tuning: Tuning | None = None
    card: ModelCard | None = None
    smooth: str | None = None
    folder: Path | None = None
    digest: str | None = None
    band_names: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    selects_bands: bool = False
    plane_facts: dict[str, PlaneFacts] = field(default_factory=dict)

    def __repr__(self) -> str:
        learned = f"{format_count(len(self.class_names), 'class', 'classes')}, {format_count(self.train_pixels, 'training pixel')}"
        return f"<Model {type(self.head).__name__}: {learned}>"

    @property
    def layout(self) -> Layout:
        """Columns that the head takes as input.

        Raises
        ------
        HeadError
            If the head was fitted without a layout.
        """
        if self.head.layout is None:
            raise HeadError("the head of this model has no layout: fit it with fit_model")
        return self.head.layout

    @property
    def legend(self) -> Legend:
        """Classes that the head predicts, with names and colours."""
        return Legend.from_mappings(self.head.classes_, self.class_names, self.class_colours)

    def describe(self) -> list[str]:
        """Return lines of text: the scores in `evaluation`, followed by the scores in `disjoint_evaluation`."""
        if self.evaluation is None:
            return [] if self.tuning is None else self.tuning.describe()
        lines = self.evaluation.describe(self.class_names)
        if self.disjoint_evaluation is not None:
            lines.append("the same head trained anew under a spatially disjoint split:")
            lines += self.disjoint_evaluation.describe(self.class_names)
        elif self.evaluation.kind == "random":
            lines.append(
                f"the labels can't be split by {DISJOINT_SPLIT}, so it is unknown how much of this score is leakage"
            )
        return lines

    def save(self, folder: str | Path) -> None:
        """Save the model to a folder, in formats that run no code when loaded.

        Raises
        ------
        HeadError
            If the folder exists and is not a model.
        SceneError
            If `class_names` or `class_colours` have been changed to other values than texts and colours such as ``#1f77b4``.
        """
        check_class_texts(self.class_names, self.class_colours, "the model")
        meta = {
            "class_names": {str(number): name for number, name in self.class_names.items()},
            "class_colours": {str(number): colour for number, colour in self.class_colours.items()},
            "recipe": self.recipe,
            "train_pixels": self.train_pixels,
            "wavelengths_nm": self.wavelengths_nm,
            "band_names": self.band_names,
            "scales": self.scales,
            "selects_bands": self.selects_bands,
            "plane_facts": {plane: facts.model_dump(mode="json") for plane, facts in self.plane_facts.items()},
            "tuning": None if self.tuning is None else self.tuning.to_json(),
            "smooth": self.smooth,
            "card": None if self.card is None else self.card.model_dump(mode="json"),
        }
        save_head(self.head, folder, meta=meta)

    def match_store(self, features: Features, listen: Listener = silent) -> Features:
        """Check that a store holds the columns that the head was trained on, and select the bands of the training scene.

        The store may belong to another scene. If the head was trained on pixel positions, the store must belong to the
        training scene. If the head was trained on spectra, the bands of the store are matched with those of the
        training scene by `hsifeat.scenes.band_matching.match_bands`.

        Parameters
        ----------
        features : Features
            Features of a scene.
        listen : callable
            Receives notes on the bands that may be paired wrongly.

        Returns
        -------
        Features
            The features, with the bands of the training scene.

        Raises
        ------
        HsifeatError
            If the store lacks a band of the training scene. If the planes of the store have another recipe than in the
            training. If the store lacks planes, window means or neighbourhoods that the head needs. If `features` joins
            several training stores in another order than in the training. If the head was trained on pixel positions of
            another scene. The message names the difference.
        """
        is_training_scene = features.recipe["scene"] == self.recipe.get("scene")
        if (wanted := self.scene_bands) is not None:
            if is_training_scene:  # names and scale may have been corrected, and the bands are still the same
                wanted = replace(wanted, names=(), scale=None)
            if features.scene.scale in self.scales:
                wanted = replace(wanted, scale=None)
            matched = match_features(features, wanted, listen)
            reordered = matched is not features and features.shape[2] == wanted.count
            if reordered and is_training_scene:
                listen(
                    Note(
                        f"{features.name} is the training scene, but its wavelengths have changed: its bands are matched by the "
                        "wavelengths at the time of the training; if these were wrong, fit the model anew"
                    )
                )
            elif not self.selects_bands and (note := reordered_note(matched, self.layout.plane_names)):
                listen(Note(note))
            features = matched
        if self.layout.stored:
            self._check_recipe(features)
            self._check_planes(features)
            if not self._was_trained_on(features):
                compares_scales = not (is_training_scene or self.scene_bands or features.scene.scale in self.scales)
                for note in plane_notes(
                    features, self.layout.plane_names, self.plane_facts, "the training scene", scales=compares_scales
                ):
                    listen(Note(note))
        if any(group.kind == "position" for group in self.layout) and features.recipe["scene"] != self.recipe["scene"]:
            raise HeadError(
                "this head was trained on pixel positions of another scene, which mean nothing in "
                f"{features.scene.name}: fit one without positions"
            )
        return features

    def _was_trained_on(self, features: Features) -> bool:
        """Return whether all stores of a scene are training stores."""
        keys = () if self.card is None else self.card.keys
        return all(store.key in keys for store in single_stores(features))

    @property
    def training_keys(self) -> tuple[str, ...]:
        """Keys of the stores of the first training scene; empty if the model has no card."""
        return () if self.card is None else self.card.keys[: len(feature_kinds(self.recipe))]

    def stored_planes(self, features: Features) -> dict[Features, list[PlaneId]]:
        """Return the planes that the head needs from each store in `features`.

        The result maps each store to a list of planes. If the head uses no plane of a store, the list has the first
        plane of the store.

        Parameters
        ----------
        features : Features
            Store or stores of one scene. Together, they must have all planes that the head needs.
        """
        planes: dict[Features, list[PlaneId]] = {}
        for plane in features.select([*dict.fromkeys(map(_plane_id, self.layout.stored))]):
            store, stored_plane = features.owner(plane)
            planes.setdefault(store, []).append(stored_plane.id)
        return {store: planes.get(store) or [store.planes[0].id] for store in single_stores(features)}

    @property
    def bands(self) -> int | None:
        """Number of bands that the head was trained on; None if the head uses no spectra."""
        spectral = [group.channels for group in self.layout if group.layer is None and group.kind != "position"]
        return spectral[0] if spectral else None

    @property
    def scene_bands(self) -> SceneBands | None:
        """Bands that the head was trained on; None if the head uses no spectra."""
        return None if self.bands is None else self.training_bands

    @property
    def training_bands(self) -> SceneBands | None:
        """Bands of the training scene that were read; None if the model does not know them."""
        count = self.bands or len(self.wavelengths_nm or self.band_names)
        nm = None if self.wavelengths_nm is None else np.array(self.wavelengths_nm)
        return (
            SceneBands("the training scene", count, nm, self.band_names, next(iter(self.scales), None))
            if count
            else None
        )

    def _check_recipe(self, features: Features) -> None:
        trained, kinds = feature_kinds(self.recipe), feature_kinds(features.recipe)
        if trained != kinds:
            raise HeadError(
                f"this head was trained on {kinds_text(trained)}; {features.name} has {kinds_text(kinds)}: {kinds_advice(trained)}"
            )
        if differences := features.differences(self.recipe):
            raise HeadError(
                f"the planes of {features.name} have another recipe than those this head was trained on: "
                f"{difference_text(differences, 'here', 'in training')}; extract the scene with `like` the store of the training scene"
            )
        self._check_order(features)

    def _check_order(self, features: Features) -> None:
        """Refuse a training store at the position of another one, since the recipes of imports may differ only in their keys."""
        keys, count = () if self.card is None else self.card.keys, len(feature_kinds(self.recipe))
        for position, store in enumerate(single_stores(features)):
            trained = [number % count for number, key in enumerate(keys) if key == store.key]
            if trained and position not in trained:
                raise HeadError(
                    f"{store.name} is store {position + 1} of {count} here, and was store {trained[0] + 1} in training: "
                    "name the stores in the order of the training, or fit a head on these stores"
                )

    def _check_planes(self, features: Features) -> None:
        planes = {plane.id: plane for plane in features.planes}
        missing = [str(plane) for plane in dict.fromkeys(map(_plane_id, self.layout.stored)) if plane not in planes]
        if missing:
            raise HeadError(
                f"this head was trained on planes that {features.name} lacks or holds only in part: "
                f"{', '.join(missing[:_MAX_LISTED])}{' …' if len(missing) > _MAX_LISTED else ''}; extract them, or fit a "
                "head on the planes that exist"
            )
        for group in self.layout.stored:
            plane = planes[_plane_id(group)]
            if group.width != plane.channels * group.patch_pixels:
                raise HeadError(
                    f"this head was trained on {group.channels} channels of {plane.id}; {features.name} has "
                    f"{plane.channels}: fit a head on this store"
                )
            store = features.owner(plane)[0]
            window_px = store.window_px(group.size or 1)
            if (group.kind == "patch" and not store.covers_scene) or (group.kind == "mean" and group.size != window_px):
                raise HeadError(
                    f"this head was trained on {group}; {features.name} lists single pixels, with means over {window_px} px "
                    "and no neighbourhoods: extract the scene without `pixels`"
                )


def load_model(folder: Path) -> Model:
    """Load a model that `Model.save` wrote.

    Parameters
    ----------
    folder : Path
        Folder of the model. The folder may come from an untrusted source, since loading executes no code from it.

    Returns
    -------
    Model
        A model with the same predictions as the saved model. `card` holds the scores; `evaluation` and
        `disjoint_evaluation` are None.

    Raises
    ------
    HeadError
        If the folder holds no model. If the model is damaged or has an unknown format version.

    Examples
    --------
    >>> model = load_model(Path("model"))
    >>> model.card.labels
    'fields'
    """
    head, meta, digest = load_saved_head(folder)
    try:
        if head.layout is None:
            raise ValueError("the head has no layout")  # noqa: TRY301  # reported below, with other missing parts
        tuning, card = meta.get("tuning"), meta.get("card")
        check_training_recipe(meta["recipe"], head.layout)
        return Model(
            head=head,
            class_names={int(number): str(name) for number, name in meta["class_names"].items()},
            class_colours={int(number): checked_colour(colour) for number, colour in meta["class_colours"].items()},
            recipe=dict(meta["recipe"]),
            train_pixels=int(meta["train_pixels"]),
            wavelengths_nm=checked_wavelengths(meta.get("wavelengths_nm"), head.layout),
            band_names=checked_names(meta.get("band_names", []), head.layout),
            scales=tuple(map(float, meta.get("scales", ()))),
            selects_bands=bool(meta.get("selects_bands", False)),
            plane_facts=facts_of_json(meta.get("plane_facts", {})),
            tuning=None if tuning is None else Tuning.from_json(tuning),
            card=None if card is None else ModelCard.model_validate(card),
            smooth=checked_smoothing(meta.get("smooth")),
            folder=Path(folder).absolute(),
            digest=digest,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise HeadError(
            f"{folder} holds no model that hsifeat fit wrote ({error_summary(error)}): it can't be used on a store; fit one anew"
        ) from error


def _plane_id(group: ColumnGroup) -> PlaneId:
    if group.t is None or group.layer is None:
        raise ValueError(f"{group} does not come from a plane")
    return PlaneId(group.t, group.layer)
