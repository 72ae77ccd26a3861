"""Requests of clients for extractions."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from hsifeat.backbones.options import UNTRAINED
from hsifeat.base_config import option
from hsifeat.context.backbone import ContextBackbone
from hsifeat.errors import BackboneError, HsifeatError, SceneError, StoreError, allowed_names
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.runtime.events import Listener, silent
from hsifeat.service.job_settings import JobSettings
from hsifeat.service.jobs.allowed_files import file_facts, resolve_below
from hsifeat.service.jobs.records import JobKind, JobRecord
from hsifeat.service.jobs.request import JobContext, JobRequest, json_values
from hsifeat.service.jobs.scene_source import SceneSource
from hsifeat.service.jobs.stored import scene_digest
from hsifeat.service.problems import ProblemError
from hsifeat.store.location import LocalLocation, as_location

if TYPE_CHECKING:
    from hsifeat.extraction.job import Job
    from hsifeat.store.store import Store

# Reading more values and fitting the projection takes longer than a client should wait; a job does both.
_MAX_LOOKED_UP_VALUES = 10**8
# Some readers load whole files into the memory of the service.
_MAX_LOOKED_UP_BYTES = 4 * 10**8


def _into_served_store(context: JobContext, extraction: Job) -> Job | None:
    """Return the extraction into the store of the service that has its recipe, under any name.

    Return None if there is no such store, if it is damaged, or if its batches have another size.
    """
    with suppress(StoreError, ProblemError):
        job = replace(extraction, location=context.stores.find(extraction.recipe.key).location)
        job.find_store()
        return job
    return None


def _complete_store(served: Job | None) -> Store | None:
    """Return the store of an extraction if it has all features and label maps, else None."""
    from hsifeat.extraction.store_run import complete_store

    with suppress(StoreError):
        return None if served is None else complete_store(served)
    return None


def _check_owner(served: Job, settings: JobSettings) -> None:
    """Raise a `StoreError` if an extraction would change a store that is not the service's."""
    location = served.location
    if not settings.owns(location):
        raise StoreError(
            f"the store {location.name} has the recipe of this extraction, but lacks some of its planes, label maps or metadata, and jobs change "
            "only stores in the cache folder of the service: ask the operator to extract into this store, or to move it there"
        )


def _run(extraction: Job, dask: str | None, listen: Listener) -> Store:
    """Run an extraction that replaces nothing in a store, because everyone on the service uses the store."""
    from hsifeat.extraction.run import run
    from hsifeat.extraction.store_run import ReplacementError

    try:
        return run(extraction, executor=None if dask is None else f"dask:{dask}", replace=False, listen=listen)
    except ReplacementError as error:
        name = "give the label map another name, or " if any("label map" in one for one in error.contents) else ""
        raise StoreError(
            f"the store {extraction.location.name}, which all people on this service use, has other contents than this scene "
            f"({', '.join(error.contents)}), and jobs replace nothing in a store: {name}ask the operator to correct the store by "
            "`hsifeat extract`"
        ) from None


def _result(store: Store, extraction: Job) -> dict[str, Any]:
    planes, labels = [str(plane.id) for plane in extraction.planes], sorted(extraction.extractor.scene.labels)
    return {
        "store": store.key,
        "name": store.location.name,
        "planes": planes,
        "labels": labels,
        "scene": scene_digest(store, labels),
    }


def _without_files(options: ExtractionConfig) -> ExtractionConfig:
    """Refuse projections that are fitted on the pixels of a label map in a file."""
    from hsifeat.projection.spec import parse_projection

    projection = options.projection
    if isinstance(projection, str) and parse_projection(projection).mask is not None:
        raise ValueError(
            f"{projection} names a file of this machine, which a service does not read: leave out the mask"
        )
    return options


