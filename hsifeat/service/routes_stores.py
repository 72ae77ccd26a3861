"""Routes that list and describe stores."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Request

from hsifeat.cache.catalogue import DAMAGE_ERRORS
from hsifeat.service.problems import problem_responses
from hsifeat.service.rights import Reader
from hsifeat.service.routes_files import Key
from hsifeat.service.service import service_of
from hsifeat.service.store_models import State, StoreDetails, StoreEntry, StorePage, details_of

router = APIRouter(tags=["stores"])
_log = logging.getLogger("hsifeat.service")


# Routes without `async` run in threads, because they read files.
@router.get("/stores")
def list_stores(
    request: Request,
    _caller: Reader,
    search: Annotated[
        str, Query(max_length=200, description="Text in the name, the scene, the backbone or the key.")
    ] = "",
    state: Annotated[State | None, Query(description="Only stores in this state.")] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="Maximum number of stores on a page.")] = 50,
    after: Annotated[
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Value of `next` on the page before.")
    ] = None,
) -> StorePage:
    """List the intact stores, sorted by key."""
    service = service_of(request)
    summaries: list[StoreEntry] = []
    for store in service.stores.stores():
        try:
            summaries.append(service.summaries.of(store))
        except DAMAGE_ERRORS as error:
            _log.warning("a store is not listed: %s", error)
    words = search.lower().split()
    chosen = [summary for summary in summaries if _matches(summary, words) and state in {None, summary.state}]
    rest = [summary for summary in chosen if after is None or summary.key > after]
    following = rest[limit - 1].key if len(rest) > limit else None
    return StorePage(stores=rest[:limit], total=len(chosen), next=following)


@router.get("/stores/{key}", responses=problem_responses(404, 409))
def show_store(request: Request, _caller: Reader, key: Key) -> StoreDetails:
    """Return the manifest, the planes with their progress, and the label maps of a store."""
    index = service_of(request).stores
    store = index.find(key)
    return details_of(store, index.features(store))


def _matches(summary: StoreEntry, words: list[str]) -> bool:
    text = f"{summary.name} {summary.scene} {summary.backbone} {summary.key}".lower()
    return all(word in text for word in words)
