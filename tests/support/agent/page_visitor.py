# SPDX-License-Identifier: Apache-2.0
"""Reads the agent's pages and sends their forms, without a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser

import httpx

from support.agent.agent_process import SECONDS, Agent

WRONG = ("wrong-1", "wrong-2", "wrong-3")


@dataclass(frozen=True)
class CardLocation:
    """The variables that lead an agent to cards and readers."""

    variables: dict[str, str]


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._inside = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        said = dict(attributes)
        if tag == "form":
            self._inside = said.get("method") == "post"
        elif tag == "input" and self._inside and said.get("type") not in ("checkbox", "radio", "file"):
            self.fields.setdefault(said["name"] or "", said.get("value") or "")


class Visitor:
    """Follows redirections as a browser does, and keeps its cookies."""

    def __init__(self, agent: Agent, language: str) -> None:
        self._origin = agent.url
        accepts = {"Accept": "text/html,*/*;q=0.8", "Accept-Language": language}
        self.client = httpx.Client(
            base_url=agent.url, headers=accepts, follow_redirects=True, timeout=SECONDS
        )

    def see(self, path: str) -> str:
        """Return a page's text without markup."""
        answer = self.client.get(path)
        assert answer.headers["content-type"].startswith("text/html"), answer.text
        return words(answer.text)

    def form(self, path: str) -> dict[str, str]:
        """Return the fields of a page's forms with their initial values; of one name, the first."""
        form = _Form()
        form.feed(self.client.get(path).text)
        return form.fields

    def send(self, path: str, fields: dict[str, str], origin: str | None = None) -> httpx.Response:
        """Send a form, by default as the agent's own page does."""
        return self.client.post(path, data=fields, headers={"Origin": origin or self._origin})

    def fill(self, path: str, asked: str, new_pin: str, **more: str) -> str:
        """Fill the page's form in, send it, and return the words of the page that comes then."""
        form = self.form(path)
        assert (form["secret"], form["new_pin"]) == ("", "")
        fields = {**form, "secret": asked, "new_pin": new_pin, "again": new_pin, **more}
        return words(self.send(path, fields).text)


@contextmanager
def visiting(agent: Agent, language: str = "en") -> Iterator[Visitor]:
    """A visitor whose browser prefers a language."""
    visitor = Visitor(agent, language)
    with visitor.client:
        yield visitor


def words(html: str) -> str:
    """Return the text of a page's main part."""
    main = html.partition("<main")[2].partition("</main>")[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", "<" + main))