class ExtractRequest(JobRequest):
    """Request for the features of a scene."""

    kind: ClassVar[JobKind] = JobKind.EXTRACT

    scene: Annotated[SceneSource, Field(description="The scene.")]
    options: Annotated[
        ExtractionConfig,
        AfterValidator(_without_files),
        Field(description="Options of the extraction.", default_factory=ExtractionConfig),
    ]
    preset: Annotated[str | None, option("Name of a preset, for options that are not set.")] = None
    like: Annotated[
        str | None, option("Key of a store, for options that are not set and for the fitted projection.")
    ] = None

    def identity(self, context: JobContext) -> Any:
        """Return the scene and all options, as JSON values. See `JobRequest.identity`."""
        config = self._config(context)
        options = json_values(config, exclude={"projection", "pixels", "backbone"})
        explicit = {name: str(getattr(config, name)) for name in ("pixels", "backbone")}
        # The projection of another store is identified by the key of the store.
        projection = config.projection if isinstance(config.projection, str | None) else self.like
        backbone = self._backbone_path(context)
        return [
            self.scene.identity(context),
            [options, explicit, projection, None if self.like is None else context.stores.find(self.like).key],
            [] if backbone is None else file_facts(backbone),
        ]

    def execute(self, context: JobContext, job: JobRecord, listen: Listener) -> dict[str, Any]:  # noqa: ARG002  # no result folder
        """Extract the features, and return the key, the name and the planes of the store. See `JobRequest.execute`."""
        from hsifeat.extraction.prepare import prepare
        from hsifeat.extraction.run import show_scene_notes

        scene, config = self.scene.open(context), self._config(context, listen)
        if isinstance(config.pixels, str) and config.pixels not in scene.labels:
            names = ", ".join(scene.labels) or "none"
            raise SceneError(f"pixels: {scene.name} has no label map {config.pixels!r}; its label maps: {names}")
        # Filters run on the CPU, whatever device the service has for networks.
        device = "cpu" if config.backbone == ContextBackbone.name else context.settings.device
        extraction = prepare(scene, config, device=device, listen=listen)
        served = _into_served_store(context, extraction)
        if (complete := _complete_store(served)) is not None:
            show_scene_notes(extraction, listen)
            return _result(complete, extraction)
        if served is not None:
            # Of two stores with one key, clients would see only one.
            _check_owner(served, context.settings)
            extraction = served
        elif context.settings.cache:
            folder = context.settings.cache.rstrip("/")
            location = as_location(f"{folder}/{extraction.location.name}.zarr")
            extraction = replace(extraction, location=location)
        if isinstance(extraction.location, LocalLocation):
            # Messages to clients leave out the folders of absolute paths only.
            extraction = replace(extraction, location=LocalLocation(extraction.location.path))
        return _result(_run(extraction, context.settings.dask, listen), extraction)

    def find_result(self, context: JobContext, listen: Listener = silent) -> dict[str, Any] | None:
        """Look for a store that already has the features, and return its description, as `execute` does.

        A command or an earlier run of the service may have made the store. If no store is found, the result is None.
        Stores for large scenes, for uploaded scenes and for timesteps to be chosen automatically are not looked for. Nothing
        is computed or written, and the network of the backbone is not opened. `listen` receives the notes that `execute` gives.
        """
        from hsifeat.backbones.recall import recall_described
        from hsifeat.cache.catalogue import DAMAGE_ERRORS
        from hsifeat.extraction.prepare import backbone_options, prepare
        from hsifeat.extraction.run import show_scene_notes

        if self.scene.upload is not None:  # Only runners, which may crash, open the files of clients.
            return None
        try:
            if self.scene.file_bytes(context) > _MAX_LOOKED_UP_BYTES:
                return None
            scene, config = self.scene.open(context), self._config(context, listen)
            is_large = scene.rows * scene.cols * scene.bands > _MAX_LOOKED_UP_VALUES
            stored = {store.scene_shape for store in context.stores.stores()}
            # Timesteps that are chosen automatically need forward passes.
            if is_large or (scene.rows, scene.cols) not in stored or isinstance(config.timesteps, str):
                return None
            source = recall_described(**backbone_options(config))
            if source is None:
                return None
            extraction = prepare(scene, config, device="cpu", source=source, listen=listen)
            store = _complete_store(_into_served_store(context, extraction))
            if store is not None:
                show_scene_notes(extraction, listen)
        except DAMAGE_ERRORS:  # The job reports the error.
            return None
        return None if store is None else _result(store, extraction)

    def is_still_valid(self, context: JobContext, job: JobRecord) -> bool:
        """Return whether the store that a finished job wrote still has the planes, the label maps and the metadata of the job."""
        from hsifeat.cache.catalogue import DAMAGE_ERRORS
        from hsifeat.store.store import Store

        try:
            store = Store.open(context.stores.find(job.result["store"]).location)
            # All records are read, because a repeated job computes a unit again whose record was lost.
            complete = {str(plane.id) for plane in store.planes if store.done(plane.id).all()}
            # A deleted store may have been made again by a request with other label maps.
            is_same = scene_digest(store, job.result["labels"]) == job.result["scene"]
        except DAMAGE_ERRORS:
            return False
        return is_same and complete.issuperset(job.result["planes"])

    def _config(self, context: JobContext, listen: Listener = silent) -> ExtractionConfig:
        """Return the validated options. Options that the client did not set come from the requested preset or store."""
        from hsifeat.extraction.prepare import check_options
        from hsifeat.extraction.resolve import resolve_config
        from hsifeat.presets import preset_names

        if self.preset is not None and self.preset not in preset_names():
            raise HsifeatError(f"no preset {self.preset!r}; {allowed_names(preset_names())}")
        explicit = {name: getattr(self.options, name) for name in self.options.model_fields_set}
        if not isinstance(explicit.get("pixels"), str | None):
            raise HsifeatError("pixels: expected the name of a label map of the scene")
        path = self._backbone_path(context)
        if path is not None:
            prefix = UNTRAINED if str(explicit["backbone"]).startswith(UNTRAINED) else ""
            explicit["backbone"] = f"{prefix}{path}"
        like = None if self.like is None else context.stores.find(self.like).location
        config = resolve_config(explicit, preset=self.preset, like=None if like is None else str(like), listen=listen)
        check_options(config)
        return config

    def _backbone_path(self, context: JobContext) -> Path | None:
        """Return the file or folder of the backbone. None if the backbone is an allowed name or is not set.

        Raises
        ------
        BackboneError
            If the backbone is neither an allowed name nor in an allowed folder. Models on a hub are not allowed, because
            clients must not make the service download files.
        """
        if self.options.backbone is None:
            return None
        settings, name = context.settings, str(self.options.backbone).removeprefix(UNTRAINED)
        if name in settings.backbone_names:
            return None
        try:
            return resolve_below(map(Path, settings.backbones or ()), name, "backbone")
        except SceneError:
            raise BackboneError(
                f"no backbone {name!r} on this service; {allowed_names(settings.backbone_names)}, or a path below one of its "
                "folders of backbones"
            ) from None
