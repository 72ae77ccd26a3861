"""Routes that issue signed addresses, and the route by which a browser signs in."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from hsifeat.service.addresses import SIGNABLE
from hsifeat.service.problems import ProblemError, problem_responses
from hsifeat.service.rights import COOKIE, Reader
from hsifeat.service.service import service_of

router = APIRouter(tags=["addresses"])
_LOCAL_PATH = re.compile(r"/(?![/\\])[\w./~-]*")


class AddressRequest(BaseModel):
    """Path and lifetime of a signed address."""

    model_config = ConfigDict(extra="forbid")

    path: Annotated[
        str,
        Field(
            max_length=2000,
            description="Path to read below: /stores/KEY.zarr with the whole key, or /jobs/JOB/files.",
            examples=["/stores/" + "0" * 64 + ".zarr"],
        ),
    ]
    seconds: Annotated[int, Field(ge=1, le=366 * 86400, description="Lifetime in seconds.")] = 3600


class SignedAddress(BaseModel):
    """A signed address and its expiry time. Requests to the address need no token."""

    url: Annotated[str, Field(description="Address. The path of a file below it can be appended.")]
    expires: Annotated[int, Field(description="Expiry time in seconds since 1970.")]


@router.post("/addresses", responses=problem_responses(413))
async def sign_address(request: Request, caller: Reader, wanted: AddressRequest) -> SignedAddress:
    """Return an address that works without a token, for clients that can't send headers, such as GDAL.

    The address is `/signed/GRANT` followed by the requested `path`, and can only be used to read. It stops working when it
    expires, or when the token of the caller expires or is revoked.
    """
    service = service_of(request)
    if SIGNABLE.match(wanted.path) is None:
        raise ProblemError(422, "path: expected /stores/KEY.zarr with the 64 digits of a key, or /jobs/JOB/files")
    limit = service.config.address_hours * 3600
    if wanted.seconds > limit:
        raise ProblemError(422, f"seconds: expected at most {limit}; found {wanted.seconds}")
    path, expires = service.signer.sign(wanted.path, caller, seconds=wanted.seconds)
    return SignedAddress(url=f"{str(request.base_url).rstrip('/')}{path}", expires=expires)


@router.get("/login", include_in_schema=False)
async def log_in(
    request: Request,
    token: Annotated[str, Query(max_length=200)],
    target: Annotated[str, Query(alias="next", max_length=200)] = "/",
) -> RedirectResponse:
    """Store a token in a cookie of the browser, and redirect to a page whose address does not contain the token."""
    service = service_of(request)
    if service.tokens.caller_of_token(token) is None:
        raise ProblemError(401, "this token is wrong, has expired or was revoked: ask for a new one")
    root = service.config.root_path
    page = target if _LOCAL_PATH.fullmatch(target) else "/"
    response = RedirectResponse(f"{root}{page}", 303)
    response.set_cookie(
        COOKIE, token, httponly=True, samesite="strict", secure=request.url.scheme == "https", path=root or "/"
    )
    return response
