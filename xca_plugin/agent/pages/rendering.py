# SPDX-License-Identifier: Apache-2.0
"""Renders the agent's pages from templates, in the language of the request."""

import re
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from xca_common.harmless_text import harmless
from xca_common.i18n import CHINESE, ENGLISH
from xca_common.web.assets import Assets
from xca_common.web.language import language_of
from xca_common.web.templates import Templates
from xca_plugin import card_text
from xca_plugin.agent.pages.file_actions import FILE_ACTIONS
from xca_plugin.agent.pages.next_steps import step_after_error, step_for_card
from xca_plugin.agent.pages.pin_actions import PIN_ACTIONS
from xca_plugin.agent.pages.pin_pattern import TYPE_AT_READER
from xca_plugin.agent_port import PORT, port_words
from xca_plugin.i18n import plural, text
from xca_plugin.model import Card

ASSETS: Final = Assets(Path(__file__).with_name("static"))
"""The agent's scripts, styles and pictures."""


@pass_context
def linked(context: Context, said: str, card: Card | None = None) -> Markup:
    """Return a sentence in which 用戶代碼重設 leads to the page about it, also for this card."""
    markup = escape(harmless(said))
    if context.get("path") == USER_CODE_RESET:
        return markup
    query = f"?{urlencode({'card': card.number})}" if card else ""
    link = f'<a href="{escape(USER_CODE_RESET + query)}">用戶代碼重設</a>'
    return Markup(_USER_CODE_RESET.sub(link, markup))  # noqa: S704  # the sentence is escaped


def file_size(size: int) -> str:
    """Return a number of bytes in kB, MB or GB, as file managers show it."""
    for unit, power in (("GB", 3), ("MB", 2)):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{-(-size // 1000)} kB"


USER_CODE_RESET: Final = "/user-code-reset"
"""The path of the page about a user code that is lost or locked."""
_USER_CODE_RESET: Final = re.compile("用戶代碼重設(?!PIN)")  # not: reset the PIN with the user code

_NAVIGATION: Final = (
    (
        text("Card"),
        (
            ("/", text("Your card")),
            *((action.path, action.title) for action in PIN_ACTIONS),
            ("/card", text("Card information")),
            ("/history", text("History")),
        ),
    ),
    (text("Files"), tuple((action.path, action.title) for action in FILE_ACTIONS)),
    (text("This computer"), (("/sites", text("Trusted sites")), ("/selfTest.htm", text("Self-test")))),
)
"""Groups of pages: the name of a group, and the address and name of each page."""
_TEMPLATES: Final = Templates(
    "xca_plugin.agent.pages",
    text,
    plural,
    {
        "asset": ASSETS.address,
        "card_text": card_text,
        "file_size": file_size,
        "linked": linked,
        "navigation": _NAVIGATION,
        "step_after_error": step_after_error,
        "step_for_card": step_for_card,
        "type_at_reader": TYPE_AT_READER,
    },
)


def page(request: Request, template: str, *, status: int = 200, **context: object) -> HTMLResponse:
    """Return a page in the language of the request."""
    language = language_of(request)
    other_language = ENGLISH if language == CHINESE else CHINESE
    html = render(
        template,
        language,
        **context,
        other_language=other_language,
        other_language_address=f"?{request.url.include_query_params(lang=other_language).query}",
        path=request.url.path,
        run_command=f"xcactl agent run{port_words(request.url.port or PORT)}",
        own_word=request.app.state.own_word.read(),
    )
    return HTMLResponse(html, status)


def render(template: str, language: str, **context: object) -> str:
    """Return a template's HTML in a language (zh_TW, en)."""
    return _TEMPLATES.render(template, language, **context)


def download(content: bytes, name: str, ending: str, media_type: str) -> Response:
    """Return a file to be saved. Its name, which may come from a card, keeps letters and digits only."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")
    disposition = {"Content-Disposition": f'attachment; filename="{name}.{ending}"'}
    return Response(content, media_type=media_type, headers=disposition)
