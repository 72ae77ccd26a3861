"""A model that is fitted on a label set, in the format of `hsifeat fit`."""

from __future__ import annotations

from classifiers.labelling.quick_map import QuickMapper
from classifiers.model import Model
from classifiers.model_card import ModelCard
from hsifeat.errors import HeadError
from hsifeat.features.features import Features
from hsifeat.features.plane_facts import plane_facts
from hsifeat.features.scene_set import open_scenes, single_stores
from hsifeat.scenes import Labels
from hsifeat.scenes.band_matching import names_of_bands


def labelled_model(features: Features, mapper: QuickMapper, labels: Labels) -> Model:
    """Fit the head of a mapper on all labels, and return a model that can be saved and can map other scenes.

    Parameters
    ----------
    features : Features
        Features from which the columns of `mapper` were computed.
    mapper : QuickMapper
        Head, columns and smoothing.
    labels : Labels
        The labels, for example from `LabelDatabase.labels`.

    Returns
    -------
    Model
        The model, without scores; see `score_labels`.

    Raises
    ------
    HeadError
        If there are too few labels, see `QuickMapper.fit`. If the columns of `mapper` were computed from other stores.

    Examples
    --------
    >>> import hsifeat
    >>> from classifiers.labelling.scene_columns import open_scene_columns
    >>> features = hsifeat.open_features("fields.zarr")
    >>> mapper = QuickMapper(open_scene_columns(features))
    >>> labelled_model(features, mapper, features.labels()).class_names
    {1: 'corn', 2: 'wheat', 3: 'woods', 4: 'grass'}
    """
    if mapper.columns.keys != tuple(store.key for store in single_stores(features)):
        raise HeadError(
            f"the columns of the mapper were computed from other stores than {features.name}: open them from it"
        )
    smooth = None if mapper.rule is None else mapper.rule.text
    head = mapper.fit(labels.classes)
    used = labels.classes[mapper.columns.mask]
    return Model(
        head=head,
        class_names=labels.class_names,
        class_colours=labels.class_colours,
        recipe=features.recipe,
        wavelengths_nm=None if features.scene.wavelengths_nm is None else tuple(features.scene.wavelengths_nm.tolist()),
        band_names=names_of_bands(features.scene),
        scales=(features.scene.scale,),
        selects_bands=features.bands is not None,
        plane_facts=plane_facts(features),
        train_pixels=int((used > 0).sum()),
        smooth=smooth,
        card=ModelCard.from_fit(
            open_scenes(features),
            labels=labels.name,
            inputs=mapper.columns.inputs,
            reduction="scene",
            split=None,
            seed=0,
            evaluations=[],
            smooth=smooth,
        ),
    )
