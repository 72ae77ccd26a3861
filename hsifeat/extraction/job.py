"""A prepared extraction, and the remaining work to complete its store."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np

from hsifeat.errors import DiskFullError, RecipeMismatchError, StoreError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.extractor import Extractor
from hsifeat.extraction.plan import Plan
from hsifeat.formatting import format_bytes, format_count
from hsifeat.store.location import LocalLocation, Location
from hsifeat.store.plane_layout import PlaneSpec
from hsifeat.store.recipe import Recipe, differences
from hsifeat.store.store import Store


@dataclass(frozen=True)
class Prepared:
    """A prepared extraction without the location of its store.

    Attributes
    ----------
    config : ExtractionConfig
        Options of the extraction, in which ``auto:N`` is replaced by timesteps.
    extractor : Extractor
        Extractor of the features. Its batch size is used only for a new store.
    planes : tuple of PlaneSpec
        Requested planes, each for one layer at one timestep.
    recipe : Recipe
        All settings that determine the values of the features.
    """

    config: ExtractionConfig
    extractor: Extractor
    planes: tuple[PlaneSpec, ...]
    recipe: Recipe


@dataclass(frozen=True, repr=False)
class Job(Prepared):
    """A prepared extraction with the location of its store. `run` executes it.

    Attributes
    ----------
    location : Location
        Location of the store, which may not exist yet.
    device : str
        ``auto``, ``cpu`` or ``cuda``, as requested. Each worker of an executor resolves ``auto`` for its own machine.
    """

    location: Location
    device: str = "auto"

    def __repr__(self) -> str:
        return f"<Job {self.location}: {format_count(len(self.planes), 'plane')} of {self.extractor.scene.name}>"

    def find_store(self, *, writable: bool = False) -> Store | None:
        """Open the store of the extraction; return None if the store does not exist.

        Parameters
        ----------
        writable : bool
            Whether to open the store for writing.

        Raises
        ------
        StoreError
            If the location holds something other than a store. If an explicitly set batch size differs from the batch size
            of the store.
        RecipeMismatchError
            If the recipe of the store differs from the recipe of the job.
        """
        store = Store.find(self.location, writable=writable)
        if store is None:
            return None
        check_recipe(store, self.recipe, advice="name another store with `out`")
        stored_batch, batch = store.manifest.batch, self.config.batch
        if "batch" in self.config.model_fields_set and batch not in {"auto", stored_batch}:
            raise StoreError(
                f"{self.location} was begun with batches of {stored_batch} tiles, and batches of {batch} would change the last bits: "
                "leave out `batch`, or name another store with `out`"
            )
        return store

    def remaining(self, store: Store | None) -> RemainingWork:
        """Return the remaining work to complete a store.

        Parameters
        ----------
        store : Store or None
            The existing store, whose batch size and layout are kept; None if the store does not exist yet.
        """
        extractor = self.extractor if store is None else self.extractor.with_batch(store.manifest.batch)
        layout = extractor.layout if store is None else store.manifest.layout
        plan = extractor.plan(self.planes, layout, None if store is None else store.done)
        return RemainingWork(self, extractor, plan, is_new=store is None)


@dataclass(frozen=True)
class RemainingWork:
    """The remaining work of an extraction.

    Attributes
    ----------
    job : Job
        The extraction.
    extractor : Extractor
        Extractor of the features, with the batch size of the store.
    plan : Plan
        Steps that compute the missing features.
    is_new : bool
        Whether the store has to be created.
    """

    job: Job
    extractor: Extractor
    plan: Plan
    is_new: bool

    @property
    def needed_bytes(self) -> int:
        """Upper bound of the number of bytes to write. For a new store, this includes the scene."""
        scene = self.extractor.scene
        pixel = scene.bands * np.dtype(scene.cube.dtype).itemsize + 1
        return self.plan.missing_bytes + (scene.rows * scene.cols * pixel if self.is_new else 0)

    @property
    def summary(self) -> str:
        """Summary in one line: the remaining passes and bytes, the backbone, the projection and the device."""
        plan, extractor = self.plan, self.extractor
        unfinished = {plane.id for step in plan.steps for plane in step.planes}
        through = "" if extractor.projection is None else f" through {extractor.projection.spec}"
        existing = f"{len(plan.planes) - len(unfinished)} of {len(plan.planes)} planes exist"
        return (
            f"{self.job.location}: {'new store' if self.is_new else existing}; {plan.passes} of {plan.total_passes} passes to "
            f"do, at most {format_bytes(self.needed_bytes)}; {extractor.source.name}{through} on {extractor.device}"
        )

    def check_disk(self) -> None:
        """Raise `DiskFullError` if the disk has too little free space for the remaining work."""
        location = self.job.location
        if not isinstance(location, LocalLocation):
            return
        folder = next(path for path in (location.path, *location.path.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        if free < self.needed_bytes:
            raise DiskFullError(
                f"the run writes up to {format_bytes(self.needed_bytes)} to {location}, but only {format_bytes(free)} are free there: "
                "free some space, request fewer planes, or name another place with `out`"
            )


def check_recipe(store: Store, recipe: Recipe, *, advice: str) -> None:
    """Check that the recipe of a store is the recipe of the requested planes.

    Parameters
    ----------
    store : Store
        An existing store.
    recipe : Recipe
        Recipe of the requested planes.
    advice : str
        Advice to the user, which is the last line of the error message.

    Raises
    ------
    RecipeMismatchError
        If the recipes differ. The message lists the fields that differ.
    """
    if store.key == recipe.key:
        return
    fields = differences(store.manifest.recipe, recipe.canonical())
    rows = "\n".join(
        f"  {name}: {_abbreviate(stored_value)} -> {_abbreviate(requested_value)}"
        for name, stored_value, requested_value in fields
    )
    raise RecipeMismatchError(
        f"{store.location} holds planes of another recipe (stored -> requested):\n{rows}\n{advice}"
    )


def _abbreviate(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:20] + "…"
