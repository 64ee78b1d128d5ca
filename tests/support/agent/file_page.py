# SPDX-License-Identifier: Apache-2.0
"""Uses the agent's pages for files as their script does, without a browser."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import quote

import httpx

from support.agent.agent_process import Agent, until
from support.agent.page_visitor import Visitor, visiting, words

UPLOAD = "/files/upload"
BYTES = "application/octet-stream"


class FilePage:
    """One open page.

    Attributes:
        visitor: who opened it.
        path: of the page.
        job: the id of its workspace; empty: it has none yet.
        results: the HTML of the results.
    """

    def __init__(self, visitor: Visitor, path: str, query: str = "") -> None:
        self.visitor, self.path, self.job, self.results = visitor, path, "", ""
        html = visitor.client.get(path + query).text
        found = re.search('data-token="([^"]*)"', html)
        assert found, html
        self.token = found[1]
        self.fields = visitor.form(path + query)

    def send(
        self, name: str, content: bytes | Iterator[bytes], role: str = "content", **more: str
    ) -> httpx.Response:
        """Send a file to the agent."""
        headers = {
            "Origin": str(self.visitor.client.base_url),
            "Content-Type": BYTES,
            "X-Name": quote(name),
            "X-Token": self.token,
            "Accept": "*/*",
            **{key.replace("_", "-"): value for key, value in more.items()},
        }
        query = {"page": self.path, "role": role, "job": self.job}
        return self.visitor.client.post(UPLOAD, params=query, content=content, headers=headers)

    def add(self, name: str, content: bytes, role: str = "content") -> dict[str, object]:
        """Send a file that the agent takes."""
        answer = self.send(name, content, role)
        assert answer.status_code == 201, answer.text
        said: dict[str, object] = answer.json()
        self.job = str(said["job"])
        return said

    def start(self, **fields: str) -> str:
        """Send the form, wait for the end of the job, and return the words of its results."""
        answer = self.visitor.send(self.path, {**self.fields, "job": self.job, **fields})
        assert answer.url.path == "/files/result", words(answer.text)

        def ended() -> bool:
            self.results = self.visitor.client.get(answer.url).text
            return 'class="working"' not in self.results

        until(ended)
        return unescape(words(self.results))

    def downloads(self) -> dict[str, bytes]:
        """Return the files that the results offer, by name."""
        found = {}
        for address in re.findall('href="(/files/file[^"]*)"', self.results):
            answer = self.visitor.client.get(unescape(address))
            assert answer.status_code == 200
            assert answer.headers["content-type"] == BYTES
            disposition = answer.headers["content-disposition"]
            name = re.search("filename=\"(.*)\"|filename[*]=utf-8''(.*)", disposition)
            assert disposition.startswith("attachment"), disposition
            assert name
            found[name[1] or httpx.URL(f"http://x/{name[2]}").path[1:]] = answer.content
        return found


@contextmanager
def open_page(agent: Agent, path: str, language: str = "en", query: str = "") -> Iterator[FilePage]:
    """Open a page for files."""
    with visiting(agent, language) as visitor:
        yield FilePage(visitor, path, query)
