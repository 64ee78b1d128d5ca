# SPDX-License-Identifier: Apache-2.0
"""The agent's own scripts, styles and pictures: answered from memory, and kept by browsers until they change.

A window of the agent's has to speak a moment after a click: it must not wait for a disk, nor ask for its
script again.
"""

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FILES: Final = {file.name: file.read_bytes() for file in Path(__file__).with_name("static").iterdir()}
_VERSIONS: Final = {name: hashlib.sha256(content).hexdigest()[:16] for name, content in _FILES.items()}
# The address changes with the content (RFC 8246).
_KEPT: Final = {"Cache-Control": "max-age=31536000, immutable"}


def routes() -> list[Route]:
    """Return the route of the assets."""
    return [Route("/static/{name}", _asset)]


def address(name: str) -> str:
    """Return where a page finds an asset, in its present version."""
    return f"/static/{name}?{_VERSIONS[name]}"


def answer(name: str, headers: dict[str, str] | None = None) -> Response:
    """Return an asset."""
    return Response(_FILES[name], media_type=_MEDIA_TYPES[Path(name).suffix], headers=headers)


async def _asset(request: Request) -> Response:
    name: str = request.path_params["name"]
    if name not in _FILES:
        return PlainTextResponse("There is no such file.\n", 404)
    return answer(name, _KEPT if request.url.query == _VERSIONS[name] else None)
