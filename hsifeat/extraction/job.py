"""A prepared extraction, and what is left to do of it given the store as it is."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import numpy as np

from hsifeat.errors import RecipeMismatchError, StoreError
from hsifeat.extraction.config import ExtractionConfig
from hsifeat.extraction.plan import Plan, make_plan
from hsifeat.extraction.runner import Extractor
from hsifeat.formatting import format_bytes
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.location import LocalLocation, Location
from hsifeat.store.recipe import Recipe, differences
from hsifeat.store.store import Store


@dataclass(frozen=True)
class Job:
    """A prepared extraction: everything but the plan, which depends on the store when it is run.

    Attributes
    ----------
    config : ExtractionConfig
        The options, with timesteps resolved.
    extractor : Extractor
        Turns units of the scene into planes; its batch is that of a new store.
    planes : tuple of PlaneSpec
        The requested planes.
    recipe : Recipe
        Everything that decides the values.
    location : Location
        Where the store is, or will be created.
    """

    config: ExtractionConfig
    extractor: Extractor
    planes: tuple[PlaneSpec, ...]
    recipe: Recipe
    location: Location

    def find_store(self, *, writable: bool = False) -> Store | None:
        """Open the store, if there is one.

        Raises
        ------
        StoreError
            Something else is at its location, or it was begun with another batch size than the one that was set.
        RecipeMismatchError
            It holds planes of another recipe.
        """
        store = Store.find(self.location, writable=writable)
        if store is None:
            return None
        check_recipe(store, self.recipe, advice="name another store with --out")
        begun, batch = store.manifest.batch, self.config.batch
        if "batch" in self.config.model_fields_set and batch not in {"auto", begun}:
            raise StoreError(
                f"{self.location} was begun with batches of {begun} tiles, and batches of {batch} would change the last bits: "
                "leave out --batch, or name another store with --out"
            )
        return store

    def remaining(self, store: Store | None) -> RemainingWork:
        """Plan what the store lacks; an existing store keeps the batch and the units that it was begun with."""
        extractor = self.extractor if store is None else replace(self.extractor, batch=store.manifest.batch)
        plan = make_plan(
            extractor.scene.valid,
            extractor.tiling,
            extractor.tiling.layout if store is None else store.manifest.layout,
            self.planes,
            extractor.noise,
            None if store is None else store.done,
        )
        return RemainingWork(self, extractor, plan, is_new=store is None)


@dataclass(frozen=True)
class RemainingWork:
    """What is left to do of a job.

    Attributes
    ----------
    job : Job
        The whole extraction.
    extractor : Extractor
        That of the job, with the batch of the store.
    plan : Plan
        The missing units of each plane.
    is_new : bool
        Whether the store has to be created.
    """

    job: Job
    extractor: Extractor
    plan: Plan
    is_new: bool

    @property
    def needed_bytes(self) -> int:
        """Upper bound of the bytes to be written: missing planes, and the scene if the store is new."""
        scene = self.extractor.scene
        pixel = scene.bands * np.dtype(scene.cube.dtype).itemsize + 1
        return self.plan.missing_bytes + (scene.rows * scene.cols * pixel if self.is_new else 0)

    @property
    def summary(self) -> str:
        """One line: planes that exist, passes and bytes to do, backbone, projection and device."""
        plan, extractor = self.plan, self.extractor
        unfinished = {plane.id for step in plan.steps for plane in step.planes}
        existing = f"{len(plan.planes) - len(unfinished)} of {len(plan.planes)} planes exist"
        return (
            f"{self.job.location}: {'new store' if self.is_new else existing}; {plan.passes} of {plan.total_passes} passes to "
            f"do, at most {format_bytes(self.needed_bytes)}; {extractor.backbone.name} through {extractor.model_input.projection.spec} on "
            f"{extractor.device}"
        )

    def check_disk(self) -> None:
        """Raise `StoreError` if the disk can't hold what will be written."""
        location = self.job.location
        if not isinstance(location, LocalLocation):
            return
        folder = next(path for path in (location.path, *location.path.parents) if path.exists())
        free = shutil.disk_usage(folder).free
        if free < self.needed_bytes:
            raise StoreError(
                f"the run writes up to {format_bytes(self.needed_bytes)} to {location}, but only {format_bytes(free)} are free there: "
                "free some space, request fewer planes, or name another place with --out"
            )


def check_recipe(store: Store, recipe: Recipe, *, advice: str) -> None:
    """Raise `RecipeMismatchError` with the fields that differ, and advice, if a store has another recipe.

    Parameters
    ----------
    store : Store
        An existing store.
    recipe : Recipe
        Recipe of the planes to be computed.
    advice : str
        Last sentence of the message: what the user can do.
    """
    if store.key == recipe.key:
        return
    fields = differences(store.manifest.recipe, recipe.canonical())
    rows = "\n".join(
        f"  {name}: {_brief(stored_value)} -> {_brief(requested_value)}"
        for name, stored_value, requested_value in fields
    )
    raise RecipeMismatchError(
        f"{store.location} holds planes of another recipe (stored -> requested):\n{rows}\n{advice}"
    )


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:20] + "…"
