# SPDX-License-Identifier: Apache-2.0
"""Scripts, styles and pictures of a web program, answered from memory.

The address of an asset changes with its content. So browsers may cache each version for ever.
"""

import hashlib
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_PATH: Final = "/static"
_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_FOR_EVER: Final = {"Cache-Control": "max-age=31536000, immutable"}  # RFC 8246


class Assets:
    """The files of a folder, read once.

    Args:
        folder: the folder; every file in it is an asset.
    """

    def __init__(self, folder: Path) -> None:
        self._contents = {file.name: file.read_bytes() for file in folder.iterdir()}
        self._versions = {
            name: hashlib.sha256(content).hexdigest()[:16] for name, content in self._contents.items()
        }

    def routes(self) -> list[Route]:
        """Return the route of the assets."""
        return [Route(f"{_PATH}/{{name}}", self._serve)]

    def address(self, name: str) -> str:
        """Return the address of an asset's present version."""
        return f"{_PATH}/{name}?{self._versions[name]}"

    def response(self, name: str, headers: dict[str, str] | None = None) -> Response:
        """Return an asset as a response."""
        media_type = _MEDIA_TYPES[Path(name).suffix]
        return Response(self._contents[name], media_type=media_type, headers=headers)

    async def _serve(self, request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in self._contents:
            raise HTTPException(404)
        return self.response(name, _FOR_EVER if request.url.query == self._versions[name] else None)
