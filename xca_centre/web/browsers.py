# SPDX-License-Identifier: Apache-2.0
"""How the pages know a browser again whose person is not logged in: by a secret in a cookie of its own.

No script can read it. It is sent along when a person comes back from another site, such as that of a bank.
"""

from starlette.requests import Request
from starlette.responses import Response

from xca_login.http import Cookie, new_id
from xca_login.site import Site


class Browsers:
    """The browsers of a centre's pages.

    Args:
        site: the centre.
    """

    def __init__(self, site: Site) -> None:
        self._cookie = Cookie("xca-applicant", site, "Lax")

    def of(self, request: Request) -> str:
        """Return what the browser alone knows; "": nothing yet."""
        return self._cookie.value("; ".join(request.headers.getlist("cookie"))) or ""

    def known(self, request: Request) -> str:
        """Return what the browser knows, or what remember() has to give it."""
        return self.of(request) or new_id()

    def remember(self, answer: Response, browser: str) -> Response:
        """Return an answer that gives the browser what it alone is to know."""
        name, value = self._cookie.set(browser)
        answer.headers.append(name, value)
        return answer
