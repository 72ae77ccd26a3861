"""Routes that list and describe stores."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from hsifeat.service.problems import problem_responses
from hsifeat.service.request_parameters import StoreKey
from hsifeat.service.rights import Reader
from hsifeat.service.service import service_of
from hsifeat.service.store_models import State, StoreDetails, StorePage, details_of

router = APIRouter(tags=["stores"])


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
        str | None, Query(pattern="^[0-9a-f]{64}$", description="Value of `next` on the previous page.")
    ] = None,
) -> StorePage:
    """List the intact stores, sorted by key."""
    found = [entry for _, entry in service_of(request).summaries.search(search) if state in {None, entry.state}]
    rest = [entry for entry in found if after is None or entry.key > after]
    following = rest[limit - 1].key if len(rest) > limit else None
    return StorePage(stores=rest[:limit], total=len(found), next=following)


@router.get("/stores/{key}", responses=problem_responses(404, 409))
def show_store(request: Request, _caller: Reader, key: StoreKey) -> StoreDetails:
    """Return the manifest, the planes with their progress, and the label maps of a store."""
    index = service_of(request).stores
    store = index.find(key)
    return details_of(store, index.features(store))
