# SPDX-License-Identifier: Apache-2.0
"""The agent's pages that sign, verify, encrypt and decrypt files, over plain HTTP."""

import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from softhsm.card_fixture import CardFixture
from support.agent.agent_process import SECONDS, Agent, Start
from support.agent.file_page import BYTES, UPLOAD, FilePage, open_page
from support.agent.page_visitor import WRONG, visiting, words
from support.signed_pdf import page as pdf_page
from support.signed_pdf import sign_pdf
from xca_login.testing.parties import party
from xca_plugin import own_loop
from xca_plugin.agent.files import execution
from xca_plugin.agent.files.stored_file import Role, StoredFile, file_name
from xca_plugin.agent.files.workspace import FILES, IDLE_SECONDS, WorkspaceFullError, Workspaces

CONTRACT = b"contract \xe5\x90\x88\xe7\xb4\x84\r\n" * 1000
CHAIN = ("ROOT CA Cert", "CA Cert")


def certificate(agent: Agent, card: CardFixture, label: str) -> bytes:
    with visiting(agent) as visitor:
        query = {"card": card.number, "label": label, "form": "pem"}
        return visitor.client.get("/certificate", params=query).content


def openssl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)


def scratch_folders() -> set[Path]:
    return set(Path(tempfile.gettempdir()).glob("xca-scratch-*"))


# --- the jobs


