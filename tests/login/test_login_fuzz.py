# SPDX-License-Identifier: Apache-2.0
"""Whatever a browser posts, or an issuer answers, leads to a login or to a refusal of ours.

The same targets are fuzzed in their bytes by tests/fuzz/logins.py.
"""

import base64
import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.der_mutations import is_der, mutated
from support.fuzz_targets import TARGETS, Target
from support.login_http import posted
from support.login_site import SITE

LOGINS = Path(__file__).parents[1] / "fuzz" / "logins.py"
FEW = settings(max_examples=40)
STRUCTURES = ("token", "certificate", "list", "response", "envelope")
ACTIONS = ("begin", "finish", "logout", "register", "prove", "proved", "xca-login.js")
PATHS = (
    "/authorize",
    "/authorize/resume",
    "/authorize/consent",
    "/authorize/cancel",
    "/token",
    "/userinfo",
    "/end-session",
    "/end-session/confirm",
    "/jwks",
    "/.well-known/openid-configuration",
    *(f"/login/{action}" for action in ACTIONS),
)
NAMES = (
    *("response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "prompt", "max_age", "claims"),
    *("code_challenge", "code_challenge_method", "code", "code_verifier", "grant_type", "refresh_token"),
    *(
        "client_secret",
        "id_token_hint",
        "post_logout_redirect_uri",
        "request",
        "request_uri",
        "answer",
        "lang",
    ),
)
VALUES = (
    *("code", "bids", "app", "https://rp.example.org/callback", "openid", "none", "login consent", "S256"),
    *(
        "authorization_code",
        "refresh_token",
        "allow",
        "refuse",
        "0",
        "-1",
        "9" * 50,
        "a.b.c",
        "....",
        "\0",
        "\ud800",
    ),
    *("投標", "%00", "a" * 3000),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@cache
def target(name: str) -> Target:
    return TARGETS[name]()


@cache
def structures(name: str) -> list[bytes]:
    return [one for one in target(name).seeds if is_der(one)]


@pytest.mark.parametrize("name", STRUCTURES)
@FEW
@given(st.data())
def test_structure_with_changed_elements_leads_to_a_class_of_ours(name: str, data: st.DataObject) -> None:
    seeds = structures(name)
    target(name)(data.draw(mutated(seeds[data.draw(st.integers(0, len(seeds) - 1))])))


@pytest.mark.parametrize("name", TARGETS)
@FEW
@given(st.data())
def test_bytes_that_are_changed_lead_to_a_class_of_ours(name: str, data: st.DataObject) -> None:
    seeds = [one for one in target(name).seeds if one]
    changed = bytearray(seeds[data.draw(st.integers(0, len(seeds) - 1))])
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    target(name)(bytes(changed[: data.draw(st.integers(0, len(changed)) | st.just(len(changed)))]))


@FEW
@given(
    body=st.binary(max_size=200)
    | JSON.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["token", "signing", "encryption", "nonce"]), JSON).map(
        lambda value: json.dumps(value).encode()
    )
    | st.binary(max_size=100).map(posted)
    | st.text(max_size=50).map(lambda text: base64.b64encode(text.encode("utf-16"))),
    action=st.sampled_from(ACTIONS) | st.text("abc/.%\x00", max_size=10),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", ""]),
    cookies=st.sampled_from(["", f"__Host-xca-session={'A' * 43}"])
    | st.text(st.characters(max_codepoint=255)),
    kind=st.sampled_from(["application/json", "application/json;charset=x", "text/plain", ""]),
    origins=st.sampled_from(
        ["", SITE.origin, "null", "https://evil.example", f"{SITE.origin} {SITE.origin}"]
    ),
)
def test_post_of_any_kind_is_answered(
    body: bytes, action: str, method: str, cookies: str, kind: str, origins: str
) -> None:
    head = "\n".join((method, f"/login/{action}", origins, kind, cookies.replace("\n", "")))
    target("post")(head.encode("latin-1") + b"\n\n" + body)


@FEW
@given(
    method=st.sampled_from(["GET", "POST", "OPTIONS", "PUT"]),
    path=st.sampled_from(PATHS),
    fields=st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=12),
    in_body=st.booleans(),
    headers=st.dictionaries(
        st.sampled_from(["Origin", "Cookie", "Authorization", "Accept-Language", "Content-Type"]),
        st.sampled_from(
            [
                "http://127.0.0.1",
                "null",
                "Basic YmlkczphYmM=",
                "Basic \xff",
                "Bearer a",
                "Bearer",
                "zh-TW,en;q=2",
            ]
        ),
        max_size=4,
    ),
)
def test_request_to_the_provider_of_any_kind_is_answered(
    method: str, path: str, fields: list[tuple[str, str]], in_body: bool, headers: dict[str, str]
) -> None:
    written = urlencode(fields, errors="replace")
    if in_body:
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | headers
    first = f"{method} {path}" if in_body else f"{method} {path}?{written}"
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    target("provider")("\n".join(lines).encode("latin-1") + b"\n\n" + (written.encode() if in_body else b""))


@FEW
@given(st.data())
def test_evidence_with_changed_members_is_refused_by_a_class_of_ours(data: st.DataObject) -> None:
    seeds = target("evidence").seeds
    document = json.loads(seeds[data.draw(st.integers(0, len(seeds) - 1))])
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from([*document]))
        if data.draw(st.booleans()) and name == "token":
            der = structures("token")[data.draw(st.integers(0, len(structures("token")) - 1))]
            document["token"] = base64.b64encode(data.draw(mutated(der))).decode()
        else:
            document[name] = data.draw(
                JSON | st.sampled_from(["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
            )
    target("evidence")(json.dumps(document).encode())


@pytest.mark.integration
def test_fuzzer_of_the_login_runs(tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="there is no atheris for this Python (tests/requirements-fuzz.txt)")
    done = subprocess.run(
        [sys.executable, LOGINS, "all", "-runs=60", "-seed=1", f"-artifact_prefix={tmp_path}/"],
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
