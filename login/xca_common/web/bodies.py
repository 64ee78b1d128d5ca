# SPDX-License-Identifier: Apache-2.0
"""What is posted, read as far as it may be long."""

from starlette.requests import Request


async def body_of(request: Request, most: int) -> bytes | None:
    """Return the body of a request; None: it has more bytes than `most`, and was not read to its end."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            return None
    return bytes(body)
