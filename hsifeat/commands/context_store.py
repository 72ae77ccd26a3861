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

    Raises
    ------
    StoreError
        If stores of one scene count as two scenes. If two scenes have different numbers of stores of diffusion models.
    """
    from classifiers.input_sets import SUITED, InputSet, has_context
    from hsifeat.extraction.extract import extract
    from hsifeat.features.open_features import open_features
    from hsifeat.features.scene_set import group_stores
    from hsifeat.runtime.events import Note

    opened = [open_features(store) for store in stores] if stores else [open_features()]
    sets = [InputSet.parse(name) for name in inputs if name != SUITED]
    if not any(one.uses_context for one in sets):
        return opened
    first = next((store for store in opened if store.is_context), None)
    for group in group_stores(opened, contexts=False):  # reports missing stores before anything is extracted
        if has_context(group):
            continue
        scene = group[0].scene
        listen(Note(f"no context store is given: extracting the context of {scene.name}"))
        # All scenes have the components of the first context store, because a head learns from all of them.
        options = {"backbone": "context"} if first is None else {"like": first.store}
        added = open_features(extract(scene, **options, listen=listen))
        note_further_planes(added, first, listen)
        opened.append(added)
        first = first or added
    return opened


def note_further_planes(context: Features, like: Features | None, listen: Listener) -> None:
    """Send a note if a context store that a command chose has planes beyond those that the command computes.

    Parameters
    ----------
    context : Features
        The context store.
    like : Features or None
        Context store whose layers the command computes; None for the default layers.
    listen : callable
        Receives the note.
    """
    from hsifeat.extraction.config import ExtractionConfig
    from hsifeat.extraction.prepare_context import context_layers
    from hsifeat.formatting import format_count
    from hsifeat.runtime.events import Note

    if like is None:
        computed = {layer.name for layer in context_layers(ExtractionConfig(backbone="context"))}
    else:
        computed = {plane.id.layer for plane in like.planes}
    further = [plane.id.layer for plane in context.planes if plane.id.layer not in computed]
    if further:
        listen(
            Note(
                f"{context.name} has {format_count(len(further), 'plane')} more than this command computes ({', '.join(further)}), and all "
                "planes of the store are used"
            )
        )
