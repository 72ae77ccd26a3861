"""Open the stores of a command, and add a context store if an input set needs context features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hsifeat.features.features import Features
    from hsifeat.runtime.events import Listener


def open_with_context(stores: Sequence[str] | None, inputs: Sequence[str], listen: Listener) -> list[Features]:
    """Open stores, and add a context store of the same scene if an input set needs context features.

    A context store is made with ``--backbone context``. No context store is added if `stores` already contains one. If the
    scene has no context store yet, this function computes one.

    Parameters
    ----------
    stores : sequence of str, optional
        Stores in any form that `hsifeat.open_features` accepts. [default: the store that was completed last]
    inputs : sequence of str
        Names of input sets. The input set ``suited`` uses a context store only if `stores` contains one.
    listen : callable
        Callback for progress events.

    Returns
    -------
    list of Features
        The stores, followed by the context store if it was added.
    """
    from classifiers.input_sets import SUITED, InputSet, has_context
    from hsifeat.extraction.extract import extract
    from hsifeat.features.open_features import open_features
    from hsifeat.runtime.events import Note

    opened = [open_features(store) for store in stores] if stores else [open_features()]
    sets = [InputSet.parse(name) for name in inputs if name != SUITED]
    if any(one.uses_context for one in sets) and not has_context(opened):
        listen(Note(f"no context store is given: extracting the context of {opened[0].scene.name}"))
        opened.append(open_features(extract(opened[0].scene, backbone="context", listen=listen)))
    return opened
