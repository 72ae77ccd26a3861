"""Scripts and style sheets of the pages, and the JavaScript libraries that are part of hsifeat."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from hsifeat.service.problems import ProblemError

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).parents[1] / "static"
_MEDIA_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_IMMUTABLE = "public, max-age=31536000, immutable"


@cache
def static_files() -> dict[str, bytes]:
    """Return the content of every static file by its path, such as ``vendor/htmx/htmx.min.js``."""
    return {
        file.relative_to(FOLDER).as_posix(): file.read_bytes()
        for file in sorted(FOLDER.rglob("*"))
        if file.suffix in _MEDIA_TYPES
    }


@cache
def static_version() -> str:
    """Return a digest of all static files, which is part of their addresses.

    If a file changes, all addresses change. Browsers may therefore keep the files forever.
    """
    digest = hashlib.sha256()
    for path, content in static_files().items():
        digest.update(path.encode() + b"\0" + hashlib.sha256(content).digest())
    return digest.hexdigest()[:12]


# No token is needed: the files are public, and the sign-in page uses them.
@router.get("/static/{version}/{path:path}")
async def static_file(version: str, path: str) -> Response:
    """Return a script or a style sheet."""
    content = static_files().get(path)
    if content is None:
        raise ProblemError(404, "no such file")
    headers = {"Cache-Control": _IMMUTABLE if version == static_version() else "no-cache"}
    return Response(content, headers=headers, media_type=_MEDIA_TYPES[Path(path).suffix])
