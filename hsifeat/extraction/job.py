"""A settled extraction: what will be done and where, and what the store holds of it by now."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hsifeat.errors import RecipeMismatchError, StoreError
from hsifeat.extraction.plan import Plan, make_plan
from hsifeat.extraction.runner import Extractor
from hsifeat.store.layout import PlaneSpec
from hsifeat.store.location import LocalLocation, Location
from hsifeat.store.recipe import Recipe, differences
from hsifeat.store.store import Store


@dataclass(frozen=True)
class Job:
    """A settled extraction: what will be done, and where. Nothing has been written yet.

    Attributes
    ----------
    extractor : Extractor
        Turns units into planes.
    plan : Plan
        What is missing.
    recipe : Recipe
        What decides the values.
    place : Place
        Where the store is, or will be made.
    store : Store or None
        The store, if it is there.
    """

    extractor: Extractor
    plan: Plan
    recipe: Recipe
    location: Location
    store: Store | None

    def again(self) -> Job:
        """Settle the same once more: another process may have made the store, or parts of it, since."""
        return settle_on(self.location, self.extractor, self.recipe, self.plan.planes)

    @property
    def intention(self) -> str:
        """Say what was found and what will be done."""
        plan, extractor = self.plan, self.extractor
        unfinished = {plane.id for step in plan.steps for plane in step.planes}
        found = (
            f"{len(plan.planes) - len(unfinished)} of {len(plan.planes)} planes are there"
            if self.store
            else "new store"
        )
        return (
            f"{self.location}: {found}; {plan.passes} of {plan.total_passes} passes to do, at most {_gb(self.needed_bytes)}; "
            f"{extractor.backbone.name} through {extractor.model_input.projection.spec} on {extractor.device}"
        )

    @property
    def needed_bytes(self) -> int:
        """Most bytes that the run will add to the disk: missing planes, and the scene if the store is new."""
        scene = self.extractor.scene
        copied = 0 if self.store else scene.rows * scene.cols * (scene.bands * np.dtype(scene.cube.dtype).itemsize + 1)
        return self.plan.missing_bytes + copied

    def check_disk(self) -> None:
        """Raise `StoreError` if the disk can't hold what will be written."""
        if not isinstance(self.location, LocalLocation):
            return
        folder = next(p for p in (self.location.path, *self.location.path.parents) if p.exists())
        free = shutil.disk_usage(folder).free
        if free < self.needed_bytes:
            raise StoreError(
                f"the run writes up to {_gb(self.needed_bytes)} to {self.location}, but only {_gb(free)} are free there: "
                "free some space, ask for fewer planes, or name another place with --out"
            )


def settle_on(location: Location, extractor: Extractor, recipe: Recipe, planes: Sequence[PlaneSpec]) -> Job:
    """Look at what the store holds by now, and plan what it lacks; a store keeps the batch and the units that it was begun with."""
    store = _existing(location, recipe)
    layout = extractor.tiling.layout
    if store is not None:
        extractor, layout = replace(extractor, batch=store.manifest.batch), store.manifest.layout
    plan = make_plan(
        extractor.scene.valid, extractor.tiling, layout, planes, extractor.noise, store.done if store else None
    )
    return Job(extractor, plan, recipe, location, store)


def _existing(location: Location, recipe: Recipe) -> Store | None:
    store = Store.find(location)
    if store is not None and store.key != recipe.key:
        raise RecipeMismatchError(mismatch(store, recipe) + "\nname another store with --out")
    return store


def mismatch(store: Store, recipe: Recipe) -> str:
    """Say side by side in what a store's recipe differs from another."""
    rows = [f"  {n}: {_brief(a)} -> {_brief(b)}" for n, a, b in differences(store.manifest.recipe, recipe.canonical())]
    return f"{store.location} holds planes of another recipe (there -> asked for):\n" + "\n".join(rows)


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 24 else text[:20] + "…"


def _gb(size: int) -> str:
    return f"{size / 1e9:.3g} GB"
