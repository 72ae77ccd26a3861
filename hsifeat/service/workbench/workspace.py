"""Workspaces of the workbench. A workspace keeps reduced columns, maps and band images of one scene in memory."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from fastapi import Request

from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.backbones.options import UNTRAINED
from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.errors import HsifeatError, StoreError
from hsifeat.features.features import Features
from hsifeat.features.scene_set import single_stores
from hsifeat.features.stack import open_stack
from hsifeat.runtime.events import Advanced, Event, Listener, Started, silent
from hsifeat.service.problems import ProblemError, problem_of, public_text
from hsifeat.service.store_index import ServedStore, StoreIndex, Version
from hsifeat.service.store_models import Summaries
from hsifeat.service.workbench.band_images import BandImages
from hsifeat.service.workbench.class_spectra import ClassSpectra
from hsifeat.service.workbench.map_tools import MapOptions, MapResources, MapTools, ToolsKey
from hsifeat.service.workbench.tickets import Tickets

if TYPE_CHECKING:
    from classifiers.labelling.quick_map import QuickMapper
    from classifiers.labelling.scene_columns import SceneColumns
    from classifiers.labelling.segments import Segments
    from classifiers.labelling.suggest import Suggester

_MAX_WORKSPACES = 4
BACKBONE = "natural32"
"""Backbone whose planes the workbench computes, and prefers to planes of other models."""
_NICENESS = 10  # of the preparation of suggestions
# Files of a store on which band images and reduced columns depend. A path of a file starts with one of these texts.
_CUBE_FILES = ("scene/cube/", "scene/valid/")
_COLUMN_FILES = (*_CUBE_FILES, "planes/", "progress/")


@dataclass
class Preparation:
    """Progress of the computation of a scene's reduced columns.

    Attributes
    ----------
    done, total : float
        Number of pixels computed so far, and number of all pixels.
    error : str
        Why the computation failed, or an empty string.
    finished : bool
        Whether the columns are ready.
    """

    done: float = 0
    total: float = 1
    error: str = ""
    finished: bool = False

    def listen(self, event: Event) -> None:
        """Update the progress from an event."""
        if isinstance(event, Started):
            self.total, self.done = event.total, event.done
        elif isinstance(event, Advanced):
            self.done = event.done


class Workspace:
    """A scene that is being labelled. The methods are thread-safe.

    Parameters
    ----------
    features : Features
        Features of one store of the scene, or of two stores: a context store and a store with features of a model.
    resources : MapResources
        What all scenes share: the reduced columns and band images in memory, and the slots for computing maps.

    Attributes
    ----------
    preparation : Preparation
        Progress of the computation of the reduced columns for the default `MapOptions`.
    spectra : ClassSpectra
        Mean spectra of the classes of the label sets.
    bands : BandImages
        Bands of the scene as images.
    map_slots : threading.BoundedSemaphore
        Limits the number of maps that the service computes at the same time.
    left_out : tuple of str
        For each store of the scene that can't be combined with the stores of the workspace, the reason.
    """

    def __init__(self, features: Features, resources: MapResources) -> None:
        self.features = features
        # Label maps and georeference are left out: after their correction, the same columns are used.
        self._digests = {store.key: _digest(store, _COLUMN_FILES) for store in self.stores}
        self.map_slots, self._resources = resources.slots, resources
        first = self.stores[0]
        place = first.store.location.identity, _digest(first, _CUBE_FILES)
        self.bands = resources.bands.get(place, lambda: BandImages(features.scene))
        self.spectra = ClassSpectra()
        self.left_out: tuple[str, ...] = ()
        self.preparation = Preparation(finished=self._tools_key(MapOptions()) in resources.tools)
        threading.Thread(target=self._prepare, daemon=True, name="columns").start()

    @property
    def stores(self) -> tuple[Features, ...]:
        """Features of each store of the workspace."""
        return single_stores(self.features)

    @property
    def scene_digest(self) -> str:
        """Digest of the scene. The label database finds the label sets of a scene by this digest."""
        return str(self.features.recipe["scene"])

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the scene."""
        return self.features.shape[0], self.features.shape[1]

    def features_for(self, inputs: str) -> Features:
        """Return the features that an input set needs.

        If the input set uses planes, or if the workspace has no context store, the result is the features of all stores of
        the workspace. Otherwise, the result is the features of the context store.
        """
        from classifiers.input_sets import InputSet

        context = next((store for store in self.stores if store.is_context), None)
        if context is None or (inputs and InputSet.parse(inputs).uses_planes):
            return self.features
        return context

    def columns(self, options: MapOptions | None = None) -> SceneColumns:
        """Return the reduced columns for the head and the input set in `options`; computed if they are not in memory."""
        return self._tools(options or MapOptions()).columns

    def mapper(self, options: MapOptions) -> QuickMapper:
        """Return the object that computes maps with the head, the input set and the smoothing rule in `options`."""
        return self._tools(options).mapper(options.smooth)

    def segments(self) -> Segments:
        """Return the superpixels of the scene. They are computed at the first call."""
        return self._tools(MapOptions()).segments()

    def suggester(self, options: MapOptions) -> Suggester:
        """Return the object that suggests pixels to label next."""
        return self._tools(options).suggester(options.smooth, self.segments())

    def _tools(self, options: MapOptions, listen: Listener = silent) -> MapTools:
        from classifiers.labelling.scene_columns import open_scene_columns

        features = self.features_for(options.inputs)

        def compute() -> MapTools:
            columns = open_scene_columns(features, options.head, inputs=options.inputs or None, listen=listen)
            return MapTools(columns, options.head)

        return self._resources.tools.get(self._tools_key(options), compute)

    def _tools_key(self, options: MapOptions) -> ToolsKey:
        stores = single_stores(self.features_for(options.inputs))
        return tuple(self._digests[store.key] for store in stores), options.head, options.inputs

    def _prepare(self) -> None:
        try:
            self._tools(MapOptions(), self.preparation.listen)
            self.preparation.finished = True
            # Suggestions are prepared, too, but the first maps come before them.
            if sys.platform == "linux":  # elsewhere, this would be the priority of the process, not of the thread
                os.nice(_NICENESS)
            self.suggester(MapOptions())
        except HsifeatError as error:
            self.preparation.error = str(problem_of(error))
        except Exception as error:  # noqa: BLE001  # the page shows it; the thread has no other listener
            self.preparation.error = public_text(f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class _OpenScene:
    """The workspaces that were opened for the key of a store.

    Attributes
    ----------
    newest : tuple of str
        Name of the workspace that was opened last.
    former : tuple of str
        Name of an earlier workspace, which is used until the columns of `newest` are ready. Empty if there is none.
    versions : dict
        `StoreIndex.version` of each store of `newest`. Each version was read before its store.
    """

    newest: tuple[str, ...]
    former: tuple[str, ...]
    versions: dict[ServedStore, Version]


class Workbench:
    """All scenes that are being labelled, and the database of their labels.

    Parameters
    ----------
    stores : StoreIndex
        The stores of the service.
    summaries : Summaries
        Summaries of the served stores, which are computed once per store.
    database : LabelDatabase
        Database of the labels.
    """

    def __init__(self, stores: StoreIndex, summaries: Summaries, database: LabelDatabase) -> None:
        self.database, self.tickets = database, Tickets()
        self._stores, self._summaries, self._resources = stores, summaries, MapResources()
        self._workspaces: OrderedDict[tuple[str, ...], Workspace] = OrderedDict()
        # For each key of a store that was asked for. `newest` is one of the names in `_workspaces`.
        self._opened: dict[str, _OpenScene] = {}
        self._opening, self._lock = threading.Lock(), threading.Lock()

    def workspace(self, key: str) -> Workspace:
        """Return the workspace for the requests of an open page.

        The result is `newest`. If the columns of `newest` are not ready or could not be computed, and an earlier workspace is
        open, the result is the earlier workspace.
        """
        newest = self.newest(key)
        return self._usable(key) or newest

    def newest(self, key: str) -> Workspace:
        """Return the workspace for the scene of a store, as its stores are now.

        If the workspace is not open, or if one of its stores has changed, a workspace is opened. If the changed store can't
        be opened, the workspace that was opened last is returned, and the next call tries again.
        """
        with self._lock:
            opened = self._opened.get(key)
            if opened is not None:
                found = self._workspaces[opened.newest]
                self._workspaces.move_to_end(opened.newest)
        if opened is None:
            return self.open(key)
        if any(self._has_changed(*pair) for pair in opened.versions.items()):
            with suppress(*DAMAGE_ERRORS):
                return self.open(key)
        return found

    def open(self, key: str) -> Workspace:
        """Open the workspace for the scene of a store.

        A store has either context features or features of a model. If the scene also has a complete store of the other
        kind, the workspace has the features of both stores. The reduced columns of a new workspace are computed in another
        thread. If a workspace is open and one of its stores is being written, the open workspace is returned.

        Raises
        ------
        ProblemError
            If the store does not exist, is unfinished, or has features of selected pixels only.
        """
        store, usable = self._stores.find(key), self._usable(key)
        if usable is not None and any(self._is_being_written(part) for part in usable.stores):
            return usable
        left_out: list[str] = []
        companions = companion_stores(self._stores.features(store), self._stores, self._summaries, left_out.append)
        served = [store, *companions]
        versions = {one: self._stores.version(one.location) for one in served}
        parts = [self._stores.features(one) for one in served]
        for features in parts:
            if not features.covers_scene:
                raise ProblemError(
                    422, f"{features.name} has features of listed pixels only: label a store of the whole scene"
                )
            if features.unfinished:
                raise ProblemError(
                    503, f"{features.name} is unfinished: wait until its extraction ends", {"Retry-After": "10"}
                )
        name = tuple(sorted(f"{part.key} {_digest(part)}" for part in parts))
        with self._opening:
            found = self._workspaces.get(name)
            if found is None or found.preparation.error:
                found = Workspace(open_stack(parts), self._resources)
            found.left_out = tuple(left_out)
            with self._lock:
                former = next((one for one, kept in self._workspaces.items() if kept is usable), ())
                self._workspaces[name], self._opened[key] = found, _OpenScene(name, former, versions)
                self._workspaces.move_to_end(name)
                while len(self._workspaces) > _MAX_WORKSPACES:
                    self._workspaces.popitem(last=False)
                self._opened = {one: kept for one, kept in self._opened.items() if kept.newest in self._workspaces}
            return found

    def _usable(self, key: str) -> Workspace | None:
        """Return the newest open workspace of a store whose columns are ready; None if there is none."""
        with self._lock:
            opened = self._opened.get(key)
            names = () if opened is None else (opened.newest, opened.former)
            spaces = [self._workspaces[name] for name in names if name in self._workspaces]
        return next((space for space in spaces if space.preparation.finished), None)

    def _has_changed(self, store: ServedStore, version: Version) -> bool:
        """Return whether a store has changed. The result is False if the store was deleted or can't be reached."""
        now = self._stores.version(store.location)
        return bool(now) and now != version

    def _is_being_written(self, part: Features) -> bool:
        with suppress(*DAMAGE_ERRORS):
            store = self._stores.find(part.key)
            return store.is_being_written or bool(self._stores.features(store).unfinished)
        return False


def companion_stores(
    features: Features, stores: StoreIndex, summaries: Summaries, left_out: Callable[[str], None] | None = None
) -> list[ServedStore]:
    """Return a list of at most one complete store of the scene, which adds the kind of features that `features` lacks.

    The kinds are context features and features of a model. Stores of `BACKBONE` are preferred, then stores that were created
    earlier, so that a new store does not change the maps of a scene that is being labelled. Stores of untrained networks, and
    stores that can't be stacked with `features`, are left out. If no store is left, the list is empty.

    Parameters
    ----------
    features : Features
        Features of the scene.
    stores : StoreIndex
        The stores of the service.
    summaries : Summaries
        Summaries of these stores.
    left_out : callable, optional
        Receives the reason for each store that can't be stacked, such as another georeference.
    """
    for store, entry in sorted(summaries.search(), key=lambda found: (found[1].backbone != BACKBONE, found[0].created)):
        if (
            entry.scene_digest == features.recipe["scene"]
            and entry.is_context != features.is_context
            and entry.covers_scene
            and not entry.unfinished
        ):
            try:
                companion = stores.features(store)
                open_stack([features, companion])
            except StoreError as error:
                if left_out is not None:
                    left_out(public_text(str(error)))
            except DAMAGE_ERRORS:
                continue
            else:
                if not str(companion.store.manifest.provenance.get("backbone_source")).startswith(UNTRAINED):
                    return [store]
    return []


def _digest(features: Features, paths: tuple[str, ...] = ("",)) -> str:
    """Return a digest of the files of a store. Only files whose paths start with one of `paths` count."""
    files = [(path, checksum) for path, checksum in features.store.checksums.items() if path.startswith(paths)]
    return sha256(repr((features.key, sorted(files))).encode()).hexdigest()


def workbench_of(request: Request) -> Workbench:
    """Return the workbench of the service that a request was sent to."""
    return cast("Workbench", request.app.state.workbench)
