# SPDX-License-Identifier: Apache-2.0
"""A login is verified again from what the site kept, by the library and by the command."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.login_site import SITE, Desk
from xca_common.pki import profile, strict_certificate
from xca_login import Revocation, Trust, errors
from xca_login.commands import xca_login
from xca_login.evidence import Evidence, EvidenceFolder, MalformedEvidence, read
from xca_login.later import verify_evidence
from xca_login.testing.issuer import LIST, Answers, addresses, revocation_list, serving
from xca_login.testing.parties import DAY, NOW, holder, party
from xca_login.testing.tokens import origin, sign

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def kept(desk: Desk) -> Evidence:
    """The evidence of a login."""
    with serving() as served:
        served.answers = Answers({LIST: revocation_list(desk.ca, 1)})
        card = holder(desk.ca, more=addresses(served.url, LIST))
        challenge = desk.challenge()
        token = sign(card, challenge.text, more=[origin(SITE.origin)])
        return desk.verifier(Revocation(None, ["127.0.0.1"])).verify(token, challenge).evidence


@pytest.fixture(scope="module")
def trust(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trust")
    (folder / "root.pem").write_bytes(desk.root.pem)
    (folder / "ca.pem").write_bytes(desk.ca.pem)
    return folder


@pytest.fixture
def file(kept: Evidence, tmp_path: Path) -> Path:
    return EvidenceFolder(tmp_path / "evidence").keep(kept)


def run(*arguments: str | Path, language: str = "en") -> Result:
    words = ["verify-evidence", *map(str, arguments)]
    return CliRunner().invoke(xca_login, words, env={"LANGUAGE": language})


def test_evidence_of_a_folder_proves_the_login(file: Path, trust: Path) -> None:
    done = run(file, "--trust", trust)
    assert done.exit_code == 0
    assert done.stdout.endswith("The login is proved.\n")
    assert "site: https://bids.example.gov.tw\n" in done.stdout
    assert "OID of the organisation: 2.16.886.111.100000\n" in done.stdout
    assert re.search(r"\ntime, as the site claims: \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+08:00\n", done.stdout)


def test_evidence_is_told_about_in_chinese(file: Path, trust: Path) -> None:
    assert "網站：https://bids.example.gov.tw\n" in run(file, "--trust", trust, language="zh_TW").stdout


def test_evidence_without_trusted_certificates_is_not_vouched_for(file: Path) -> None:
    done = run(file)
    assert done.exit_code == 3
    assert "The login is proved." not in done.stdout
    assert "nothing proves that they are genuine" in done.stderr


def test_evidence_under_another_ca_is_refused(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "ca.pem").write_bytes(party("ca", ca=True, key_name="another").pem)
    done = run(file, "--trust", other)
    assert (done.exit_code, "with another card" in done.stderr) == (1, False)
    assert "into the folder of --trust" in done.stderr


def test_evidence_under_a_policy_that_is_not_accepted_is_refused(file: Path, trust: Path) -> None:
    for language, words in (("en", "If the site let in"), ("zh_TW", "若該網站接受")):
        done = run(file, "--trust", trust, "--policy", profile.TEST_POLICY, language=language)
        assert (done.exit_code, words in done.stderr) == (1, True)


def test_empty_evidence_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert "it is empty" in run(tmp_path / "empty").stderr


def test_folder_without_certificates_is_told(file: Path, tmp_path: Path) -> None:
    done = run(file, "--trust", tmp_path / "nowhere")
    assert done.exit_code == 5
    assert done.stderr.startswith("Error: ")
    assert "nowhere" in done.stderr


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda document: document.update(at=(NOW - DAY).isoformat()), 1),  # before the challenge
        (lambda document: document.update(at=(NOW + DAY).isoformat()), 1),  # after its end
        (lambda document: document.update(lists=[]), 1),
        (lambda document: document.update(lists=["AAAA"]), 1),
        (lambda document: document.update(lists=[{"sha256": "0" * 64}]), 4),
        (lambda document: document.update(lists=[{"sha256": "../../etc/passwd"}]), 4),
        (lambda document: document.update(lists=document["lists"] * 17), 4),
        (lambda document: document.update(issuers=document["issuers"] * 9), 4),
        (lambda document: document.update(responses=["AAAA"] * 17), 4),
        (lambda document: document.update(at="9999-12-31T23:59:59-01:00"), 4),
        (lambda document: document.update(challenge="AAAA"), 1),
        (lambda document: document.update(issuers=["AAAA"]), 4),
        (lambda document: document.pop("token"), 4),
    ],
)
def test_evidence_that_was_changed_proves_nothing(
    change: Callable[[dict[str, Any]], object], status: int, file: Path
) -> None:
    document = json.loads(file.read_bytes())
    change(document)
    file.write_text(json.dumps(document))
    assert run(file).exit_code == status


def test_evidence_whose_list_was_changed_is_unusable(file: Path, desk: Desk, trust: Path) -> None:
    (path,) = (file.parent / "lists").iterdir()
    path.write_bytes(revocation_list(desk.ca, 2))
    assert run(file, "--trust", trust).exit_code == 4


def test_list_that_is_a_pipe_is_not_waited_for(file: Path) -> None:
    (path,) = (file.parent / "lists").iterdir()
    path.unlink()
    os.mkfifo(path)
    assert run(file).exit_code == 4


def test_list_that_is_too_long_is_not_read(file: Path) -> None:
    (path,) = (file.parent / "lists").iterdir()
    os.truncate(path, 1 << 40)  # a hole: it takes no room
    assert run(file).exit_code == 4


def test_evidence_of_the_end_of_time_is_refused(kept: Evidence, desk: Desk) -> None:
    late = kept.challenge.replace(f"{kept.at:%Y%m%dT%H%M%SZ}".encode(), b"99991231T235959Z")
    end = datetime.max.replace(tzinfo=UTC)
    pinned = Trust.of(strict_certificate.load(one.der) for one in (desk.root, desk.ca))
    with pytest.raises(errors.ContentWrong):
        verify_evidence(replace(kept, challenge=late, at=end), pinned)


def test_list_that_many_logins_stand_on_is_kept_once(kept: Evidence, tmp_path: Path) -> None:
    folder = EvidenceFolder(tmp_path)
    paths = {folder.keep(kept), folder.keep(Evidence(NOW, kept.challenge, b"other", (), kept.lists, ()))}
    assert len(paths) == 2
    assert len(list((tmp_path / "lists").iterdir())) == 1
    assert kept in [read(path) for path in paths]
    assert all(path.stat().st_size < 20_000 for path in paths)


def test_evidence_that_names_a_list_is_not_read_without_it(file: Path) -> None:
    with pytest.raises(MalformedEvidence):
        Evidence.load(file.read_bytes())
