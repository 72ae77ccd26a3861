"""Workspaces of the workbench. A workspace keeps reduced columns, maps and band images of one scene in memory."""

from __future__ import annotations

import os
import sys
import threading
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from fastapi import Request

from classifiers.labelling.labels_db import LabelDatabase
from hsifeat.backbones.options import UNTRAINED
from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.errors import HsifeatError
from hsifeat.features.features import Features
from hsifeat.features.stack import StackedFeatures, open_stack
from hsifeat.runtime.events import Advanced, Event, Listener, Started, silent
from hsifeat.service.problems import ProblemError, problem_of, public_text
from hsifeat.service.store_index import StoreIndex
from hsifeat.service.store_models import Summaries
from hsifeat.service.workbench.band_images import BandImages
from hsifeat.service.workbench.class_spectra import ClassSpectra
from hsifeat.service.workbench.map_tools import MapOptions, MapResources, MapTools
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
        What all scenes share: the reduced columns in memory, and the slots for computing maps.

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
    """

    def __init__(self, features: Features, resources: MapResources) -> None:
        self.features = features
        self.map_slots, self._resources = resources.slots, resources
        self.bands = BandImages(features.scene)
        self.spectra = ClassSpectra()
        self.preparation = Preparation()
        threading.Thread(target=self._prepare, daemon=True, name="columns").start()

    @property
    def stores(self) -> tuple[Features, ...]:
        """Features of each store of the workspace."""
        return self.features.stores if isinstance(self.features, StackedFeatures) else (self.features,)

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
        stores = features.stores if isinstance(features, StackedFeatures) else (features,)

        def compute() -> MapTools:
            columns = open_scene_columns(features, options.head, inputs=options.inputs or None, listen=listen)
            return MapTools(columns, options.head)

        key = tuple(store.key for store in stores), options.head, options.inputs
        return self._resources.tools.get(key, compute)

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
        # For each key of a store that was asked for: the name of its workspace, one of those in `_workspaces`.
        self._names: dict[str, tuple[str, ...]] = {}
        self._opening, self._lock = threading.Lock(), threading.Lock()

    def workspace(self, key: str) -> Workspace:
        """Return the workspace for the scene of a store. If the workspace is not open, it is opened."""
        with self._lock:
            if (name := self._names.get(key)) is not None:
                self._workspaces.move_to_end(name)
                return self._workspaces[name]
        return self.open(key)

    def open(self, key: str) -> Workspace:
        """Open the workspace for the scene of a store.

        A store has either context features or features of a model. If the scene also has a complete store of the other
        kind, the workspace has the features of both stores. The reduced columns of a new workspace are computed in another
        thread.

        Raises
        ------
        ProblemError
            If the store does not exist, is unfinished, or has features of selected pixels only.
        """
        store = self._stores.find(key)
        features = self._stores.features(store)
        if not features.covers_scene:
            raise ProblemError(
                422, f"{features.name} has features of listed pixels only: label a store of the whole scene"
            )
        if features.unfinished:
            raise ProblemError(
                503, f"{features.name} is unfinished: wait until its extraction ends", {"Retry-After": "10"}
            )
        parts = [features, *companion_stores(features, self._stores, self._summaries)]
        # An extraction can correct the metadata of the scene in a store, such as its georeference.
        name = tuple(sorted(f"{part.key} {part.store.manifest.scene.model_dump_json()}" for part in parts))
        with self._opening:
            found = self._workspaces.get(name)
            if found is None or found.preparation.error:
                found = Workspace(open_stack(parts), self._resources)
            with self._lock:
                self._workspaces[name], self._names[key] = found, name
                self._workspaces.move_to_end(name)
                while len(self._workspaces) > _MAX_WORKSPACES:
                    self._workspaces.popitem(last=False)
                self._names = {one: kept for one, kept in self._names.items() if kept in self._workspaces}
            return found


def companion_stores(features: Features, stores: StoreIndex, summaries: Summaries) -> list[Features]:
    """Return a list of at most one complete store of the scene, which adds the kind of features that `features` lacks.

    The kinds are context features and features of a model. Stores of `BACKBONE` are preferred. Stores of untrained
    networks, and stores that can't be stacked with `features`, are left out. If no store is left, the list is empty.

    Parameters
    ----------
    features : Features
        Features of the scene.
    stores : StoreIndex
        The stores of the service.
    summaries : Summaries
        Summaries of these stores.
    """
    for store, entry in sorted(summaries.search(), key=lambda found: found[1].backbone != BACKBONE):
        if (
            entry.scene_digest == features.recipe["scene"]
            and entry.is_context != features.is_context
            and entry.covers_scene
            and not entry.unfinished
        ):
            with suppress(*DAMAGE_ERRORS):
                companion = stores.features(store)
                open_stack([features, companion])  # raises an error if both have a plane with the same name
                if not str(companion.store.manifest.provenance.get("backbone_source")).startswith(UNTRAINED):
                    return [companion]
    return []


def workbench_of(request: Request) -> Workbench:
    """Return the workbench of the service that a request was sent to."""
    return cast("Workbench", request.app.state.workbench)
