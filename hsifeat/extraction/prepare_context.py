"""Prepare the extraction of context features: check the options, and derive the layers and the recipe."""

from __future__ import annotations

from hsifeat.context.backbone import MAX_COMPONENTS, ContextBackbone
from hsifeat.context.layer_names import ContextLayer, parse_layers
from hsifeat.errors import BackboneError, HsifeatError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.context_extractor import ContextExtractor
from hsifeat.extraction.job import Prepared
from hsifeat.projection import Projection, fit_projection
from hsifeat.projection.fit import fit_leading_components
from hsifeat.scenes import Scene
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.recipe import ALGORITHM, ProjectionPart, Recipe
from hsifeat.types import PlaneId

# Filters have no noise, so all planes have the same timestep.
TIMESTEP = 0
# Options that filters use; all other options have no effect.
_USED = {"backbone", "timesteps", "layers", "projection", "dtype", "mantissa_bits"}
_BECAUSE = f"`backbone={ContextBackbone.name!r}`"


def prepare_context(scene: Scene, backbone: ContextBackbone, config: ExtractionConfig, *, device: str) -> Prepared:
    """Prepare the extraction of context features.

    Parameters
    ----------
    scene : Scene
        The scene.
    backbone : ContextBackbone
        The filters.
    config : ExtractionConfig
        Options of the extraction.
    device : str
        ``auto`` or ``cpu``.

    Returns
    -------
    Prepared
        Requested planes and recipe of the extraction.

    Raises
    ------
    HsifeatError
        If `config` sets an option without effect or a timestep other than 0. If a layer is unknown. If the scene is too
        large for openings and closings by reconstruction.
    """
    backbone.to(device)
    layers = context_layers(config)
    projection = _projection(config.projection, scene)
    extractor = ContextExtractor(
        scene=scene,
        backbone=backbone,
        components=projection,
        layers={layer.name: layer for layer in layers},
    )
    extractor.check_memory()
    recipe = Recipe(
        algorithm=ALGORITHM,
        scene=scene.digest,
        projection=ProjectionPart(spec=projection.spec, digest=projection.digest),
        backbone=backbone.identity(),
        precision={**config.recipe_fields()["precision"], "compute": "float64"},
    )
    planes = tuple(
        PlaneSpec(PlaneId(TIMESTEP, layer.name), 1, layer.channels(projection.channels), config.dtype)
        for layer in layers
    )
    config = config.with_values(timesteps=(TIMESTEP,), layers=tuple(layer.name for layer in layers))
    return Prepared(config, extractor, planes, recipe)


def context_layers(config: ExtractionConfig) -> tuple[ContextLayer, ...]:
    """Check the options of an extraction of context features, and return the layers to extract.

    Raises
    ------
    HsifeatError
        If `config` sets an option without effect or a timestep other than 0. If a layer is unknown.
    """
    config.refuse(type(config).model_fields.keys() - _USED, because=_BECAUSE)
    config.check_conflicts()
    if "timesteps" in config.model_fields_set and set(config.timesteps) != {TIMESTEP}:
        found = config.timesteps if isinstance(config.timesteps, str) else ", ".join(map(str, config.timesteps))
        raise HsifeatError(
            f"{ContextBackbone.name} has no noise, so that its planes have the timestep {TIMESTEP}; found {found}: leave out "
            "`timesteps`"
        )
    try:
        return parse_layers(config.layers)
    except BackboneError:
        if "layers" in config.model_fields_set or not config.inherited_from:
            raise
        return parse_layers(None)  # The preset or store has layers of a network.


def unused_with_context(config: ExtractionConfig) -> dict[str, str]:
    """Map each option without effect on context features to the option that causes this, such as ``backbone='context'``.

    Options that `config` does not set are included. Context features have timestep 0 only: ``timesteps`` is in the result
    if it lists another timestep. ``layers`` is in the result if it lists a layer that is not a filter.
    """
    names = type(config).model_fields.keys() - _USED
    if set(config.timesteps) != {TIMESTEP}:
        names |= {"timesteps"}
    try:
        parse_layers(config.layers)
    except BackboneError:
        names |= {"layers"}
    return config.unused_options() | dict.fromkeys(names, _BECAUSE)


def _projection(projection: str | Projection | None, scene: Scene) -> Projection:
    if projection is None:
        return fit_leading_components(MAX_COMPONENTS, scene)
    fitted = projection if isinstance(projection, Projection) else fit_projection(projection, scene)
    fitted.check(scene)
    return fitted
