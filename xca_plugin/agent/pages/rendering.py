# SPDX-License-Identifier: Apache-2.0
"""Pages from templates, in the language that is being spoken."""

import re
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xca_common.harmless_text import harmless
from xca_common.i18n import CHINESE, ENGLISH, speaking
from xca_common.web.language import chosen
from xca_plugin import card_text
from xca_plugin.agent.pages import assets
from xca_plugin.agent.pages.next_steps import after_error, next_for
from xca_plugin.agent.pages.pin_actions import JOBS
from xca_plugin.i18n import plural, text

_NAVIGATION: Final = (
    ("/", text("Your card")),
    *((job.path, job.title) for job in JOBS),
    ("/card", text("Card information")),
    ("/selfTest.htm", text("Self-test")),
)


def page(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """Return a page of ours, in the language of who asks for it."""
    language = chosen(request)
    other = ENGLISH if language == CHINESE else CHINESE
    html = render(
        template,
        language,
        **context,
        other_language=other,
        in_other_language=f"?{request.url.include_query_params(lang=other).query}",
        path=request.url.path,
    )
    return HTMLResponse(html, status)


def render(template: str, language: str, **context: object) -> str:
    """Return a page of ours in a language (zh_TW, en)."""
    with speaking(language):
        return _TEMPLATES.get_template(template).render(context, language=language)


def download(content: bytes, name: str, ending: str, media_type: str) -> Response:
    """Return a file to be saved; its name, which may come from a card, keeps letters and digits alone."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{ending}"'}
    return Response(content, media_type=media_type, headers=disposition)


def _say(sentence: str, **facts: object) -> str:
    return text(sentence).format(**facts)()


def _harmless(value: object) -> object:
    """Make harmless what a template shows, but for what templates have made already."""
    return harmless(value) if isinstance(value, str) and not isinstance(value, Markup) else value


_TEMPLATES: Final = Environment(
    loader=PackageLoader("xca_plugin.agent.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_harmless,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals |= {
    "_": _say,
    "asset": assets.address,
    "plural": plural,
    "card_text": card_text,
    "navigation": _NAVIGATION,
    "after_error": after_error,
    "next_for": next_for,
}
