"""Features of several scenes. All scenes have the same columns, so that one model can learn from all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from hsifeat.errors import StoreError, shell_command
from hsifeat.features.distinct_scenes import check_distinct
from hsifeat.features.features import Features
from hsifeat.features.open_features import open_features
from hsifeat.features.stack import StackedFeatures, StoreLike, list_stores, open_stack
from hsifeat.formatting import format_count, list_some
from hsifeat.runtime.events import Listener, Note, silent
from hsifeat.scenes.band_matching import SceneBands, match_bands, matching_notes


class SceneSet:
    """Features of one or several scenes. Use `open_scenes` to open a set.

    The stores of a scene are combined, see `hsifeat.features.stack.StackedFeatures`.

    Parameters
    ----------
    scenes : sequence of Features
        Features of each scene.
    """

    def __init__(self, scenes: Sequence[Features]) -> None:
        self.scenes = tuple(scenes)

    def __len__(self) -> int:
        return len(self.scenes)

    @property
    def first(self) -> Features:
        """Features of the first scene."""
        return self.scenes[0]

    @property
    def name(self) -> str:
        """Names of the stores of at most four scenes, and the number of further scenes.

        Plus signs join the stores of a scene, and commas separate the scenes.
        """
        return list_some(features.name for features in self.scenes)

    @cached_property
    def scene_names(self) -> tuple[str, ...]:
        """Name of each scene in reports.

        If two scenes have the same name, all scenes are named after their first stores. If two of these stores also have
        the same name, every name ends with the number of its scene from 1, as in ``fields#2``.
        """
        names = [features.scene.name for features in self.scenes]
        stores = [single_stores(features)[0].name for features in self.scenes]
        if len(set(names)) == len(names):
            return tuple(names)
        # Stores of two folders can have the same name, too.
        return tuple(stores if len(set(stores)) == len(stores) else [f"{name}#{n}" for n, name in enumerate(stores, 1)])

    @property
    def aliases(self) -> tuple[tuple[str, ...], ...]:
        """Names that select each scene: its name in reports, its own name, and the names of its stores."""
        return tuple(
            tuple(dict.fromkeys([name, features.scene.name, *(store.name for store in single_stores(features))]))
            for name, features in zip(self.scene_names, self.scenes, strict=True)
        )

    def with_matched_bands(self, listen: Listener = silent) -> SceneSet:
        """Return a set in which every scene has the bands of the first scene; see `match_features`.

        Parameters
        ----------
        listen : callable
            Receives notes on the bands that may be paired wrongly.

        Raises
        ------
        SceneError
            If a band of the first scene has no counterpart in another scene, see
            `hsifeat.scenes.band_matching.match_bands`.
        """
        return SceneSet([self.first, *(with_bands_of(self.first, other, listen) for other in self.scenes[1:])])


def open_scenes(stores: SceneSet | StoreLike | Sequence[StoreLike] | None = None, *, distinct: bool = True) -> SceneSet:
    """Open stores of one or several scenes.

    Stores of the same scene are combined. The stores of the first scene keep their order. The stores of each further
    scene are sorted, so that stores at the same position in all scenes have similar recipes.

    Parameters
    ----------
    stores : SceneSet, str, Path, Features or a sequence of these, optional
        Open features, or paths and names that `open_features` accepts. [default: the store that was completed last]
    distinct : bool
        Refuse stores of one scene that count as two scenes, see `hsifeat.features.distinct_scenes.check_distinct`. False if
        no head is trained or tested, as in prediction.

    Returns
    -------
    SceneSet
        The scenes, in the order in which they first occur in `stores`.

    Raises
    ------
    HsifeatError
        If `stores` is empty, or a store does not exist. If stores of one scene count as two scenes. If two scenes have different
        numbers of context stores, or of other stores.

    Examples
    --------
    >>> scenes = open_scenes("fields.zarr")
    >>> len(scenes), scenes.scene_names
    (1, ('small',))
    """
    if isinstance(stores, SceneSet):
        return stores
    groups = group_stores(stores, distinct=distinct)
    return SceneSet([open_stack(groups[0]), *(open_stack(in_order_of(groups[0], group)) for group in groups[1:])])


def group_stores(
    stores: StoreLike | Sequence[StoreLike] | None, *, contexts: bool = True, distinct: bool = True
) -> list[tuple[Features, ...]]:
    """Open stores, group them by scene, and check that the scenes can be used together.

    Parameters
    ----------
    stores : str, Path, Features or a sequence of these, optional
        Stores, as for `open_scenes`.
    contexts : bool
        Whether the scenes need the same number of context stores, see `check_same_kinds`.
    distinct : bool
        Whether stores of one scene that count as two scenes are refused, see
        `hsifeat.features.distinct_scenes.check_distinct`.
    """
    groups = list(stores_by_scene(stores).values())
    if distinct:
        check_distinct(groups)
    for group in groups[1:]:
        check_same_kinds(groups[0], group, contexts=contexts)
    return groups


def stores_by_scene(stores: StoreLike | Sequence[StoreLike] | None) -> dict[str, tuple[Features, ...]]:
    """Open stores, and group them by the digest of their scene. The stores of a scene are in the order of `stores`."""
    scenes: dict[str, tuple[Features, ...]] = {}
    for source in list_stores(stores):
        features = source if isinstance(source, Features) else open_features(source)
        digest = str(features.recipe["scene"])
        scenes[digest] = (*scenes.get(digest, ()), *single_stores(features))
    return scenes


def single_stores(features: Features) -> tuple[Features, ...]:
    """Return the stores whose columns `features` combines."""
    return features.stores if isinstance(features, StackedFeatures) else (features,)


def check_same_kinds(first: Sequence[Features], other: Sequence[Features], *, contexts: bool = True) -> None:
    """Raise `StoreError` if two scenes have different numbers of context stores, or of other stores.

    Parameters
    ----------
    first, other : sequence of Features
        Opened stores of the two scenes.
    contexts : bool
        Whether context stores are compared. False if the caller adds missing ones later.
    """
    for context, kind in (
        (False, ("store of a diffusion model", "stores of diffusion models")),
        (True, ("context store", "context stores")),
    )[: 1 + contexts]:
        wanted, found = ([store for store in stores if store.is_context == context] for stores in (first, other))
        if len(wanted) != len(found):
            more, fewer = (first, other) if len(wanted) > len(found) else (other, first)
            model = next(store for store in more if store.is_context == context)
            command = shell_command("extract", fewer[0].scene.name, "--like", model.store.location)
            # Equal names may be two scenes, or one scene whose missing features made pixels invalid.
            hint = f"; stores of one scene need the same valid pixels: extract the other stores from {model.store.location}/scene"
            raise StoreError(
                f"{other[0].scene.name} has {format_count(len(found), *kind)}, and {first[0].scene.name} has {len(wanted)}: give the same stores "
                f"of each scene ({command} makes one, with the file of the scene in place of its name), or leave the others out"
                + (hint if first[0].scene.name == other[0].scene.name else "")
            )


def in_order_of(first: Sequence[Features], other: Sequence[Features]) -> list[Features]:
    """Sort the stores `other` so that each store of the result and the store at its position in `first` have similar recipes."""
    remaining = list(other)
    ordered: list[Features] = []
    for wanted in first:
        same_kind = [store for store in remaining if store.is_context == wanted.is_context]
        nearest = min(same_kind, key=lambda store: len(store.differences(wanted.recipe)))
        remaining.remove(nearest)
        ordered.append(nearest)
    return ordered


def with_bands_of(first: Features, other: Features, listen: Listener = silent) -> Features:
    """Return `other` with the bands of `first`; see `match_features`."""
    return match_features(other, SceneBands.of(first.scene, first.name), listen)


def match_features(features: Features, wanted: SceneBands, listen: Listener = silent) -> Features:
    """Return features with the bands of a reference scene, matched by wavelength; see `match_bands`.

    Parameters
    ----------
    features : Features
        Features of another scene.
    wanted : SceneBands
        Bands of the reference scene.
    listen : callable
        Receives notes on the bands that may be paired wrongly.

    Raises
    ------
    SceneError
        If a band of the reference scene has no counterpart. If the scenes have different numbers of bands, and the
        wavelengths of at least one scene are unknown.
    """
    found = SceneBands.of(features.scene, features.name)
    matched = match_bands(wanted, found)
    for note in matching_notes(wanted, found):
        listen(Note(note))
    return features if matched is None else features.with_bands(matched.tolist())
