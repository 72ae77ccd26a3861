"""Opening of the stores of a command. If an input set needs context features, scenes without a context store get one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsifeat.features.features import Features
    from hsifeat.runtime.events import Listener


def open_with_context(stores: Sequence[str] | None, inputs: Sequence[str], listen: Listener) -> list[Features]:
    """Open stores. If an input set needs context features, add a context store for each scene that has no context store.

    A context store is made with ``--backbone context``. A context store that does not exist yet is computed. All added
    context stores have the same projection, so that one head can learn from several scenes. If `stores` has context
    stores, this is the projection of the first context store.

    Parameters
    ----------
    stores : sequence of str, optional
        Stores in any form that `hsifeat.open_features` accepts. [default: the store that was completed last]
    inputs : sequence of str
        Names of input sets. ``suited`` stands for a set that suits the given stores, so no context store is added for it.
    listen : callable
        Callback for progress events.

    Returns
    -------
    list of Features
        The stores, followed by the context stores that were added.
    """
    from classifiers.input_sets import SUITED, InputSet, has_context
    from hsifeat.extraction.extract import extract
    from hsifeat.features.open_features import open_features
    from hsifeat.features.scene_set import stores_by_scene
    from hsifeat.runtime.events import Note

    opened = [open_features(store) for store in stores] if stores else [open_features()]
    sets = [InputSet.parse(name) for name in inputs if name != SUITED]
    if not any(one.uses_context for one in sets):
        return opened
    first = next((store for store in opened if store.is_context), None)
    for group in stores_by_scene(opened).values():
        if has_context(group):
            continue
        scene = group[0].scene
        listen(Note(f"no context store is given: extracting the context of {scene.name}"))
        # All scenes have the components of the first context store, because a head learns from all of them.
        options = {"backbone": "context"} if first is None else {"like": first.store}
        added = open_features(extract(scene, **options, listen=listen))
        opened.append(added)
        first = first or added
    return opened
