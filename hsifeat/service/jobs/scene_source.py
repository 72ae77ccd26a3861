"""The scene in a request for an extraction. It comes from the public scenes, an allowed folder, an upload, or a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hsifeat.base_config import BaseConfig, Names, RepeatableNames, Whole, option
from hsifeat.errors import SceneError, suggest_names
from hsifeat.service.jobs.allowed_files import file_facts, resolve_source
from hsifeat.service.jobs.request import JobContext, json_values
from hsifeat.service.jobs.stored import scene_digest
from hsifeat.store.store import Store

if TYPE_CHECKING:
    from hsifeat.scenes import Scene

_READING = ("variable", "axes", "rows", "cols", "bad_bands", "nodata", "blank_pixels")


class SceneSource(BaseConfig):
    """The scene in a request: its source, its label maps, and the options for reading it.

    Exactly one of `name`, `files`, `upload` and `store` is set, or `upload` and `files` together. In the latter case,
    `files` selects files of the upload.
    """

    name: Annotated[str | None, option("Name of a public scene.")] = None
    files: Annotated[
        RepeatableNames | None,
        option("File below an allowed folder, or several single-band files. With upload: names of its files."),
    ] = None
    upload: Annotated[str | None, option("Identifier of a complete upload.")] = None
    store: Annotated[str | None, option("Key of a store of the service, whose scene is taken with its label maps.")] = (
        None
    )
    labels: Annotated[
        Names | None,
        option(
            "Label maps, as FILE, FILE:VARIABLE or FILE:COLUMN, from the allowed folders or the upload of the scene."
        ),
    ] = None
    companion: Annotated[str | None, option("Finer image of the same area, FILE or FILE:VARIABLE.")] = None
    variable: Annotated[str | None, option("Variable to read from a file with several variables.")] = None
    axes: Annotated[str | None, option("Order of the axes, such as bands,rows,cols or bands,pixels.")] = None
    rows: Annotated[Whole | None, option("Number of rows, for files with a single axis of pixels.", ge=1)] = None
    cols: Annotated[Whole | None, option("Number of columns, for files with a single axis of pixels.", ge=1)] = None
    bad_bands: Annotated[
        str, option("drop or keep the bands that the file marks as bad, or a list such as 103-108,149.")
    ] = "drop"
    nodata: Annotated[float | None, option("Value of pixels without data.")] = None
    blank_pixels: Annotated[
        str, option("drop or keep the pixels that are 0, or the highest integer, in all bands.")
    ] = "drop"

    def open(self, context: JobContext) -> Scene:
        """Open the scene.

        Raises
        ------
        SceneError
            If the scene does not exist, can't be read or is too large.
        """
        from hsifeat.scenes import open_scene
        from hsifeat.scenes.readers.external_sources import check_folder

        sources, labels, companion = self._sources(context)
        if self.store is not None:
            scene = context.stores.features(context.stores.find(self.store)).scene
        else:
            for source in sources:
                if Path(source).is_dir():
                    check_folder(Path(source))
            reading = {name: getattr(self, name) for name in _READING}
            scene = open_scene(sources, labels=labels, companion=companion, **reading)
        values, limit = scene.rows * scene.cols * scene.bands, context.settings.scene_values
        if values > limit:
            raise SceneError(
                f"{scene.name} has {scene.rows} x {scene.cols} x {scene.bands} = {values:,} values, and this service takes scenes of "
                f"at most {limit:,}: cut the scene, or ask the operator to raise --scene-values"
            )
        return scene

    def file_bytes(self, context: JobContext) -> int:
        """Return the total size in bytes of the files of the scene; 0 for folders and public scenes.

        Raises
        ------
        SceneError
            If the scene does not exist.
        """
        return sum(Path(source).stat().st_size for source in self._sources(context)[0] if Path(source).is_file())

    def identity(self, context: JobContext) -> Any:
        """Return everything that determines the opened scene, as JSON values.

        Raises
        ------
        SceneError
            If the scene does not exist.
        """
        sources, labels, companion = self._sources(context)
        files = [*([] if self.name else sources), *labels, *([companion] if companion else [])]
        if self.store is not None:
            served = context.stores.find(self.store)
            store = Store.open(served.location)
            place: list[Any] = [served.key, scene_digest(store, store.labels)]
        elif self.upload is not None:
            place = context.uploads.get(self.upload).digests()
        else:
            place = [file_facts(Path(file.partition(":")[0])) for file in files]
        return [json_values(self), sources if self.name else [], place]

    def _sources(self, context: JobContext) -> tuple[list[str], list[str], str | None]:
        """Return the paths or names of the scene, its label maps and its companion image, for `open_scene`."""
        from hsifeat.scenes.registry.public_scenes import REGISTRY

        if (self.name is not None) + (self.upload is not None or self.files is not None) + (
            self.store is not None
        ) != 1:
            raise SceneError("scene: give one of name, files, upload and store")
        if self.store is not None:
            if others := sorted(self.model_fields_set - {"store"}):
                raise SceneError(f"scene: a store has all that is known of its scene: leave out {', '.join(others)}")
            return [], [], None
        if self.upload is not None:
            folders, names = [context.uploads.get(self.upload).complete_folder()], self.files
            if names is None:
                names = (context.uploads.get(self.upload).scene_file(),)
        else:
            folders, names = [Path(folder) for folder in context.settings.scenes or ()], self.files
        labels = [resolve_source(folders, label, "label map") for label in self.labels or ()]
        companion = None if self.companion is None else resolve_source(folders, self.companion, "image")
        if self.name is not None:
            if self.name not in REGISTRY:
                raise SceneError(f"no public scene named {self.name!r}; {suggest_names(self.name, REGISTRY)}")
            return [self.name], labels, companion
        return [resolve_source(folders, name, "scene") for name in names or ()], labels, companion
