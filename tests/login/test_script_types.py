# SPDX-License-Identifier: Apache-2.0
"""The types of the script for pages: a page in TypeScript uses each, and they are those of the script."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import xca_login
from support.login_site import Desk
from xca_login import RegisteredKeys
from xca_login.http import shown, shown_key
from xca_login.registered_keys import MemoryKeys
from xca_login.site import Site
from xca_login.testing.parties import encryption

STATIC = Path(xca_login.__file__).with_name("static")
PAGE = """
import {
  changePin, findComponent, logIn, logOut, LoginError, openCard, openEnvelope, proveKey, readCards,
  registerKey, resetPin, resetUserCode, sign, writeCertificate,
} from "./xca-login.js";
import type {
  Card, CardOptions, Component, Key, Login, Options, SiteOptions, Words,
} from "./xca-login.js";

export async function use(statement: string, envelope: Uint8Array): Promise<string[]> {
  const stop = new AbortController();
  const options: Options = { component: "http://localhost:61161", signal: stop.signal, helloSeconds: 5 };
  const ofCard: CardOptions = { ...options, card: "XC00000000012345", pin: "12345678" };
  const ofSite: SiteOptions = { ...ofCard, path: "/login", answerSeconds: 60 };
  try {
    const login: Login = await logIn(ofSite);
    const component: Component = await findComponent();
    const { cards }: { readonly cards: readonly Card[] } = await readCards(options);
    const signature: string = await sign(statement, ofCard);
    const plain: Uint8Array = await openEnvelope(envelope);
    const key: Key & { readonly component: Component } = await registerKey(ofSite);
    const proved: string | null = (await proveKey()).proved;
    const its = { ...options, card: cards[0]?.number ?? "", issuer: "XCA" };
    const accepted: string | null = (await openCard(its)).acceptance;
    await resetPin(its);
    await resetUserCode({ ...options, ticket: async () => "MII=" });
    await changePin(its);
    await writeCertificate({ ...its, certificate: accepted ?? "" });
    await logOut({ path: "/login" });
    const said = [login.notice?.["zh-TW"] ?? "", component.kind, signature, key.sha256, proved ?? ""];
    return [...said, `${plain.length} bytes`];
  } catch (error) {
    if (!(error instanceof LoginError)) throw error;
    const words: Words = error.words["zh-TW"];
    const left: number | null = error.triesLeft;
    return [error.code, words.message, words.nextStep, error.link ?? "", `${left ?? ""}`, error.text("en")];
  }
}
"""
WRONG = {
    "openCard({ card: 'XC1' })": "issuer",
    "logIn({ pathe: '/login' })": "pathe",
    "logIn().then((login) => { login.rank = 'primary'; })": "rank",
    "new LoginError()": "Constructor",
}
"""What a page must not do, and a word of what the compiler says."""


@pytest.mark.integration
@pytest.mark.skipif(
    shutil.which("tsc") is None, reason="TypeScript's compiler tsc is not here (node-typescript)"
)
def test_page_in_typescript_uses_each_export_of_the_script(tmp_path: Path) -> None:
    page = "\n".join((PAGE, *(f"void {one};" for one in WRONG)))
    (tmp_path / "page.ts").write_text(page, encoding="utf-8")
    shutil.copy(STATIC / "xca-login.d.ts", tmp_path)
    options = "--strict --noEmit --noUnusedLocals --target ES2022 --module ES2022 --moduleResolution node"
    done = subprocess.run(["tsc", *options.split(), "page.ts"], cwd=tmp_path, capture_output=True, text=True)
    errors = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    first = len(PAGE.splitlines()) + 2
    assert len(errors) == len(WRONG), done.stdout + done.stderr
    for number, (error, word) in enumerate(zip(errors, WRONG.values(), strict=True), first):
        assert error.startswith(f"page.ts({number},")
        assert word in error


def exports(name: str) -> list[str]:
    text = (STATIC / name).read_text(encoding="utf-8")
    found = re.findall(r"^export (?:async )?(?:class|function|const) (\w+)", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^export (?!interface)", text, re.MULTILINE))
    return sorted(found)


@pytest.mark.fast
def test_types_have_the_exports_of_the_script_and_the_page_uses_all() -> None:
    names = exports("xca-login.js")
    assert exports("xca-login.d.ts") == names
    types = (STATIC / "xca-login.d.ts").read_text(encoding="utf-8")
    names += re.findall(r"^export interface (\w+)", types, re.MULTILINE)
    assert [one for one in names if not re.search(rf"\b{one}\b", PAGE)] == []


@pytest.mark.fast
def test_types_have_the_members_that_the_site_answers() -> None:
    types = (STATIC / "xca-login.d.ts").read_text(encoding="utf-8")

    def members(name: str) -> set[str]:
        body = types.partition(f"export interface {name} {{")[2].partition("\n}")[0]
        return set(re.findall(r"^  readonly (\w+):", body, re.MULTILINE))

    desk = Desk()
    login = desk.log_in()
    keys = RegisteredKeys(Site("https://bids.example.gov.tw", "投標網"), desk.verifier(), MemoryKeys())
    key = keys.register(login.account, desk.school.der, encryption(desk.school, desk.ca).der)
    assert members("Login") == shown(login).keys()
    assert members("Key") == shown_key(key).keys()