def test_files_signed_with_one_pin_verify_with_openssl_and_here(
    shared: Agent, active_card: CardFixture, tmp_path: Path
) -> None:
    """Two files, one login; the signatures are good elsewhere, and on the page for that."""
    others = {"合約 contract.txt": CONTRACT, "b.bin": b""}
    with open_page(shared, "/files/sign") as page:
        for name, content in others.items():
            page.add(name, content)
        said = page.start(secret=str(active_card.pin))
        assert "Signing has ended. All files are in order." in said
        signatures = page.downloads()
    assert list(signatures) == [f"{name}.p7s" for name in others]
    root = certificate(shared, active_card, CHAIN[0])
    (tmp_path / "root.pem").write_bytes(root)
    (tmp_path / "content").write_bytes(CONTRACT)
    (tmp_path / "p7s").write_bytes(signatures["合約 contract.txt.p7s"])
    done = openssl(
        tmp_path,
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", "p7s", "-content", "content"),
        *("-CAfile", "root.pem", "-purpose", "any"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == CONTRACT
    with open_page(shared, "/files/verify") as page:
        for name, content in {**others, **signatures}.items():
            page.add(name, content)
        said = page.start(trust="card", card=active_card.number)
        assert said.count("The signature is valid.") == 2
        assert "Checked: content, signature, certificate and chain, today." in said
        assert list(page.downloads()) == [f"{name}.html" for name in others]
        assert b"The signature is valid." in page.downloads()["b.bin.html"]


def test_altered_file_verified_is_not_valid_in_the_terminals_words(
    shared: Agent, active_card: CardFixture
) -> None:
    with open_page(shared, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        page.start(secret=str(active_card.pin))
        (signature,) = page.downloads().values()
    root = certificate(shared, active_card, CHAIN[0])
    with open_page(shared, "/files/verify", "zh-TW") as page:
        page.add("other name.txt", CONTRACT + b"!")
        page.add("signature.p7s", signature)
        page.add("root.pem", root, "root")
        said = page.start(trust="file")
        assert "這個檔案不是當初簽署的檔案。" in said
        assert "簽章有效" not in said
        other_language = page.visitor.client.get(f"/files/result?job={page.job}&lang=en").text
        assert "the file is not the one that was signed" in words(other_language)


def test_signed_pdf_verified_names_its_signer_and_changes(shared: Agent, active_card: CardFixture) -> None:
    root = party("root", ca=True)
    signer = party("signer", root)
    with open_page(shared, "/files/verify") as page:
        page.add("signed.pdf", sign_pdf(pdf_page(), signer))
        page.add("unsigned.pdf", pdf_page())
        page.add("root.pem", root.pem, "root")
        said = page.start(trust="file")
        assert "The signature is valid." in said
        assert "Changed since nothing" in said
        assert "the PDF holds no signature" in said
        assert "1 of 2 files failed." in said


def test_files_encrypted_and_decrypted_come_back(shared: Agent, active_card: CardFixture) -> None:
    cert2 = certificate(shared, active_card, "cert2")
    with open_page(shared, "/files/encrypt") as page:
        page.add("a.txt", CONTRACT)
        page.add("b.txt", b"second")
        page.add("cert2.pem", cert2, "recipient")
        assert "Encryption has ended. All files are in order." in page.start()
        encrypted = page.downloads()
    assert list(encrypted) == ["a.txt.p7e", "b.txt.p7e"]
    assert CONTRACT[:100] not in encrypted["a.txt.p7e"]
    with open_page(shared, "/files/decrypt") as page:
        for name, content in encrypted.items():
            page.add(name, content)
        page.add("no.p7e", CONTRACT)
        said = page.start(secret=str(active_card.pin))
        assert "1 of 3 files failed." in said
        assert page.downloads() == {"a.txt": CONTRACT, "b.txt": b"second"}


@pytest.mark.parametrize(("path", "fields"), [("/files/encrypt", {}), ("/files/verify", {"trust": "file"})])
def test_job_without_the_certificates_that_it_needs_is_not_started(
    shared: Agent, active_card: CardFixture, path: str, fields: dict[str, str]
) -> None:
    """Nobody could open a file that is encrypted to nobody; without a root no signature counts."""
    with open_page(shared, path) as page:
        page.add("a.txt", CONTRACT)
        answer = page.visitor.send(path, {**page.fields, "job": page.job, **fields})
        assert answer.url.path == path
        assert "Nothing was done this time." in words(answer.text)


def test_certificate_that_is_none_is_named_as_the_person_does(
    shared: Agent, active_card: CardFixture
) -> None:
    with open_page(shared, "/files/encrypt") as page:
        page.add("a.txt", CONTRACT)
        page.add("letter.txt", b"no certificate", "recipient")
        said = page.start()
        assert "letter.txt holds no certificate that can be used" in said
        assert "xca-scratch" not in page.results
        assert page.downloads() == {}


def test_wrong_pin_keeps_the_files_for_another_try(start_agent: Start, xca_active_card: CardFixture) -> None:
    agent = start_agent(xca_active_card)
    with open_page(agent, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        page.add("b.txt", CONTRACT)
        said = page.start(secret=WRONG[0])
        assert "2 tries are left" in said
        assert said.index("Back to the files, to enter it again") < said.index("If the PIN is forgotten")
        assert page.downloads() == {}
        again = FilePage(page.visitor, page.path, f"?job={page.job}")
        again.job = page.job
        assert "a.txt" in page.visitor.see(f"/files/sign?job={page.job}")
        assert "All files are in order." in again.start(secret=str(xca_active_card.pin))
        assert list(again.downloads()) == ["a.txt.p7s", "b.txt.p7s"]
    for secret in (WRONG[0], str(xca_active_card.pin), "a.txt"):
        assert secret not in agent.log


def test_form_sent_twice_tries_one_pin(start_agent: Start, xca_active_card: CardFixture) -> None:
    with open_page(start_agent(xca_active_card), "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        assert "2 tries are left" in page.start(secret=WRONG[0])
        fields = {**page.fields, "job": page.job, "secret": WRONG[1]}
        assert "was already sent" in words(page.visitor.send(page.path, fields).text)
        assert "2 tries left" in page.visitor.see(page.path)


# --- whose files they are, and for how long


def test_files_are_private_and_go_when_the_person_says_so(shared: Agent, active_card: CardFixture) -> None:
    before = scratch_folders()
    with open_page(shared, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        (folder,) = scratch_folders() - before
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]
        page.start(secret=str(active_card.pin))
        address = page.results.partition('href="/files/file')[2].partition('"')[0].replace("&amp;", "&")
        page.visitor.send("/files/delete", {"job": page.job})
        assert not folder.exists()
        assert page.visitor.client.get(f"/files/file{address}").status_code == 404
        assert page.visitor.client.get(f"/files/result?job={page.job}").status_code == 404


def test_removed_file_is_not_signed(shared: Agent, active_card: CardFixture) -> None:
    with open_page(shared, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        gone = page.add("b.txt", CONTRACT)
        assert (
            page.visitor.send("/files/remove", {"job": page.job, "file": str(gone["id"])}).status_code == 204
        )
        page.start(secret=str(active_card.pin))
        assert list(page.downloads()) == ["a.txt.p7s"]


@pytest.mark.parametrize("path", ["/files/sign", "/files/decrypt", "/files/verify", "/files/encrypt"])
def test_pages_with_nothing_chosen_do_nothing(shared: Agent, active_card: CardFixture, path: str) -> None:
    with open_page(shared, path) as page:
        answer = page.visitor.send(path, {**page.fields, "secret": str(active_card.pin), "job": "unknown"})
        assert "Nothing was done this time." in words(answer.text)


# --- who may send files


def test_files_of_other_sites_are_refused(shared: Agent, active_card: CardFixture) -> None:
    with open_page(shared, "/files/sign") as page:
        for headers, status in (
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "multipart/form-data"}, 415),
            ({"X-Token": "forged"}, 409),
            ({"X-Token": page.fields["token"]}, 409),
        ):
            named = {name.replace("-", "_"): value for name, value in headers.items()}
            assert page.send("a.txt", CONTRACT, **named).status_code == status, headers
        bare = page.visitor.client.post(UPLOAD, content=b"x", headers={"Content-Type": BYTES})
        assert bare.status_code == 403
        page.add("a.txt", CONTRACT)
        page.job = ""
        assert page.send("b.txt", CONTRACT).status_code == 409  # the token was spent


def test_file_of_another_page_is_not_taken(shared: Agent, active_card: CardFixture) -> None:
    with open_page(shared, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        page.path = "/files/decrypt"
        assert page.send("b.txt", CONTRACT).status_code == 409
        page.path = "/change-pin"
        assert page.send("b.txt", CONTRACT).status_code == 400
        page.path = "/files/sign"
        assert page.send("b.txt", CONTRACT, "result").status_code == 400


def test_file_bigger_than_a_sites_request_is_taken(shared: Agent, active_card: CardFixture) -> None:
    big = b"\0" * (1 << 20)

    def parts() -> Iterator[bytes]:
        for _ in range(32):
            yield big

    with open_page(shared, "/files/sign") as page:
        said = page.send("big.bin", parts())
        assert said.json()["size"] == "33.6 MB"
        page.job = said.json()["job"]
        assert "All files are in order." in page.start(secret=str(active_card.pin))


def test_file_announced_as_too_big_is_refused_at_once(shared: Agent, active_card: CardFixture) -> None:
    head = f"POST {UPLOAD} HTTP/1.1\r\nHost: localhost:{shared.port}\r\nOrigin: {shared.url}\r\n"
    announced = f"Content-Type: {BYTES}\r\nContent-Length: {(2 << 30) + 1}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", shared.port), SECONDS) as connection:
        connection.sendall((head + announced).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


def test_file_that_breaks_off_is_forgotten(shared: Agent, active_card: CardFixture) -> None:
    def parts() -> Iterator[bytes]:
        yield b"x" * 100
        raise ConnectionError

    with open_page(shared, "/files/sign") as page:
        page.add("a.txt", CONTRACT)
        with pytest.raises((ConnectionError, httpx.HTTPError)):
            page.send("half.txt", parts())
        page.start(secret=str(active_card.pin))
        assert list(page.downloads()) == ["a.txt.p7s"]


# --- the parts


@pytest.mark.fast
@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("contract.pdf", "contract.pdf"),
        ("合約 (1).pdf", "合約 (1).pdf"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\u202efdp.exe", "a_fdp.exe"),
        ("a\r\nSet-Cookie: x.pdf", "a__Set-Cookie_ x.pdf"),
        ('"a";b.pdf', "_a_;b.pdf"),
        ("", "_"),
        ("...", "_"),
        ("\ud800.pdf", "_.pdf"),
        ("字" * 100 + ".pdf", "字" * 65 + ".pdf"),
    ],
)
def test_file_name_of_a_browser_is_harmless(said: str, kept: str) -> None:
    assert file_name(said) == kept


def stored(name: str) -> StoredFile:
    return StoredFile(name, name, Role.CONTENT, Path(name))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["a.pdf"], [("a.pdf", None)]),
        (["a.txt.p7s", "a.txt"], [("a.txt", "a.txt.p7s")]),
        (["a.txt", "b.txt", "b.txt.p7s"], [("a.txt", None), ("b.txt", "b.txt.p7s")]),
        (["a.txt", "signature.p7s"], [("a.txt", "signature.p7s")]),
        (["a.p7m", "b.p7m"], [("a.p7m", None), ("b.p7m", None)]),
    ],
)
def test_signature_belongs_to_the_file_of_its_name(
    names: list[str], pairs: list[tuple[str, str | None]]
) -> None:
    found = execution.paired([stored(name) for name in names])
    assert [(content.name, other and other.name) for content, other in found] == pairs


@pytest.mark.fast
def test_workspace_that_nobody_uses_makes_room_and_goes() -> None:
    now = 0.0

    async def use() -> None:
        nonlocal now
        workspaces = Workspaces(lambda: now)
        first, *others = [workspaces.create("/files/sign") for _ in range(8)]
        now += 1
        assert workspaces.get(first.id) is first
        workspaces.create("/files/sign")
        assert workspaces.get(others[0].id) is None
        now += IDLE_SECONDS - 1
        workspaces._sweep()
        assert workspaces.get(first.id) is first
        now += IDLE_SECONDS
        workspaces._sweep()
        assert workspaces.get(first.id) is None
        workspaces.close()

    own_loop.run(use())


@pytest.mark.fast
def test_workspace_takes_so_many_files_and_no_more() -> None:
    async def use() -> None:
        workspaces = Workspaces()
        workspace = workspaces.create("/files/sign")
        for number in range(FILES):
            workspace.add(str(number), Role.CONTENT)
        with pytest.raises(WorkspaceFullError):
            workspace.add("one more", Role.CONTENT)
        workspace.add("a result", Role.RESULT)
        workspaces.close()

    own_loop.run(use())
