# SPDX-License-Identifier: Apache-2.0
"""The fields of an HTML form that a browser sends by POST (application/x-www-form-urlencoded)."""

from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request

FORM: Final = "application/x-www-form-urlencoded"
"""The media type of such a form; the request guard keeps others from it."""

_FIELDS_MAX: Final = 32


class MalformedForm(Exception):
    """The body is no such form: not ASCII, not UTF-8 behind its percent signs, or too many fields."""


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields by name; of several fields with one name the first.

    Raises:
        MalformedForm: the body is no form.
    """
    try:
        body = (await request.body()).decode("ascii")
        fields = parse_qs(body, keep_blank_values=True, errors="strict", max_num_fields=_FIELDS_MAX)
    except ValueError:
        raise MalformedForm from None
    return {name: values[0] for name, values in fields.items()}
