# SPDX-License-Identifier: Apache-2.0
"""What a web site waits for, how much the agent takes, and whether it grows.

Usage: sh tests/bench/run.sh, which runs this and the others.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Final

import psutil
from playwright.sync_api import Page, sync_playwright

from softhsm import Environment, IssuedCardState
from softhsm.card_fixture import CardFixture
from support.agent.agent_process import CHROMIUM, FLAGS, Agent, configure, running
from support.agent.web_sites import site

BROWSERS: Final = 10
CLICKS: Final = 30
CLIENTS: Final = 20
REQUESTS: Final = 10_000
BARE: Final = """<!doctype html><script>
opener.postMessage('{"func":"getTbs"}', "*");
onmessage = () => { opener.postMessage('{"func":"pkcs11info","ret_code":0}', "*"); close(); };
</script>"""
"""What any such component has to wait for: the browser that opens a window."""


@contextmanager
def agent_for(origin: str) -> Iterator[tuple[Agent, CardFixture]]:
    """Yield an agent that a site may use without asking, in front of an activated card."""
    with TemporaryDirectory(prefix="xca-bench-") as folder:
        card = CardFixture.issue(Environment.create(Path(folder) / "card"), IssuedCardState.ACTIVE)
        configure(Path(folder), allow=origin, allow_unencrypted=origin)
        with running(Path(folder), card.variables) as agent:
            yield agent, card


def click(page: Page, request: Mapping[str, object]) -> tuple[float, float]:
    """Click; return the milliseconds until the window spoke and until the answer came."""
    page.evaluate("request => { answers = []; ask('/ChtPopupForm', request); }", request)
    page.click("#go")
    page.wait_for_function("answers.length")
    assert page.evaluate("answers[0].ret_code") == 0
    hello, done = page.evaluate("[helloAfter, doneAfter]")
    return hello, done


def clicks(agent: Agent, card: CardFixture, origin: str, bare: str) -> None:
    """Measure what a person at a web site waits for, next to a window that only says its first word."""
    information = {"func": "GetUserCert"}
    sign = {"func": "MakeSignature", "signatureType": "PKCS7", "tbs": "login", "pin": card.pin}
    first, later, told, signed = [], [], [], []
    with sync_playwright() as playwright:
        for turn in range(BROWSERS):
            for ours in (turn % 2 == 0, turn % 2 != 0):
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
                page = browser.new_page()
                page.goto(f"{origin}/?agent={agent.url if ours else bare}")
                first.append((ours, click(page, information)[0]))
                browser.close()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        page, other = browser.new_page(), browser.new_page()
        page.goto(f"{origin}/?agent={agent.url}")
        other.goto(f"{origin}/?agent={bare}")
        for turn in range(CLICKS + 1):
            window, empty = click(page, information), click(other, information)
            signature = click(page, sign)
            if turn:  # the first round only warms up
                later += [(True, window[0]), (False, empty[0])]
                told.append(window[1])
                signed.append(signature[1])
        browser.close()
    for name, times in (("first click to getTbs", first), ("later clicks to getTbs", later)):
        ours_took, bare_took = ([time for ours, time in times if ours is which] for which in (True, False))
        say(name, ours_took)
        say("  to a bare window's word", bare_took, f"   ×{median(ours_took) / median(bare_took):.2f}")
    say("click to the information", told)
    say("click to the signature", signed)


def say(name: str, times: Sequence[float], more: str = "") -> None:
    """Print milliseconds."""
    low, _, high = quantiles(times, n=4)
    print(f"{name:28}{median(times):8.1f} ms   ({low:.1f} … {high:.1f}, longest {max(times):.1f}){more}")


async def client(port: int, head: bytes, count: int) -> None:
    """Ask again and again over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(count):
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        assert answer.startswith(b"HTTP/1.1 200")
    writer.close()


async def clients(port: int, head: bytes, count: int) -> float:
    """Ask that many times in all, with all clients at once; return the seconds."""
    start = time.perf_counter()
    await asyncio.gather(*(client(port, head, count // CLIENTS) for _ in range(CLIENTS)))
    return time.perf_counter() - start


def load(agent: Agent, origin: str) -> None:
    """Measure many clients at once, and the memory before and after."""
    process = psutil.Process(agent.process.pid)
    for path in ("/pkcs11info", "/p11Image.bmp"):
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:{agent.port}\r\nOrigin: {origin}\r\n\r\n".encode()
        asyncio.run(clients(agent.port, head, REQUESTS // 10))
        before = process.memory_info().rss
        seconds = asyncio.run(clients(agent.port, head, REQUESTS))
        grown = (process.memory_info().rss - before) / 2**20
        print(f"{path:28}{REQUESTS / seconds:8.0f} requests/s with {CLIENTS} clients")
        print(f"{'':28}{before / 2**20:8.1f} MiB, and {grown:+.1f} MiB after {REQUESTS} requests")


def main() -> None:
    """Measure and print."""
    with site() as origin, site(BARE) as bare, agent_for(origin) as (agent, card):
        clicks(agent, card, origin, bare.replace("127.0.0.1", "localhost"))
        load(agent, origin)


if __name__ == "__main__":
    main()
