# SPDX-License-Identifier: Apache-2.0
"""The CAs of a centre, from their ceremony on."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from support.centre.authority import NOW, REPOSITORY, key, school
from support.centre.key_token import PIN, soft_module, soft_token
from support.killed_process import killed
from xca_centre.authority.certificates import certify_card
from xca_centre.authority.hierarchy import Hierarchy, Plan, Record, begin, read_record, renew_root_list
from xca_centre.authority.token_key import Token, TokenKey, Use
from xca_centre.errors import HierarchyDamaged, HierarchyDiffers, HierarchyMissing, TokenUnavailable
from xca_common import atomic_file
from xca_common.card_making import CardKeys
from xca_common.pki import profile
from xca_common.pki.certificate_file import certificates_in
from xca_common.secret import Secret

PLAN = Plan(
    "C=TW,O=政府測試憑證總管理中心",
    "C=TW,O=行政院,OU=組織及團體測試憑證管理中心",
    REPOSITORY,
    generations={2: 2048, 3: 2048},  # an RSA key of 4096 bits takes long to make
    root_bits=2048,
)
DAY = timedelta(days=1)


class Begun:
    """A centre after its ceremony."""

    def __init__(self, module: Path, folder: Path) -> None:
        self.folder = folder
        self.root, self.centre = soft_token(module, "ROOT"), soft_token(module, "CENTRE")
        self.record = self.again("王小明")

    def again(self, *present: str, plan: Plan = PLAN, moment: timedelta = timedelta()) -> Record:
        return begin(self.folder, plan, self.root, self.centre, NOW + moment, present)

    def open(self) -> Hierarchy:
        return Hierarchy(self.folder, self.centre)


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with soft_module(tmp_path_factory.mktemp("tokens")) as module:
        yield module


@pytest.fixture(scope="module")
def begun(module: Path, tmp_path_factory: pytest.TempPathFactory) -> Begun:
    return Begun(module, tmp_path_factory.mktemp("centre") / "ca")


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_generations_have_one_name_and_keys_of_their_own(begun: Begun) -> None:
    opened = begun.open()
    second, third = opened.generations[2], opened.generations[3]
    assert opened.current is third
    assert second.certificate.subject == third.certificate.subject
    assert second.key.public_key() != third.key.public_key()
    for one in (second, third):
        one.certificate.verify_directly_issued_by(opened.root)
        (policy,) = one.certificate.extensions.get_extension_for_class(x509.CertificatePolicies).value
        assert policy.policy_identifier.dotted_string == profile.TEST_POLICY
    opened.root.verify_directly_issued_by(opened.root)


def test_issuer_of_a_certificate_is_found_by_its_key(begun: Begun) -> None:
    opened = begun.open()
    keys = CardKeys("XC00000000000001", key("SIGN").public_key(), key("KEYX").public_key())
    for generation in opened.generations.values():
        made = certify_card(generation, 0, keys, school(), NOW, 6)
        assert opened.issuer_of(made.signing) is generation
        assert made.root == opened.root
        made.encryption.verify_directly_issued_by(generation.certificate)
    assert opened.issuer_of(opened.generations[2].certificate) is None


def test_root_is_needed_for_nothing_but_its_list_afterwards(begun: Begun) -> None:
    away = Token(begun.folder / "no-module.so", "ROOT", Secret(PIN))
    assert begin(begun.folder, PLAN, away, begun.centre, NOW, []) == begun.record
    opened = begun.open()
    assert opened.responder(2, NOW + 400 * DAY).certificate.not_valid_after_utc > NOW + 400 * DAY
    before = opened.root_list
    renew_root_list(begun.folder, begun.root, NOW + 300 * DAY)
    lists = [x509.load_der_x509_crl(each) for each in (before, opened.root_list)]
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in lists]
    assert numbers[0] < numbers[1]
    assert all(one.is_signature_valid(begun.root.key("root").public_key()) for one in lists)


def test_ceremony_cut_off_anywhere_goes_on_where_it_was(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = tmp_path / "ca", replace(PLAN, generations={2: 2048})
    root, centre = soft_token(module, "ROOT"), soft_token(module, "CENTRE")
    write = atomic_file.write

    def write_and_die(path: Path, content: bytes) -> None:
        write(path, content)
        raise KeyboardInterrupt

    def die(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    kept: dict[str, bytes] = {}
    cuts = 0
    for cut in (die, write_and_die) * 20:
        with monkeypatch.context() as patch:
            patch.setattr(atomic_file, "write", cut)
            try:
                record = begin(folder, plan, root, centre, NOW + cuts * DAY, ["王小明"])
                break
            except KeyboardInterrupt:
                cuts += 1
        now = files(folder)
        assert {name: now.get(name) for name in kept} == kept
        kept = now
    assert cuts > 10
    assert record == read_record(folder)
    assert record.begun == NOW + DAY  # the first sitting that wrote anything
    assert [one.name for one in record.made] == ["root", "issuer-2"]


@pytest.mark.integration
def test_ceremony_killed_anywhere_makes_each_key_and_certificate_once(tmp_path: Path) -> None:
    plan = replace(PLAN, generations={2: 2048})
    make_key = Token.make_key

    def step_by_step() -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)

        def stepped(self: Token, name: str, bits: int, use: Use = Use.SIGN) -> TokenKey:
            os.write(nowhere, b".")
            made = make_key(self, name, bits, use)
            os.write(nowhere, b".")
            return made

        Token.make_key = stepped  # type: ignore[method-assign]
        begin(tmp_path / "ca", plan, soft_token(library, "ROOT"), soft_token(library, "CENTRE"), NOW, [])

    kept: dict[str, bytes] = {}
    with soft_module(tmp_path) as library:
        soft_token(library, "ROOT"), soft_token(library, "CENTRE")
        nth = 1
        while killed(nth, step_by_step, ()):
            now = files(tmp_path / "ca") if (tmp_path / "ca").exists() else {}
            assert {name: now.get(name) for name in kept} == kept
            kept = {name: content for name, content in now.items() if name.endswith((".cer", ".json"))}
            nth += 1
        assert nth > 10
        root, centre = soft_token(library, "ROOT"), soft_token(library, "CENTRE")
        opened = Hierarchy(tmp_path / "ca", centre)
        assert root.key("root").public_key() == opened.root.public_key()
        for name in ("issuer-2", "responder-2", "tickets", "sealing"):
            made = x509.load_der_x509_certificate((tmp_path / "ca" / f"{name}.cer").read_bytes())
            assert centre.key(name).public_key() == made.public_key()


def test_ceremony_of_another_plan_is_refused(begun: Begun) -> None:
    before = files(begun.folder)
    with pytest.raises(HierarchyDiffers):
        begun.again(plan=replace(PLAN, policy=profile.COMPATIBILITY_POLICY))
    assert files(begun.folder) == before


def test_record_names_keys_certificates_and_who_was_there(begun: Begun) -> None:
    record = begun.again("李大華", "王小明", moment=DAY)
    assert record.present == ("王小明", "李大華")
    assert record.begun == NOW
    assert [(one.name, one.token) for one in record.made] == [
        ("root", "ROOT"),
        ("issuer-2", "CENTRE"),
        ("issuer-3", "CENTRE"),
    ]
    opened = begun.open()
    for made, certificate in zip(
        record.made, [opened.root, *(each.certificate for each in opened.generations.values())], strict=True
    ):
        assert made.certificate_sha256 == certificate.fingerprint(hashes.SHA256()).hex()
        assert made.serial == f"{certificate.serial_number:x}"
    key_of_it = "openssl x509 -inform DER -in issuer-2.cer -noout -pubkey | openssl pkey -pubin -outform DER"
    shown = subprocess.run(
        f"{key_of_it} | sha256sum",
        shell=True,
        cwd=begun.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert record.made[1].key_sha256 in shown.stdout


def test_responder_is_delegated_short_lived_and_renewed_with_its_key(begun: Begun) -> None:
    moment = NOW + 1000 * DAY
    opened = begun.open()
    for number, generation in opened.generations.items():
        responder = opened.responder(number, moment)
        certificate = responder.certificate
        certificate.verify_directly_issued_by(generation.certificate)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(purposes) == [ExtendedKeyUsageOID.OCSP_SIGNING]
        assert certificate.extensions.get_extension_for_oid(ExtensionOID.OCSP_NO_CHECK)
        assert certificate.not_valid_after_utc - certificate.not_valid_before_utc <= 31 * DAY
        assert opened.responder(number, moment + 14 * DAY).certificate == certificate
        later = opened.responder(number, moment + 16 * DAY)
        assert later.certificate != certificate
        assert later.certificate.public_key() == certificate.public_key()
        assert begun.open().responder(number, moment + 17 * DAY).certificate == later.certificate
        assert (
            opened.responder(number, moment).certificate.not_valid_before_utc == moment
        )  # time was moved back


def test_ticket_signer_signs_nothing_else(begun: Begun) -> None:
    office = begun.open().ticket_signer(NOW)
    purpose = office.certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purpose.critical
    assert [one.dotted_string for one in purpose.value] == [profile.TICKET_SIGNING]
    with pytest.raises(x509.ExtensionNotFound):
        office.certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_DIRECTORY_ATTRIBUTES)
    office.certificate.verify_directly_issued_by(begun.open().current.certificate)
    signature = office.key.sign(b"a ticket", PKCS1v15(), hashes.SHA256())
    key = office.certificate.public_key()
    assert isinstance(office.key, TokenKey)
    key.verify(signature, b"a ticket", PKCS1v15(), hashes.SHA256())  # type: ignore[call-arg, union-attr, arg-type]


def test_what_is_sealed_to_the_centre_opens_with_its_key(begun: Begun) -> None:
    office = begun.open().sealing(NOW)
    sealed = office.key.public_key().encrypt(b"sealed", PKCS1v15())
    assert office.key.decrypt(sealed, PKCS1v15()) == b"sealed"
    assert office.certificate.public_key() == office.key.public_key()


def test_certificates_are_published_in_strict_pkcs7(begun: Begun) -> None:
    opened = begun.open()
    for data, expected in (
        (opened.issuers_file, [each.certificate for each in opened.generations.values()]),
        (opened.root_file, [opened.root]),
    ):
        assert {one.fingerprint(hashes.SHA256()) for one in pkcs7.load_der_pkcs7_certificates(data)} == {
            one.fingerprint(hashes.SHA256()) for one in expected
        }
        found = certificates_in(data)
        assert sorted(found) == sorted(one.public_bytes(Encoding.DER) for one in expected)
        assert found == sorted(found)  # SET OF, in DER


def test_certificate_of_another_key_is_damage(begun: Begun, tmp_path: Path) -> None:
    folder = tmp_path / "ca"
    folder.mkdir()
    for name, content in files(begun.folder).items():
        (folder / name).write_bytes(content)
    (folder / "issuer-2.cer").write_bytes(b"none")
    with pytest.raises(HierarchyDamaged) as caught:
        Hierarchy(folder, begun.centre)
    assert caught.value.path == folder / "issuer-2.cer"
    (folder / "issuer-2.cer").write_bytes((folder / "issuer-3.cer").read_bytes())
    (folder / "root.crl").unlink()
    with pytest.raises(HierarchyDamaged):
        begin(folder, PLAN, begun.root, begun.centre, NOW, [])


def test_token_is_not_asked_before_something_is_signed(begun: Begun) -> None:
    away = Token(begun.folder / "no-module.so", "CENTRE", Secret(PIN))
    opened = Hierarchy(begun.folder, away)
    assert opened.issuers_file
    with pytest.raises(TokenUnavailable):
        opened.current.key.sign(b"data", PKCS1v15(), hashes.SHA256())


def test_certificate_that_cannot_be_renewed_is_used_to_its_end(begun: Begun) -> None:
    moment = NOW + 2000 * DAY
    made = begun.open().responder(2, moment).certificate
    away = Hierarchy(begun.folder, Token(begun.folder / "no-module.so", "CENTRE", Secret(PIN)))
    assert away.responder(2, moment + 29 * DAY).certificate == made
    with pytest.raises(TokenUnavailable):
        away.responder(2, moment + 31 * DAY)


def test_folder_without_a_ceremony_is_told(begun: Begun, tmp_path: Path) -> None:
    for read in (lambda: Hierarchy(tmp_path, begun.centre), lambda: read_record(tmp_path)):
        with pytest.raises(HierarchyMissing):
            read()
    assert begun.centre.make_key("sealing", 2048, Use.DECRYPT).public_key()
